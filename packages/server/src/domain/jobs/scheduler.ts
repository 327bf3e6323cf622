/**
 * Runs the housekeeping jobs.
 */
import type { Parts } from '../../parts.ts'

export type JobName = 'expire-uploads' | 'collect-blobs' | 'digest-blobs' | 'prune-history' | 'run-fetches'

export interface Jobs {
  /** Lets running jobs finish their current step, waits for them a bounded time, and starts no more. */
  stop(): Promise<void>
  /** Runs a job now, after a run that is under way, and tells what it did. For tests and the administrator. */
  runNow(name: JobName): Promise<unknown>
}

/** Begins to run all jobs in the background, each `config.jobInterval` after its last run ended. */
export declare const startJobs: (parts: Parts) => Jobs

/** There is work for a job: it runs soon instead of at its next time. Cheap, and harmless without a scheduler. */
export declare const pokeJob: (parts: Parts, name: JobName) => void
