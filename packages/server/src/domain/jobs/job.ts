/**
 * What a housekeeping job is, how to say that there is work for one, and how to ask after them.
 */
import { HoldfastError } from '@holdfast/api/errors'
import type { Config } from '../../config.ts'
import type { Database } from '../../db/database.ts'
import type { Parts } from '../../parts.ts'

export type JobName =
  | 'expire-uploads'
  | 'expire-lost-uploads'
  | 'collect-blobs'
  | 'digest-blobs'
  | 'verify-blobs'
  | 'prune-history'
  | 'run-fetches'
  | 'sample-usage'

/** Figures of one run, for the log: how many of what. A run whose figures are all 0 had nothing to do. */
export type JobReport = Readonly<Record<string, number>>

export interface Job {
  readonly name: JobName
  /** Seconds between the end of a run and the next one. */
  interval(config: Config): number
  /** Among several nodes: whether each of them has a part of it, and does that; otherwise one does all of it. */
  readonly everyNode?: true
  /**
   * Does a bounded amount of work, in steps each of which leaves everything consistent, and stops between two of
   * them when `signal` aborts. What it leaves, the next run finds.
   */
  run(parts: Parts, signal: AbortSignal): Promise<JobReport>
}

/** How a run ended. */
export interface LastRun {
  /** Counted from 1 at the start of the server. */
  readonly number: number
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  /** Seconds. */
  readonly duration: number
  readonly outcome: 'done' | 'failed' | 'stopped'
  /** What it did; undefined unless it is done. */
  readonly report?: JobReport
  /** Why it failed. */
  readonly error?: string
}

/** A job as it is now. */
export interface JobStatus {
  readonly name: JobName
  /** Seconds. */
  readonly interval: number
  readonly isRunning: boolean
  /** Runs that were asked for and have not begun. */
  readonly waiting: number
  /** Runs that have ended since the server started. */
  readonly runs: number
  /** The newest run that has ended since the server started. */
  readonly last?: LastRun
  /** When it runs next, in ms; undefined while it runs. */
  readonly nextAt?: number
}

/** A run that somebody asked for. */
export interface AskedRun {
  readonly number: number
  readonly ended: Promise<JobReport>
}

/** Runs one job, at its interval and on demand. */
export interface JobRunner {
  /** There is work: it runs soon, and once more if it is running. */
  poke(): void
  /** Runs it after the runs asked for before, and tells what it did. */
  runNow(): Promise<JobReport>
  /** The same, but a run that still waits for its turn serves this call, too. */
  runSoon(): Promise<AskedRun>
  status(): Promise<JobStatus>
  /** Starts no more runs; the one under way ends at its next step. */
  stop(): Promise<void>
}

/** What others may want of the jobs of a running server. */
export interface JobControl {
  /** See `pokeJob`. */
  poke(name: JobName): void
  /** Runs a job after the run that is under way; joins a run that waits for that. Undefined: no such job. */
  run(name: string): Promise<AskedRun> | undefined
  status(): Promise<JobStatus[]>
  /**
   * Work beside the jobs that the end of the server stops and waits for; while work of this key is under way,
   * another call joins it.
   */
  once<T>(key: string, work: (signal: AbortSignal) => Promise<T>): Promise<T>
}

/** By the database they run on: one server's jobs are not another's. */
const controls = new WeakMap<Database['read'], JobControl>()

/** There is work for a job: it runs soon instead of at its next time. Cheap, and harmless when no jobs run. */
export const pokeJob = (parts: Pick<Parts, 'db'>, name: JobName): void =>
  controls.get(parts.db.read)?.poke(name)

/** The jobs of a running server; `unavailable` when they do not run. */
export const jobsOf = (parts: Pick<Parts, 'db'>): JobControl => {
  const control = controls.get(parts.db.read)
  if (!control) throw new HoldfastError('unavailable')
  return control
}

/** For the scheduler: who controls the jobs; undefined when they end. */
export const setJobControl = (parts: Pick<Parts, 'db'>, control: JobControl | undefined): void => {
  if (control) controls.set(parts.db.read, control)
  else controls.delete(parts.db.read)
}
