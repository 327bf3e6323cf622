/**
 * What clients see of a blob. Equal content is stored once for all tenants, so a view tells each of them only what
 * follows from versions, uses and metadata that it may see itself.
 */
import type { BlobView, Checksums, Metadata } from '@holdfast/api/schemas'
import { prepared } from '../db/prepared.ts'
import type { Row } from '../db/schema.ts'
import type { Parts } from '../parts.ts'
import { readMetadataOf } from './metadata.ts'
import { preparedReach, type Reach, readableArtifacts, type Sql } from './visibility.ts'

export interface BlobViewOptions {
  /** The asker's namespace, whose lease on a blob is told as `expires_at`. */
  readonly leasesOf?: string
}

/** What the asker may know of a blob beyond its content. */
interface Seen {
  references: number
  /** When the first version that the asker may see was made of it. */
  since?: number
  lastUse?: number
  leasedUntil?: number
}

/** Blobs looked up with one query; databases limit the parameters of a statement. */
const batchSize = 500

/** The views of some blobs, in the order of `rows`; a few queries for every few hundred rows. */
export const blobViews = async (
  sql: Sql,
  reach: Reach,
  rows: readonly Row<'blobs'>[],
  parts: Pick<Parts, 'clock'>,
  options: BlobViewOptions = {},
): Promise<BlobView[]> => {
  const views: BlobView[] = []
  for (let from = 0; from < rows.length; from += batchSize) {
    const batch = rows.slice(from, from + batchSize)
    const uuids = batch.map((row) => row.uuid)
    const seen = await whatIsSeen(sql, reach, uuids, parts.clock.now(), options)
    const metadata = await readMetadataOf(sql, 'blob', uuids, reach)
    for (const row of batch) views.push(viewOf(row, seen.get(row.uuid), metadata.get(row.uuid) ?? {}))
  }
  return views
}

/** One view; see `blobViews`. */
export const blobView = async (
  sql: Sql,
  reach: Reach,
  row: Row<'blobs'>,
  parts: Pick<Parts, 'clock'>,
  options: BlobViewOptions = {},
): Promise<BlobView> => (await blobViews(sql, reach, [row], parts, options))[0]!

const whatIsSeen = async (
  sql: Sql,
  reach: Reach,
  uuids: string[],
  now: number,
  { leasesOf }: BlobViewOptions,
): Promise<Map<string, Seen>> => {
  const seen = new Map<string, Seen>(uuids.map((uuid) => [uuid, { references: 0 }]))
  const within = preparedReach(reach)
  const versions = await selectVersions(sql, { uuids, reach: within })
  for (const { blob_uuid, references, since } of versions)
    Object.assign(seen.get(blob_uuid)!, { references: Number(references), since: Number(since) })

  const uses = await selectUses(sql, { uuids, reach: within })
  for (const { blob_uuid, used_at } of uses) seen.get(blob_uuid)!.lastUse = Number(used_at)

  if (leasesOf !== undefined) {
    const leases = await selectLeases(sql, { uuids, namespace: leasesOf, now })
    for (const { blob_uuid, expires_at } of leases) seen.get(blob_uuid)!.leasedUntil = expires_at
  }
  return seen
}

type OfBlobs = { readonly uuids: readonly string[]; readonly reach: Reach }

const selectVersions = prepared((sql, { uuids, reach }: OfBlobs) =>
  sql
    .selectFrom('versions')
    .innerJoin('artifacts', 'artifacts.uuid', 'versions.artifact_uuid')
    .where('versions.blob_uuid', 'in', uuids)
    .where(readableArtifacts(reach))
    .groupBy('versions.blob_uuid')
    .select(({ fn }) => [
      'versions.blob_uuid',
      fn.sum<number>('versions.live').as('references'),
      fn.min('versions.created_at').as('since'),
    ]),
)

const selectUses = prepared((sql, { uuids, reach }: OfBlobs) =>
  sql
    .selectFrom('blob_uses')
    .where('blob_uuid', 'in', uuids)
    .$if(reach !== 'all', (query) => query.where('namespace', 'in', reach as readonly string[]))
    .groupBy('blob_uuid')
    .select(({ fn }) => ['blob_uuid', fn.max('used_at').as('used_at')]),
)

const selectLeases = prepared(
  (sql, { uuids, namespace, now }: { uuids: readonly string[]; namespace: string; now: number }) =>
    sql
      .selectFrom('leases')
      .where('blob_uuid', 'in', uuids)
      .where('namespace', '=', namespace)
      .where('expires_at', '>', now)
      .select(['blob_uuid', 'expires_at']),
)

const seconds = (millis: number): number => millis / 1000

/** The digests that are known so far. */
export const checksumsOf = (row: Row<'blobs'>): Checksums => ({
  sha512: row.sha512,
  ...(row.sha256 !== null && { sha256: row.sha256 }),
  ...(row.sha1 !== null && { sha1: row.sha1 }),
  ...(row.xxh128 !== null && { xxh128: row.xxh128 }),
})

const viewOf = (row: Row<'blobs'>, seen: Seen | undefined, metadata: Metadata): BlobView => {
  // A blob may have come long before the asker first had to do with it: somebody else's business. Only `system`, and
  // holders of a lease whose own version has been forgotten, see blobs that have no version for them.
  const since = seconds(seen?.since ?? row.created_at)
  return {
    ...(JSON.parse(row.info) as Partial<BlobView>),
    uuid: row.uuid,
    state: row.state,
    metadata,
    version: 6,
    size: row.size,
    modified: since,
    fetched_at: since,
    depends_on: null,
    transcodes: {},
    locations: [row.node],
    reference_count: seen?.references ?? 0,
    sha512: row.sha512,
    checksums: checksumsOf(row),
    last_used: seen?.lastUse === undefined ? null : seconds(seen.lastUse),
    instances: [],
    ...(seen?.leasedUntil !== undefined && { expires_at: seconds(seen.leasedUntil) }),
  }
}
