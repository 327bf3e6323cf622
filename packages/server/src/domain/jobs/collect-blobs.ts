/**
 * Collection: removes blobs that nothing refers to.
 *
 * A blob goes when no live version holds it, no lease on it is unexpired, and `config.collectGrace` has passed since
 * the last reference went. What makes this safe against requests that want the blob at the same moment:
 *
 * - All conditions are part of the one statement that sets the state `deleted`. Write transactions run one after the
 *   other, so that statement sees every version and lease committed before it.
 * - Whoever adds a reference (a version, a lease) looks at the state in its own write transaction and takes no
 *   deleted blob. If it comes first, collection sees the reference; if it comes second, it sees the state: a
 *   conversion then keeps the upload's own bytes as a new blob, under another UUID and so in another file, and a
 *   conversion by `blob_uuid` is refused with `blob_not_found`, which makes the client upload.
 * - The file is removed only after that commit, and `files_removed_at` is set after the file. A crash in between
 *   leaves a deleted row without `files_removed_at`, which every run looks for first: no scan of the store is needed.
 * - Downloads that have the file open finish with it, and a backup that needs it keeps it (removal-hold.ts).
 */
import { type ExpressionBuilder, sql } from 'kysely'
import { deleted } from '../../db/database.ts'
import type { Schema } from '../../db/schema.ts'
import type { Parts } from '../../parts.ts'
import { noteUnreferenced } from '../blobs.ts'
import { recordEvents } from '../events.ts'
import { countDamagedBlobs } from '../quarantine.ts'
import { mayRemove } from '../removal-hold.ts'
import type { Job, JobReport } from './job.ts'

export const collectBlobsJob: Job = {
  name: 'collect-blobs',
  interval: (config) => config.jobInterval,
  run: (parts, signal) => collectBlobs(parts, signal),
}

/** Blobs in one transaction, and transactions in one run. */
const batchSize = 100
const maxBatches = 50
/** Rows that one run looks at in search of blobs whose last reference went unnoticed. */
const sweepSize = 1000

/** Collects what is due, up to some thousand blobs, after finishing what an earlier run left. */
export const collectBlobs = async (parts: Parts, signal: AbortSignal): Promise<JobReport> => {
  const leftovers = await removeFiles(parts, signal)
  const noticed = await sweep(parts)
  let collected = 0
  for (let batch = 0; batch < maxBatches && !signal.aborted; batch++) {
    const uuids = await deleteDue(parts)
    collected += uuids.length
    parts.metrics.collectedBlobs.inc(uuids.length)
    await removeFiles(parts, signal)
    if (uuids.length < batchSize) break
  }
  if (collected > 0) await countDamagedBlobs(parts)
  return { collected, leftovers, noticed }
}

type BlobsEb = ExpressionBuilder<Schema, 'blobs'>

/** Whether a live version holds the blob of the query. */
export const isReferenced = ({ exists, selectFrom }: BlobsEb) =>
  exists(
    selectFrom('versions')
      .select('versions.blob_uuid')
      .whereRef('versions.blob_uuid', '=', 'blobs.uuid')
      .where('versions.live', '=', 1),
  )

/** The one condition for collection. */
export const isDue = (parts: Parts) => (eb: BlobsEb) => {
  const now = parts.clock.now()
  return eb.and([
    eb('blobs.state', '<>', deleted),
    eb('blobs.unreferenced_at', '<=', now - parts.config.collectGrace * 1000),
    eb.not(isReferenced(eb)),
    eb.not(
      eb.exists(
        eb
          .selectFrom('leases')
          .select('leases.blob_uuid')
          .whereRef('leases.blob_uuid', '=', 'blobs.uuid')
          .where('leases.expires_at', '>', now),
      ),
    ),
  ])
}

