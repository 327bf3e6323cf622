/**
 * Runs the housekeeping jobs: each at its interval, when somebody says that there is work, and on demand. Two runs of
 * one job never overlap; different jobs do. A job that fails is logged, counted and tried again at its next time.
 */
import type { Parts } from '../../parts.ts'
import { countDamagedBlobs } from '../quarantine.ts'
import { collectBlobsJob } from './collect-blobs.ts'
import { digestBlobsJob } from './digest-blobs.ts'
import { expireLostUploadsJob } from './expire-lost-uploads.ts'
import { expireUploadsJob } from './expire-uploads.ts'
import {
  type Job,
  type JobControl,
  type JobName,
  type JobReport,
  type JobRunner,
  setJobControl,
} from './job.ts'
import { pruneHistoryJob } from './prune-history.ts'
import { runFetchesJob } from './run-fetches.ts'
import { Runner } from './runner.ts'
import { sampleUsageJob } from './sample-usage.ts'
import { SharedRunner } from './shared-runner.ts'
import { verifyBlobsJob } from './verify-blobs.ts'

export { type JobName, type JobReport, pokeJob } from './job.ts'

/** All jobs of a server. */
const aloneJobs: readonly Job[] = [
  expireUploadsJob,
  collectBlobsJob,
  digestBlobsJob,
  pruneHistoryJob,
  runFetchesJob,
  verifyBlobsJob,
  sampleUsageJob,
]
/** There are no uploads of other nodes where there are no other nodes. */
const sharedJobs: readonly Job[] = [...aloneJobs, expireLostUploadsJob]

/** Between the first starts of the jobs, so that they do not all run in the same moment ever after. */
const staggerMs = 500

export interface Jobs {
  /** Lets running jobs finish their current step, waits for them a bounded time, and starts no more. */
  stop(): Promise<void>
  /** Runs a job now, after a run that is under way, and tells what it did. */
  runNow(name: JobName): Promise<JobReport>
}

/** Begins to run the jobs in the background; their first runs come soon, one after the other. */
export const startJobs = (
  parts: Parts,
  jobs: readonly Job[] = parts.nodes.isShared ? sharedJobs : aloneJobs,
): Jobs => {
  const runnerOf = (job: Job, place: number): JobRunner => {
    const firstDelayMs = (place + 1) * staggerMs
    return parts.nodes.isShared
      ? new SharedRunner(parts, job, firstDelayMs)
      : new Runner(parts, job, firstDelayMs)
  }
  const runners = new Map(jobs.map((job, place) => [job.name as string, runnerOf(job, place)]))
  const errands = new Errands()
  const control: JobControl = {
    poke: (name) => runners.get(name)?.poke(),
    run: (name) => runners.get(name)?.runSoon(),
    status: () => Promise.all([...runners.values()].map((runner) => runner.status())),
    once: (key, work) => errands.once(key, work),
  }
  setJobControl(parts, control)
  countDamagedBlobs(parts).catch((error) => parts.log.error({ err: error }, 'damaged blobs were not counted'))
  return {
    async stop() {
      setJobControl(parts, undefined)
      const ended = Promise.all([...[...runners.values()].map((runner) => runner.stop()), errands.stop()])
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

/** Work that somebody asked for, outside of the jobs. */
class Errands {
  readonly #stopped = new AbortController()
  readonly #underWay = new Map<string, Promise<unknown>>()

  once<T>(key: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const joined = this.#underWay.get(key) as Promise<T> | undefined
    if (joined) return joined
    const begun = work(this.#stopped.signal)
    this.#underWay.set(key, begun)
    const end = () => void this.#underWay.delete(key)
    begun.then(end, end)
    return begun
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    await Promise.allSettled(this.#underWay.values())
  }
}

/** Whether `work` settles within `ms`. */
export const withinTime = async (work: Promise<unknown>, ms: number): Promise<boolean> => {
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
