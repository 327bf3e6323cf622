/**
 * The housekeeping jobs for the administrator: what they do, and running one now.
 */
import type { JobRunView, JobView } from '@holdfast/api/admin-schemas'
import { HoldfastError } from '@holdfast/api/errors'
import type { Caller, Parts } from '../../parts.ts'
import { requireSystem } from '../visibility.ts'
import { type JobStatus, jobsOf } from './job.ts'
import { withinTime } from './scheduler.ts'

/** All jobs, in the order in which the server starts them. */
export const listJobs = async (parts: Parts, caller: Caller): Promise<JobView[]> => {
  requireSystem(caller)
  return (await jobsOf(parts).status()).map(jobView)
}

/** One job; throws `job_not_found`. */
export const showJob = async (parts: Parts, caller: Caller, name: string): Promise<JobView> => {
  requireSystem(caller)
  const found = (await jobsOf(parts).status()).find((job) => job.name === name)
  if (!found) throw new HoldfastError('job_not_found')
  return jobView(found)
}

/** Asks for a run, waits for its end at most `waitMs`, and shows the job as it is then. Throws `job_not_found`. */
export const runJob = async (
  parts: Parts,
  caller: Caller,
  name: string,
  waitMs: number,
): Promise<JobRunView> => {
  requireSystem(caller)
  const run = await jobsOf(parts).run(name)
  if (!run) throw new HoldfastError('job_not_found')
  // How it ends is in the status, a failure included.
  const settled = run.ended.then(
    () => {},
    () => {},
  )
  if (waitMs > 0) await withinTime(settled, waitMs)
  return { ...(await showJob(parts, caller, name)), run: run.number }
}

const jobView = ({ name, interval, isRunning, waiting, runs, nextAt, last }: JobStatus): JobView => ({
  name,
  interval,
  is_running: isRunning,
  waiting,
  runs,
  next_run_at: nextAt === undefined ? null : nextAt / 1000,
  last_run: last
    ? {
        number: last.number,
        started_at: last.startedAt / 1000,
        duration: last.duration,
        outcome: last.outcome,
        ...(last.report && { report: { ...last.report } }),
        ...(last.error !== undefined && { error: last.error }),
      }
    : null,
})
