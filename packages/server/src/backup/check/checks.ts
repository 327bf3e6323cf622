/** Checks as the administrator sees them: begun by a request, going on without it. One runs at a time. */
import { randomUUID } from 'node:crypto'
import type { CheckView } from '@holdfast/api/backup-schemas'
import { HoldfastError } from '@holdfast/api/errors'
import type { Database } from '../../db/database.ts'
import { recordEvent } from '../../domain/events.ts'
import { jobsOf } from '../../domain/jobs/job.ts'
import { requireSystem, systemNamespace } from '../../domain/visibility.ts'
import type { Caller, Parts } from '../../parts.ts'
import { checkStore } from './check-store.ts'
import { emptyReport } from './faults.ts'

/** Seconds that files of requests under way may stand without a row, whatever the settings say of blobs. */
const leastGrace = 60

type Growing = { -readonly [K in keyof CheckView]: CheckView[K] }

/** The newest check of each server. */
const newest = new WeakMap<Database, Growing>()

/** Begins a check, or joins the one that runs. Throws `check_running` when that one repairs and this should not, or vice versa. */
export const startCheck = async (parts: Parts, caller: Caller, repair: boolean): Promise<CheckView> => {
  requireSystem(caller)
  const running = newest.get(parts.db)
  if (running?.state === 'running') {
    if (running.repair === repair) return running
    throw new HoldfastError('check_running')
  }
  const jobs = jobsOf(parts)
  const view: Growing = {
    state: 'running',
    repair,
    started_at: parts.clock.now() / 1000,
    ended_at: null,
    ...emptyReport(),
  }
  newest.set(parts.db, view)
  jobs
    // The one before may still be writing its event: it is not to be joined.
    .once(`check ${randomUUID()}`, (signal) => runCheck(parts, caller, view, signal))
    .catch((error) => parts.log.error({ err: error }, 'a check did not end in good order'))
  return view
}

/** The check that runs, else the newest one since the start, else null. */
export const showCheck = async (parts: Parts, caller: Caller): Promise<CheckView | null> => {
  requireSystem(caller)
  return newest.get(parts.db) ?? null
}

const runCheck = async (parts: Parts, caller: Caller, view: Growing, signal: AbortSignal): Promise<void> => {
  const { repair } = view
  const graceMs = Math.max(parts.config.collectGrace, leastGrace) * 1000
  try {
    await checkStore({ parts, repair, graceMs, signal, report: view })
    view.state = 'done'
  } catch (error) {
    view.state = 'failed'
    view.error = signal.aborted ? 'the server was stopped' : (error as Error).message
    if (!signal.aborted) parts.log.error({ err: error }, 'check failed')
  }
  view.ended_at = parts.clock.now() / 1000
  const { faults, ...figures } = view
  parts.log[view.found > 0 ? 'warn' : 'info']({ check: figures, faults: faults.slice(0, 20) }, 'check ended')
  if (repair && view.found > 0 && !signal.aborted)
    await parts.db.write((trx) =>
      recordEvent(trx, parts, {
        objectType: 'namespace',
        objectUuid: systemNamespace,
        namespace: systemNamespace,
        type: 'audit',
        message: `check with repairs: ${view.repaired} of ${view.found} faults repaired`,
        caller,
        duration: view.ended_at! - view.started_at,
        extra: figures,
      }),
    )
}
