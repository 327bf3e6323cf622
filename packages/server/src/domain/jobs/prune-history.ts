/**
 * Forgets what nobody asks for any more: old events, the remains of deleted artifacts and blobs, expired leases,
 * conversions too old to be repeated. In small transactions, so that others can write in between.
 */
import type { Transaction } from 'kysely'
import { deleted } from '../../db/database.ts'
import type { Schema } from '../../db/schema.ts'
import type { Parts } from '../../parts.ts'
import { pruneConversions } from '../convert.ts'
import type { Job, JobReport } from './job.ts'

export const pruneHistoryJob: Job = {
  name: 'prune-history',
  interval: (config) => config.jobInterval,
  run: (parts, signal) => pruneHistory(parts, signal),
}

type Trx = Transaction<Schema>

/** Rows a transaction removes at most, and transactions a run has at most for each kind. */
const batchSize = 500
const maxBatches = 20

/** Removes up to ten thousand rows of each kind, and tells how many. */
export const pruneHistory = async (parts: Parts, signal: AbortSignal): Promise<JobReport> => {
  const now = parts.clock.now()
  const eventsUntil = now - parts.config.eventLifetime * 1000
  const tombstonesUntil = now - parts.config.tombstoneLifetime * 1000
  const inBatches = async (prune: (trx: Trx) => Promise<number>): Promise<number> => {
    let total = 0
    for (let batch = 0; batch < maxBatches && !signal.aborted; batch++) {
      const gone = await parts.db.write(prune)
      total += gone
      if (gone < batchSize) break
    }
    return total
  }
  return {
    events: await inBatches((trx) => pruneEvents(trx, eventsUntil)),
    artifacts: await inBatches((trx) => pruneArtifacts(trx, tombstonesUntil)),
    blobs: await inBatches((trx) => pruneBlobs(trx, tombstonesUntil)),
    leases: await inBatches((trx) => pruneLeases(trx, now)),
    conversions: await parts.db.write((trx) => pruneConversions(trx, now)),
  }
}

/** Ids grow with time, so the oldest events are the first ones; that spares an index on the time. */
const pruneEvents = async (trx: Trx, until: number): Promise<number> => {
  const oldest = await trx.selectFrom('events').select(['id', 'at']).orderBy('id').limit(batchSize).execute()
  const end = oldest.findIndex((event) => event.at > until)
  const old = end === -1 ? oldest : oldest.slice(0, end)
  const last = old.at(-1)
  if (last) await trx.deleteFrom('events').where('id', '<=', last.id).execute()
  return old.length
}

/** Deleted artifacts, with their versions (no references any more), metadata, conversions and fetches. */
const pruneArtifacts = async (trx: Trx, until: number): Promise<number> => {
  const rows = await trx
    .selectFrom('artifacts')
    .select('uuid')
    .where('state', '=', deleted)
    .where('deleted_at', '<=', until)
    .orderBy('deleted_at')
    .limit(batchSize)
    .execute()
  const uuids = rows.map((row) => row.uuid)
  if (uuids.length === 0) return 0
  await trx.deleteFrom('versions').where('artifact_uuid', 'in', uuids).execute()
  await trx
    .deleteFrom('metadata')
    .where('object_type', '=', 'artifact')
    .where('object_uuid', 'in', uuids)
    .execute()
  await trx.deleteFrom('artifacts').where('uuid', 'in', uuids).execute()
  return uuids.length
}

/** Deleted blobs whose files are gone and which no version names, not even one of a deleted artifact. */
const pruneBlobs = async (trx: Trx, until: number): Promise<number> => {
  const rows = await trx
    .selectFrom('blobs')
    .select('uuid')
    .where('state', '=', deleted)
    .where('deleted_at', '<=', until)
    .where('files_removed_at', 'is not', null)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('versions').select('idx').whereRef('versions.blob_uuid', '=', 'blobs.uuid'))),
    )
    .orderBy('deleted_at')
    .limit(batchSize)
    .execute()
  const uuids = rows.map((row) => row.uuid)
  if (uuids.length > 0) await trx.deleteFrom('blobs').where('uuid', 'in', uuids).execute()
  return uuids.length
}

const pruneLeases = async (trx: Trx, now: number): Promise<number> => {
  const rows = await trx
    .selectFrom('leases')
    .select(['blob_uuid', 'namespace'])
    .where('expires_at', '<=', now)
    .orderBy('expires_at')
    .limit(batchSize)
    .execute()
  for (const { blob_uuid, namespace } of rows)
    await trx
      .deleteFrom('leases')
      .where('blob_uuid', '=', blob_uuid)
      .where('namespace', '=', namespace)
      .execute()
  return rows.length
}
