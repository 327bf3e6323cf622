/**
 * Blobs as the API shows them, and whether they are in use. `quarantine.ts` has the damaged ones.
 */
import { HoldfastError } from '@holdfast/api/errors'
import type { BlobView } from '@holdfast/api/schemas'
import type { Transaction } from 'kysely'
import { asLiteral, deleted } from '../db/database.ts'
import { prepared } from '../db/prepared.ts'
import type { Row, Schema } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { blobView, checksumsOf } from './blob-view.ts'
import { findBlob, preparedReach, type Reach, reachOf, readableArtifacts } from './visibility.ts'

/** The digests a blob has, by their name in URLs; each is also the name of its column. */
export const hashAlgorithms = ['sha512', 'sha256', 'sha1', 'xxh128'] as const
export type HashAlgorithm = (typeof hashAlgorithms)[number]

/** The algorithm of this name; throws `hash_algorithm_unknown`. */
export const requireAlgorithm = (name: string): HashAlgorithm => {
  const found = hashAlgorithms.find((algorithm) => algorithm === name)
  if (!found) throw new HoldfastError('hash_algorithm_unknown')
  return found
}

/** One blob that the caller may see. */
export const showBlob = async (parts: Parts, caller: Caller, uuid: string): Promise<BlobView> => {
  const { read } = parts.db
  const row = await findBlob(read, caller, uuid, parts.clock.now())
  return blobView(read, await reachOf(read, caller), row, parts, { leasesOf: caller.namespace })
}

/** One digest of a blob that the caller may see; null while it is still being computed. */
export const showChecksum = async (
  parts: Parts,
  caller: Caller,
  uuid: string,
  algorithm: string,
): Promise<string | null> => {
  const known = requireAlgorithm(algorithm)
  const row = await findBlob(parts.db.read, caller, uuid, parts.clock.now())
  return checksumsOf(row)[known] ?? null
}

/** A blob whose bytes the caller may read, and the name under which a browser may save them. */
export interface ReadableBlob {
  readonly row: Row<'blobs'>
  /** Of the newest artifact the caller sees that holds the blob. */
  readonly name: string | undefined
}

/** The blob behind `GET /blobs/{uuid}/data`; throws `blob_not_found`, and `blob_damaged` for one in quarantine. */
export const openBlobFor = async (parts: Parts, caller: Caller, uuid: string): Promise<ReadableBlob> => {
  const { read } = parts.db
  const row = await findBlob(read, caller, uuid, parts.clock.now())
  if (row.state === 'quarantined') throw new HoldfastError('blob_damaged')
  const reach = preparedReach(await reachOf(read, caller))
  const [holder] = await selectHolder(read, { uuid: row.uuid, reach })
  return { row, name: holder?.name }
}

const selectHolder = prepared((sql, { uuid, reach }: { uuid: string; reach: Reach }) =>
  sql
    .selectFrom('versions')
    .innerJoin('artifacts', 'artifacts.uuid', 'versions.artifact_uuid')
    .select('artifacts.name')
    .where('versions.blob_uuid', '=', uuid)
    .where('versions.live', '=', 1)
    .where(readableArtifacts(reach))
    .orderBy('versions.created_at', 'desc')
    .limit(asLiteral(1)),
)

/** A use within this time of the one before is not written down. */
const usePrecision = 60_000

/** Notes, at most once a minute, that a namespace used a blob. Not worth waiting for, and never an error. */
export const noteUse = (parts: Parts, caller: Pick<Caller, 'namespace'>, uuid: string): void => {
  const now = parts.clock.now()
  const write = async () => {
    const [last] = await selectUse(parts.db.read, { uuid, namespace: caller.namespace })
    if (last && now - last.used_at < usePrecision) return
    await parts.db.write((trx) => recordUse(trx, uuid, caller.namespace, now))
  }
  write().catch((error) => parts.log.warn({ err: error, blob: uuid }, 'the use of a blob was not noted'))
}

const selectUse = prepared((sql, { uuid, namespace }: { uuid: string; namespace: string }) =>
  sql
    .selectFrom('blob_uses')
    .select('used_at')
    .where('blob_uuid', '=', uuid)
    .where('namespace', '=', namespace),
)

/** Writes down that a namespace used a blob. */
export const recordUse = async (
  trx: Transaction<Schema>,
  uuid: string,
  namespace: string,
  now: number,
): Promise<void> => {
  await trx
    .insertInto('blob_uses')
    .values({ blob_uuid: uuid, namespace, used_at: now })
    .onConflict((conflict) => conflict.columns(['blob_uuid', 'namespace']).doUpdateSet({ used_at: now }))
    .execute()
}

/**
 * Notes that references to these blobs may have gone: those without a live version begin their grace period now.
 * Call it in the transaction that takes versions away.
 */
export const noteUnreferenced = async (
  trx: Transaction<Schema>,
  parts: Pick<Parts, 'clock'>,
  blobUuids: readonly string[],
): Promise<void> => {
  if (blobUuids.length === 0) return
  await trx
    .updateTable('blobs')
    .set({ unreferenced_at: parts.clock.now() })
    .where('uuid', 'in', blobUuids)
    .where('state', '<>', deleted)
    .where('unreferenced_at', 'is', null)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('versions')
            .select('versions.blob_uuid')
            .whereRef('versions.blob_uuid', '=', 'blobs.uuid')
            .where('versions.live', '=', 1),
        ),
      ),
    )
    .execute()
}
