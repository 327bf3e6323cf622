/** One run of a job: measured, logged, and told how it ended. */
import type { Parts } from '../../parts.ts'
import { TurnLostError } from '../nodes/turns.ts'
import type { Job, JobReport, LastRun } from './job.ts'

/** Runs the job; `onEnd` is told of the end, whatever it is, before this settles. */
export const observeRun = async (
  parts: Parts,
  job: Job,
  signal: AbortSignal,
  number: number,
  onEnd: (end: LastRun) => void,
): Promise<JobReport> => {
  const { log } = parts
  const { name } = job
  const startedAt = parts.clock.now()
  const began = performance.now()
  const finish = (end: Pick<LastRun, 'outcome' | 'report' | 'error'>) => {
    const duration = (performance.now() - began) / 1000
    parts.metrics.jobSeconds.labels(name, end.outcome).observe(duration)
    onEnd({ number, startedAt, duration, ...end })
  }
  try {
    const report = await job.run(parts, signal)
    finish({ outcome: 'done', report })
    const isIdle = Object.values(report).every((figure) => figure === 0)
    log[isIdle ? 'debug' : 'info'](
      { job: name, ...report },
      `job ${name} ${isIdle ? 'had nothing to do' : 'ran'}`,
    )
    return report
  } catch (error) {
    if (signal.aborted || error instanceof TurnLostError) finish({ outcome: 'stopped' })
    else {
      finish({ outcome: 'failed', error: error instanceof Error ? error.message : String(error) })
      log.error({ job: name, err: error }, `job ${name} failed`)
    }
    throw error
  }
}
