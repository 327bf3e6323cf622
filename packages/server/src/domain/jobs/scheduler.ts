/**
 * Runs the housekeeping jobs: each at its interval, when somebody says that there is work, and on demand. Two runs of
 * one job never overlap; different jobs do. A job that fails is logged, counted and tried again at its next time.
 */
import type { Parts } from '../../parts.ts'
import { countDamagedBlobs } from '../blobs.ts'
import { collectBlobsJob } from './collect-blobs.ts'
import { digestBlobsJob } from './digest-blobs.ts'
import { expireUploadsJob } from './expire-uploads.ts'
import { type Job, type JobName, type JobReport, onPoke } from './job.ts'
import { pruneHistoryJob } from './prune-history.ts'
import { runFetchesJob } from './run-fetches.ts'

export { type JobName, type JobReport, pokeJob } from './job.ts'

/** All jobs of a server. */
const allJobs: readonly Job[] = [
  expireUploadsJob,
  collectBlobsJob,
  digestBlobsJob,
  pruneHistoryJob,
  runFetchesJob,
]

export interface Jobs {
  /** Lets running jobs finish their current step, waits for them a bounded time, and starts no more. */
  stop(): Promise<void>
  /** Runs a job now, after a run that is under way, and tells what it did. For tests and the administrator. */
  runNow(name: JobName): Promise<JobReport>
}

/** Begins to run the jobs in the background; their first runs come soon, one after the other. */
export const startJobs = (parts: Parts, jobs: readonly Job[] = allJobs): Jobs => {
  const runners = new Map(jobs.map((job, place) => [job.name, new Runner(parts, job, place)]))
  onPoke(parts, (name) => runners.get(name)?.poke())
  countDamagedBlobs(parts).catch((error) => parts.log.error({ err: error }, 'damaged blobs were not counted'))
  return {
    async stop() {
      onPoke(parts, undefined)
      const ended = Promise.all([...runners.values()].map((runner) => runner.stop()))
      if (!(await withinTime(ended, parts.config.shutdownTimeout * 1000)))
        parts.log.warn('a housekeeping job did not stop in time')
    },
    async runNow(name) {
      const runner = runners.get(name)
      if (!runner) throw new RangeError(`there is no job ${name}`)
      return runner.runNow()
    },
  }
}

/** Pause between the starts of the jobs, in ms, so that they do not all run in the same moment ever after. */
const stagger = 500

/** Runs one job. */
class Runner {
  readonly #parts: Parts
  readonly #job: Job
  readonly #stopped = new AbortController()
  #timer: NodeJS.Timeout | undefined
  /** The newest run; the next one waits for it. */
  #latest: Promise<unknown> = Promise.resolve()
  /** Runs asked for and not finished. */
  #pending = 0
  #poked = false

  constructor(parts: Parts, job: Job, place: number) {
    this.#parts = parts
    this.#job = job
    this.#wait((place + 1) * stagger)
  }

  poke(): void {
    // A run under way may have looked at its work list already, so there has to be another one.
    if (this.#pending > 0) this.#poked = true
    else this.#wait(0)
  }

  runNow(): Promise<JobReport> {
    this.#pending++
    const run = this.#latest.then(() => this.#run())
    this.#latest = run.then(
      () => this.#ended(),
      () => this.#ended(),
    )
    return run
  }

  stop(): Promise<unknown> {
    clearTimeout(this.#timer)
    this.#stopped.abort()
    return this.#latest
  }

  #ended(): void {
    this.#pending--
    if (this.#pending > 0) return
    this.#wait(this.#poked ? 0 : this.#job.interval(this.#parts.config) * 1000)
    this.#poked = false
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer)
    if (this.#stopped.signal.aborted) return
    this.#timer = setTimeout(() => {
      // Failures have been logged; those who call `runNow` themselves want to hear of them, too.
      this.runNow().catch(() => {})
    }, ms)
    this.#timer.unref()
  }

  async #run(): Promise<JobReport> {
    this.#stopped.signal.throwIfAborted()
    const { log, metrics } = this.#parts
    const job = this.#job.name
    const began = performance.now()
    const count = (outcome: string) =>
      metrics.jobSeconds.labels(job, outcome).observe((performance.now() - began) / 1000)
    try {
      const report = await this.#job.run(this.#parts, this.#stopped.signal)
      count('done')
      const idle = Object.values(report).every((figure) => figure === 0)
      log[idle ? 'debug' : 'info']({ job, ...report }, `job ${job} ${idle ? 'had nothing to do' : 'ran'}`)
      return report
    } catch (error) {
      const cut = this.#stopped.signal.aborted
      count(cut ? 'stopped' : 'failed')
      if (!cut) log.error({ job, err: error }, `job ${job} failed`)
      throw error
    }
  }
}

/** Whether `work` settles within `ms`. */
const withinTime = async (work: Promise<unknown>, ms: number): Promise<boolean> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms)
  })
  try {
    return await Promise.race([work.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}
