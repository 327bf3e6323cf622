/**
 * Artifacts as they travel on the wire. A view tells its reader only what follows from what the reader may see:
 * references by artifacts of others are not counted.
 */
import type { ArtifactView } from '@holdfast/api/schemas'
import { prepared } from '../db/prepared.ts'
import type { Row } from '../db/schema.ts'
import { readMetadataOf } from './metadata.ts'
import { batches, isShown } from './versions.ts'
import { preparedReach, type Reach, readableArtifacts, type Sql } from './visibility.ts'

/** The version of this view's form, as the original counts it. */
const viewVersion = 6

type Entry = ArtifactView['blobs'][string]

/**
 * The views of some artifacts, in their order, in a number of queries that grows only with hundreds of them.
 * `instances` adds the empty lists that `GET` of a single artifact shows.
 */
export const artifactViews = async (
  sql: Sql,
  reach: Reach,
  rows: readonly Row<'artifacts'>[],
  { instances = false }: { readonly instances?: boolean } = {},
): Promise<ArtifactView[]> => {
  const uuids = rows.map((row) => row.uuid)
  const [versions, metadata] = await Promise.all([
    readVersions(sql, uuids),
    readMetadataOf(sql, 'artifact', uuids, reach),
  ])
  const references = await countReferences(sql, reach, [
    ...new Set([...versions.values()].flat().map((version) => version.blob_uuid)),
  ])
  return rows.map((row) => {
    const shown = versions.get(row.uuid) ?? []
    const newest = shown.at(-1)
    const blobs = Object.fromEntries(
      shown.map((version): [string, Entry] => [
        String(version.idx),
        {
          uuid: version.blob_uuid,
          size: version.size,
          reference_count: references.get(version.blob_uuid) ?? 0,
          depends_on: null,
          created_at: version.created_at / 1000,
          ...(instances && { instances: [] }),
          ...(version.state === 'quarantined' && { state: version.state }),
        },
      ]),
    )
    return {
      uuid: row.uuid,
      name: row.name,
      state: row.state,
      metadata: metadata.get(row.uuid) ?? {},
      version: viewVersion,
      artifact_type: row.type,
      source_url: row.source_url,
      max_versions: row.max_versions,
      namespace: row.namespace,
      shared: row.shared === 1,
      index: newest?.idx ?? 0,
      ...(newest && { blob_uuid: newest.blob_uuid }),
      blobs,
      created_at: row.created_at / 1000,
      updated_at: row.updated_at / 1000,
      ...(row.error !== null && { error: row.error }),
    }
  })
}

/** The view of one artifact. */
export const artifactView = async (
  sql: Sql,
  reach: Reach,
  row: Row<'artifacts'>,
  options?: { readonly instances?: boolean },
): Promise<ArtifactView> => (await artifactViews(sql, reach, [row], options))[0]!

type ShownVersion = Pick<Row<'versions'>, 'idx' | 'blob_uuid' | 'created_at'> &
  Pick<Row<'blobs'>, 'size' | 'state'>

/** The versions shown of each artifact, ascending. */
const readVersions = async (sql: Sql, artifactUuids: readonly string[]) => {
  const byArtifact = new Map<string, ShownVersion[]>()
  for (const uuids of batches(artifactUuids)) {
    const rows = await selectVersions(sql, { uuids })
    for (const { artifact_uuid, ...version } of rows) {
      const list = byArtifact.get(artifact_uuid)
      if (list) list.push(version)
      else byArtifact.set(artifact_uuid, [version])
    }
  }
  return byArtifact
}

const selectVersions = prepared((sql, { uuids }: { uuids: readonly string[] }) =>
  sql
    .selectFrom('versions')
    .innerJoin('artifacts', 'artifacts.uuid', 'versions.artifact_uuid')
    .innerJoin('blobs', 'blobs.uuid', 'versions.blob_uuid')
    .select([
      'versions.artifact_uuid',
      'versions.idx',
      'versions.blob_uuid',
      'versions.created_at',
      'blobs.size',
      'blobs.state',
    ])
    .where('versions.artifact_uuid', 'in', uuids)
    .where(isShown)
    .orderBy('versions.artifact_uuid')
    .orderBy('versions.idx'),
)

/** How many live versions that `reach` may see hold each of these blobs. */
const countReferences = async (sql: Sql, reach: Reach, blobUuids: readonly string[]) => {
  const counts = new Map<string, number>()
  for (const uuids of batches(blobUuids)) {
    const rows = await selectReferences(sql, { uuids, reach: preparedReach(reach) })
    for (const { blob_uuid, count } of rows) counts.set(blob_uuid, Number(count))
  }
  return counts
}

const selectReferences = prepared((sql, { uuids, reach }: { uuids: readonly string[]; reach: Reach }) =>
  sql
    .selectFrom('versions')
    .innerJoin('artifacts', 'artifacts.uuid', 'versions.artifact_uuid')
    .select(['versions.blob_uuid', (eb) => eb.fn.countAll<number>().as('count')])
    .where('versions.blob_uuid', 'in', uuids)
    .where('versions.live', '=', 1)
    .where(readableArtifacts(reach))
    .groupBy('versions.blob_uuid'),
)