/** Sets a batch of blobs to `deleted`, with what belongs to them, and tells which. */
const deleteDue = async (parts: Parts): Promise<string[]> => {
  // A look without a transaction first: mostly there is nothing to do.
  const due = await parts.db.read
    .selectFrom('blobs')
    .select('uuid')
    .where(isDue(parts))
    .orderBy('unreferenced_at')
    .limit(batchSize)
    .execute()
  if (due.length === 0) return []
  return parts.db.write(async (trx) => {
    const rows = await trx
      .updateTable('blobs')
      .set({ state: 'deleted', deleted_at: parts.clock.now() })
      .where(
        'uuid',
        'in',
        due.map((row) => row.uuid),
      )
      .where(isDue(parts))
      .returning(['uuid', 'size', 'unreferenced_at'])
      .execute()
    const uuids = rows.map((row) => row.uuid)
    if (uuids.length === 0) return uuids
    for (const table of ['blob_blocks', 'blob_uses', 'leases'] as const)
      await trx.deleteFrom(table).where('blob_uuid', 'in', uuids).execute()
    await trx
      .deleteFrom('metadata')
      .where('object_type', '=', 'blob')
      .where('object_uuid', 'in', uuids)
      .execute()
    await recordEvents(
      trx,
      parts,
      rows.map((row) => ({
        objectType: 'blob',
        objectUuid: row.uuid,
        namespace: '',
        type: 'prune',
        message: 'collected: nothing referred to it any more',
        extra: { size: row.size, unreferenced_at: row.unreferenced_at! / 1000 },
      })),
    )
    return uuids
  })
}

/** Removes the files of deleted blobs and notes that they are gone; tells how many it dealt with. */
const removeFiles = async (parts: Parts, signal: AbortSignal): Promise<number> => {
  let count = 0
  for (let batch = 0; batch < maxBatches; batch++) {
    const rows = await parts.db.read
      .selectFrom('blobs')
      .select('uuid')
      .where('state', '=', deleted)
      .where('files_removed_at', 'is', null)
      // In this order the index of such rows is the one to use.
      .orderBy('uuid')
      .limit(batchSize)
      .execute()
    const removed: string[] = []
    for (const { uuid } of rows) {
      if (signal.aborted) break
      // A backup needs it still. The rows come in the order in which backups let go of them.
      if (!mayRemove(parts, uuid)) break
      try {
        await parts.blobs.remove(uuid)
        removed.push(uuid)
      } catch (error) {
        parts.log.error({ err: error, blob: uuid }, 'the file of a collected blob was not removed')
      }
    }
    if (removed.length === 0) break
    await parts.db.write((trx) =>
      trx
        .updateTable('blobs')
        .set({ files_removed_at: parts.clock.now() })
        .where('uuid', 'in', removed)
        .execute(),
    )
    count += removed.length
  }
  return count
}

/** How far the sweep of each server has come. */
const sweptTo = new WeakMap<Parts['db']['read'], string>()

/**
 * Whoever removes a version calls `noteUnreferenced`. Should that ever be forgotten, blobs would stay for good, so
 * each run also looks at some rows, by and by at all, and corrects what it finds, in both directions.
 */
const sweep = async (parts: Parts): Promise<number> => {
  const from = sweptTo.get(parts.db.read) ?? ''
  const window = await parts.db.read
    .selectFrom('blobs')
    .select(['uuid', 'unreferenced_at', (eb) => sql<number>`${isReferenced(eb)}`.as('referenced')])
    .where('uuid', '>', from)
    .where('state', '<>', deleted)
    .orderBy('uuid')
    .limit(sweepSize)
    .execute()
  if (window.length < sweepSize) sweptTo.delete(parts.db.read)
  else sweptTo.set(parts.db.read, window.at(-1)!.uuid)

  const lost = window.filter((row) => !row.referenced && row.unreferenced_at === null).map((row) => row.uuid)
  const found = window.filter((row) => row.referenced && row.unreferenced_at !== null).map((row) => row.uuid)
  if (lost.length + found.length > 0)
    await parts.db.write(async (trx) => {
      await noteUnreferenced(trx, parts, lost)
      if (found.length > 0)
        await trx
          .updateTable('blobs')
          .set({ unreferenced_at: null })
          .where('uuid', 'in', found)
          .where(isReferenced)
          .execute()
    })
  return lost.length
}
