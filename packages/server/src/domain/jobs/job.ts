/**
 * What a housekeeping job is, and how to say that there is work for one.
 */
import type { Config } from '../../config.ts'
import type { Database } from '../../db/database.ts'
import type { Parts } from '../../parts.ts'

export type JobName = 'expire-uploads' | 'collect-blobs' | 'digest-blobs' | 'prune-history' | 'run-fetches'

/** Figures of one run, for the log: how many of what. A run whose figures are all 0 had nothing to do. */
export type JobReport = Readonly<Record<string, number>>

export interface Job {
  readonly name: JobName
  /** Seconds between the end of a run and the next one. */
  interval(config: Config): number
  /**
   * Does a bounded amount of work, in steps each of which leaves everything consistent, and stops between two of
   * them when `signal` aborts. What it leaves, the next run finds.
   */
  run(parts: Parts, signal: AbortSignal): Promise<JobReport>
}

/** How to wake the jobs that run on a database: one server's jobs are not another's. */
const wakers = new WeakMap<Database, (name: JobName) => void>()

/** There is work for a job: it runs soon instead of at its next time. Cheap, and harmless when no jobs run. */
export const pokeJob = (parts: Pick<Parts, 'db'>, name: JobName): void => wakers.get(parts.db)?.(name)

/** For the scheduler: where pokes go; undefined ends it. */
export const onPoke = (parts: Pick<Parts, 'db'>, wake: ((name: JobName) => void) | undefined): void => {
  if (wake) wakers.set(parts.db, wake)
  else wakers.delete(parts.db)
}
