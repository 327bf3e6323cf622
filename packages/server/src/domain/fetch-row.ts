/**
 * A fetch while it runs, and what is written down about it.
 */
import type { Transaction } from 'kysely'
import type { Row, RowChange, Schema } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { recordArtifactEvent } from './versions.ts'

/** A fetch that is being run. */
export interface Run {
  readonly parts: Parts
  readonly caller: Caller
  readonly artifact: Row<'artifacts'>
  readonly fetch: Row<'fetches'>
  /** Ends the download: the server stops, or the artifact is gone. */
  readonly signal: AbortSignal
  readonly beganAt: number
}

/** Changes the row of the fetch; false when it is gone, and with it the artifact. */
export const changeFetch = async (
  trx: Transaction<Schema>,
  { parts, fetch }: Run,
  change: RowChange<'fetches'>,
): Promise<boolean> => {
  const { numUpdatedRows } = await trx
    .updateTable('fetches')
    .set({ ...change, updated_at: parts.clock.now() })
    .where('artifact_uuid', '=', fetch.artifact_uuid)
    .where('state', '=', 'running')
    // Another node has taken it over when this one was silent for too long.
    .where('run', '=', parts.nodes.run)
    .executeTakeFirstOrThrow()
  return numUpdatedRows > 0n
}

/** Records an event of the artifact, with how long the fetch has taken so far. */
export const tell = (trx: Transaction<Schema>, run: Run, message: string, extra = {}): Promise<void> =>
  recordArtifactEvent(trx, run.parts, run.caller, run.artifact, 'status', message, {
    ...extra,
    seconds: (performance.now() - run.beganAt) / 1000,
  })
