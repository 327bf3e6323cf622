/**
 * Why a blob is alive or was deleted: what collection would say of it, for people.
 */
import type { Row } from '../db/schema.ts'
import type { Parts } from '../parts.ts'

export interface BlobExplanation {
  readonly state: Row<'blobs'>['state']
  /** Live versions that hold it, the first hundred. */
  readonly references: readonly { artifact: string; namespace: string; name: string; index: number }[]
  /** Leases that have not expired; times in ms. */
  readonly leases: readonly { namespace: string; expires_at: number }[]
  readonly unreferenced_at: number | null
  /** When collection may take it at the earliest, if nothing refers to it until then; null while something does. */
  readonly collectable_at: number | null
  readonly deleted_at: number | null
}

/** For the administrator: checks no rights. Undefined for a UUID of which nothing is known (any more). */
export const explainBlob = async (parts: Parts, uuid: string): Promise<BlobExplanation | undefined> => {
  const { read } = parts.db
  const row = await read.selectFrom('blobs').selectAll().where('uuid', '=', uuid).executeTakeFirst()
  if (!row) return undefined
  const references = await read
    .selectFrom('versions')
    .innerJoin('artifacts', 'artifacts.uuid', 'versions.artifact_uuid')
    .select(['artifacts.uuid as artifact', 'artifacts.namespace', 'artifacts.name', 'versions.idx as index'])
    .where('versions.blob_uuid', '=', uuid)
    .where('versions.live', '=', 1)
    .limit(100)
    .execute()
  const leases = await read
    .selectFrom('leases')
    .select(['namespace', 'expires_at'])
    .where('blob_uuid', '=', uuid)
    .where('expires_at', '>', parts.clock.now())
    .execute()
  const { state, unreferenced_at, deleted_at } = row
  const kept = references.length > 0 || unreferenced_at === null || state === 'deleted'
  const ends = leases.map((lease) => lease.expires_at)
  const collectable_at = kept ? null : Math.max(unreferenced_at + parts.config.collectGrace * 1000, ...ends)
  return { state, references, leases, unreferenced_at, collectable_at, deleted_at }
}
