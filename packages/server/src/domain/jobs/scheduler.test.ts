import { expect, test } from 'vitest'
import { createTestParts } from '../../test-parts.ts'
import { type Job, type JobName, type JobReport, pokeJob } from './job.ts'
import { startJobs } from './scheduler.ts'

/** A job that the test lets begin and end. */
const controlled = (name: JobName, interval = 1e6) => {
  const began: { end(report?: JobReport): void; fail(error: Error): void; signal: AbortSignal }[] = []
  let wake = () => {}
  const job: Job = {
    name,
    interval: () => interval,
    run: (_parts, signal) =>
      new Promise((resolve, reject) => {
        began.push({ end: (report = {}) => resolve(report), fail: reject, signal })
        wake()
      }),
  }
  /** Resolves when the job has begun for the `count`th time. */
  const runs = async (count: number) => {
    while (began.length < count)
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    return began[count - 1]!
  }
  return { job, began, runs }
}

test('runs of one job follow each other, runs of two jobs overlap', async () => {
  await using parts = await createTestParts()
  const one = controlled('collect-blobs')
  const two = controlled('expire-uploads')
  const jobs = startJobs(parts, [one.job, two.job])
  const first = jobs.runNow('collect-blobs')
  const second = jobs.runNow('collect-blobs')
  const other = jobs.runNow('expire-uploads')
  ;(await two.runs(1)).end({ expired: 2 })
  expect(await other).toEqual({ expired: 2 })
  expect(one.began.length).toBe(1)
  one.began[0]!.end({ collected: 1 })
  expect(await first).toEqual({ collected: 1 })
  ;(await one.runs(2)).end()
  await second
  await jobs.stop()
})

test('a poke runs a job at once, and once more when it comes during a run', async () => {
  await using parts = await createTestParts()
  const one = controlled('digest-blobs')
  pokeJob(parts, 'digest-blobs')
  const jobs = startJobs(parts, [one.job])
  pokeJob(parts, 'digest-blobs')
  const run = await one.runs(1)
  pokeJob(parts, 'digest-blobs')
  pokeJob(parts, 'digest-blobs')
  run.end()
  ;(await one.runs(2)).end()
  await jobs.stop()
  pokeJob(parts, 'digest-blobs')
  expect(one.began.length).toBe(2)
})

test('a job that fails is counted and runs again at its next time', async () => {
  await using parts = await createTestParts()
  const one = controlled('prune-history', 0)
  const jobs = startJobs(parts, [one.job])
  pokeJob(parts, 'prune-history')
  ;(await one.runs(1)).fail(new Error('of this test'))
  const again = await one.runs(2)
  const text = await parts.metrics.registry.getSingleMetricAsString('holdfast_job_seconds')
  expect(text).toContain('holdfast_job_seconds_count{job="prune-history",outcome="failed"} 1')
  const stopped = jobs.stop()
  expect(again.signal.aborted).toBe(true)
  again.end()
  await stopped
})

test('stopping waits for the run under way, for a bounded time', async () => {
  await using parts = await createTestParts({ shutdownTimeout: 0.05 })
  const one = controlled('run-fetches')
  const jobs = startJobs(parts, [one.job])
  const endless = jobs.runNow('run-fetches')
  const waiting = jobs.runNow('run-fetches')
  const run = await one.runs(1)
  await jobs.stop()
  run.end()
  await endless
  // What had not begun does not begin any more.
  await expect(waiting).rejects.toThrow('abort')
  await expect(jobs.runNow('run-fetches')).rejects.toThrow('abort')
  expect(one.began.length).toBe(1)
})
