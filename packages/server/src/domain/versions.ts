/**
 * Versions: the numbered entries of an artifact, and every way they come and go.
 *
 * A version is a reference that keeps its blob alive. Numbers come from `artifacts.next_index` and are never used
 * twice. A version that is pruned or deleted loses its row; when the whole artifact is deleted, the rows stay with
 * `live` 0, so that the deleted artifact can still be shown. Functions that take a `trx` do all of their work in it.
 */
import { randomUUID } from 'node:crypto'
import { HoldfastError } from '@holdfast/api/errors'
import { defaultMaxVersions, maxMaxVersions } from '@holdfast/api/limits'
import { sql, type Transaction } from 'kysely'
import { deleted } from '../db/database.ts'
import type { ArtifactState, ArtifactType, EventType, Row, Schema } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { requireRoomForArtifact } from './admission.ts'
import { noteUnreferenced } from './blobs.ts'
import { type NewEvent, recordEvent, recordEvents } from './events.ts'
import { relistArtifact, unlistArtifacts } from './listed-metadata.ts'
import { findArtifact } from './visibility.ts'

/** What makes two requests mean the same artifact: `name` is only given to a new one. */
export interface ArtifactIdentity {
  readonly namespace: string
  readonly type: ArtifactType
  readonly sourceUrl: string
  readonly name: string
}

export interface ArtifactWish {
  readonly identity: ArtifactIdentity
  /** True makes the artifact shared; it is never unshared here. */
  readonly shared?: boolean
  readonly maxVersions?: number | undefined
}

/** The live artifact with this identity, if there is one; deleted ones are passed over. */
export const findByIdentity = (
  trx: Transaction<Schema>,
  { namespace, type, sourceUrl }: Omit<ArtifactIdentity, 'name'>,
): Promise<Row<'artifacts'> | undefined> =>
  trx
    .selectFrom('artifacts')
    .selectAll()
    .where('namespace', '=', namespace)
    .where('type', '=', type)
    .where('source_url', '=', sourceUrl)
    .where('state', '<>', deleted)
    .executeTakeFirst()

/** The live artifact with this identity, made in `state` when there is none. */
export const findOrCreateArtifact = async (
  trx: Transaction<Schema>,
  parts: Parts,
  caller: Caller,
  { identity, shared, maxVersions }: ArtifactWish,
  state: Exclude<ArtifactState, 'deleted'>,
): Promise<Row<'artifacts'>> => {
  const found = await findByIdentity(trx, identity)
  if (found) {
    const change = {
      shared: shared ? 1 : found.shared,
      max_versions: maxVersions ?? found.max_versions,
    } as const
    if (change.shared === found.shared && change.max_versions === found.max_versions) return found
    await trx.updateTable('artifacts').set(change).where('uuid', '=', found.uuid).execute()
    await relistArtifact(trx, found.uuid, { shared: change.shared })
    return { ...found, ...change }
  }
  await requireRoomForArtifact(trx, parts, identity.namespace)
  const now = parts.clock.now()
  const artifact: Row<'artifacts'> = {
    uuid: randomUUID(),
    namespace: identity.namespace,
    name: identity.name,
    type: identity.type,
    source_url: identity.sourceUrl,
    state,
    shared: shared ? 1 : 0,
    max_versions: maxVersions ?? defaultMaxVersions,
    next_index: 1,
    created_at: now,
    updated_at: now,
    size: 0,
    deleted_at: null,
    error: null,
  }
  await trx.insertInto('artifacts').values(artifact).execute()
  await recordArtifactEvent(trx, parts, caller, artifact, 'audit', 'created')
  return artifact
}

export interface AddedVersion {
  readonly artifact: Row<'artifacts'>
  readonly index: number
  /** False when the newest version held the same blob already and nothing was added. */
  readonly added: boolean
}

/**
 * Makes `blobUuid`, which must not be deleted, the newest version of the artifact with this identity, which is created
 * when there is none; prunes it to its `max_versions`. Checks no rights.
 */
export const addVersion = async (
  trx: Transaction<Schema>,
  parts: Parts,
  caller: Caller,
  { blobUuid, ...wish }: ArtifactWish & { readonly blobUuid: string },
): Promise<AddedVersion> => {
  const artifact = await findOrCreateArtifact(trx, parts, caller, wish, 'created')
  const newest = await findNewest(trx, artifact.uuid)
  if (newest?.blob_uuid === blobUuid) {
    await pruneVersions(trx, parts, caller, artifact)
    return { artifact, index: newest.idx, added: false }
  }
  const index = artifact.next_index
  const now = parts.clock.now()
  await trx
    .insertInto('versions')
    .values({
      artifact_uuid: artifact.uuid,
      idx: index,
      blob_uuid: blobUuid,
      live: 1,
      created_at: now,
    })
    .execute()
  const { size } = await trx
    .selectFrom('blobs')
    .select('size')
    .where('uuid', '=', blobUuid)
    .executeTakeFirstOrThrow()
  const change = { state: 'created', error: null, next_index: index + 1, updated_at: now, size } as const
  await trx.updateTable('artifacts').set(change).where('uuid', '=', artifact.uuid).execute()
  await relistArtifact(trx, artifact.uuid, { updated_at: now, size })
  await trx.updateTable('blobs').set({ unreferenced_at: null }).where('uuid', '=', blobUuid).execute()
  await forgetValidators(trx, artifact.uuid)
  await recordEvents(trx, parts, [
    artifactEvent(caller, artifact, 'mutate', `added version ${index}`, { index, blob_uuid: blobUuid }),
    {
      objectType: 'blob',
      objectUuid: blobUuid,
      namespace: artifact.namespace,
      type: 'mutate',
      message: `became version ${index} of an artifact`,
      caller,
      extra: { artifact_uuid: artifact.uuid, index },
    },
  ])
  await pruneVersions(trx, parts, caller, artifact)
  return { artifact: { ...artifact, ...change }, index, added: true }
}

/** Removes the oldest versions beyond the artifact's `max_versions`. */
export const pruneVersions = async (
  trx: Transaction<Schema>,
  parts: Parts,
  caller: Caller,
  artifact: Row<'artifacts'>,
): Promise<void> => {
  const oldestKept = await trx
    .selectFrom('versions')
    .select('idx')
    .where('artifact_uuid', '=', artifact.uuid)
    .where('live', '=', 1)
    .orderBy('idx', 'desc')
    .limit(1)
    .offset(artifact.max_versions - 1)
    .executeTakeFirst()
  if (!oldestKept) return
  const excess = await trx
    .selectFrom('versions')
    .select(['idx', 'blob_uuid'])
    .where('artifact_uuid', '=', artifact.uuid)
    .where('live', '=', 1)
    .where('idx', '<', oldestKept.idx)
    .orderBy('idx')
    .execute()
  if (excess.length === 0) return
  await trx
    .deleteFrom('versions')
    .where('artifact_uuid', '=', artifact.uuid)
    .where('live', '=', 1)
    .where('idx', '<', oldestKept.idx)
    .execute()
  await noteReleased(trx, parts, excess)
  await recordEvents(
    trx,
    parts,
    excess.slice(-maxPruneEvents).map(({ idx, blob_uuid }) =>
      artifactEvent(caller, artifact, 'prune', `pruned version ${idx}`, {
        index: idx,
        blob_uuid,
        max_versions: artifact.max_versions,
      }),
    ),
  )
}

/** Lowering `max_versions` by thousands tells of the newest hundred only. */
const maxPruneEvents = 100

/** Sets how many versions an artifact keeps (the default when undefined); older ones go at once. */
export const setMaxVersions = async (
  parts: Parts,
  caller: Caller,
  ref: string,
  maxVersions: number = defaultMaxVersions,
): Promise<void> => {
  if (!Number.isInteger(maxVersions) || maxVersions < 1 || maxVersions > maxMaxVersions)
    throw new HoldfastError('max_versions_invalid')
  await parts.db.write(async (trx) => {
    const artifact = await findLiveArtifact(trx, caller, ref)
    if (artifact.max_versions === maxVersions) return
    await trx
      .updateTable('artifacts')
      .set({ max_versions: maxVersions })
      .where('uuid', '=', artifact.uuid)
      .execute()
    await recordArtifactEvent(trx, parts, caller, artifact, 'mutate', `keeps ${maxVersions} versions`, {
      max_versions: maxVersions,
    })
    await pruneVersions(trx, parts, caller, { ...artifact, max_versions: maxVersions })
  })
}

/** Deletes one version; the artifact goes with its last one. Resolves with the artifact as it is afterwards. */
export const deleteVersion = (
  parts: Parts,
  caller: Caller,
  ref: string,
  index: number,
): Promise<Row<'artifacts'>> =>
  parts.db.write(async (trx) => {
    const artifact = await findLiveArtifact(trx, caller, ref)
    const version = await trx
      .selectFrom('versions')
      .selectAll()
      .where('artifact_uuid', '=', artifact.uuid)
      .where('idx', '=', index)
      .where('live', '=', 1)
      .executeTakeFirst()
    if (!version) throw new HoldfastError('version_not_found')
    await trx
      .deleteFrom('versions')
      .where('artifact_uuid', '=', artifact.uuid)
      .where('idx', '=', index)
      .execute()
    await noteReleased(trx, parts, [version])
    await forgetValidators(trx, artifact.uuid)
    await recordArtifactEvent(trx, parts, caller, artifact, 'audit', `deleted version ${index}`, {
      index,
      blob_uuid: version.blob_uuid,
    })
    const newest = await findNewest(trx, artifact.uuid)
    if (newest) {
      const change = { updated_at: parts.clock.now(), size: newest.size }
      await trx.updateTable('artifacts').set(change).where('uuid', '=', artifact.uuid).execute()
      await relistArtifact(trx, artifact.uuid, change)
      return { ...artifact, ...change }
    }
    const [gone] = await retireArtifacts(trx, parts, caller, [artifact])
    return gone!
  })

/**
 * Deletes artifacts: their versions are references no more, and an unfinished fetch ends. Returns the rows as they
 * are afterwards.
 */
export const retireArtifacts = async (
  trx: Transaction<Schema>,
  parts: Parts,
  caller: Caller,
  artifacts: readonly Row<'artifacts'>[],
): Promise<Row<'artifacts'>[]> => {
  const gone = { state: 'deleted', deleted_at: parts.clock.now() } as const
  for (const batch of batches(artifacts)) {
    const uuids = batch.map((artifact) => artifact.uuid)
    const released = await trx
      .selectFrom('versions')
      .select('blob_uuid')
      .distinct()
      .where('artifact_uuid', 'in', uuids)
      .where('live', '=', 1)
      .execute()
    await trx
      .updateTable('versions')
      .set({ live: 0 })
      .where('artifact_uuid', 'in', uuids)
      .where('live', '=', 1)
      .execute()
    await trx.updateTable('artifacts').set(gone).where('uuid', 'in', uuids).execute()
    await unlistArtifacts(trx, uuids)
    await trx.deleteFrom('fetches').where('artifact_uuid', 'in', uuids).execute()
    await noteReleased(trx, parts, released)
    await recordEvents(
      trx,
      parts,
      batch.map((artifact) => artifactEvent(caller, artifact, 'audit', 'deleted')),
    )
  }
  return artifacts.map((artifact) => ({ ...artifact, ...gone }))
}

/** Records an event of an artifact. */
export const recordArtifactEvent = (
  trx: Transaction<Schema>,
  parts: Parts,
  ...event: Parameters<typeof artifactEvent>
): Promise<void> => recordEvent(trx, parts, artifactEvent(...event))

const artifactEvent = (
  caller: Caller,
  artifact: Pick<Row<'artifacts'>, 'uuid'>,
  type: EventType,
  message: string,
  extra: Readonly<Record<string, unknown>> = {},
): NewEvent => ({
  objectType: 'artifact',
  objectUuid: artifact.uuid,
  namespace: caller.namespace,
  type,
  message,
  caller,
  extra,
})

/** The artifact that `ref` names, for changing it: deleted ones, which a UUID still finds, cannot be changed. */
export const findLiveArtifact = async (
  trx: Transaction<Schema>,
  caller: Caller,
  ref: string,
): Promise<Row<'artifacts'>> => {
  const artifact = await findArtifact(trx, caller, ref, 'write')
  if (artifact.state === 'deleted') throw new HoldfastError('artifact_not_found')
  return artifact
}

/** The newest version may be another one than was fetched last: the next fetch must not ask "changed since?". */
const forgetValidators = async (trx: Transaction<Schema>, artifactUuid: string): Promise<void> => {
  await trx
    .updateTable('fetches')
    .set({ etag: null, last_modified: null })
    .where('artifact_uuid', '=', artifactUuid)
    .execute()
}

/** These versions are references no more: their blobs may have lost their last one. */
const noteReleased = async (
  trx: Transaction<Schema>,
  parts: Parts,
  versions: readonly { readonly blob_uuid: string }[],
): Promise<void> => {
  const uuids = [...new Set(versions.map((version) => version.blob_uuid))]
  for (const batch of batches(uuids)) await noteUnreferenced(trx, parts, batch)
}

const findNewest = (trx: Transaction<Schema>, artifactUuid: string) =>
  trx
    .selectFrom('versions')
    .innerJoin('blobs', 'blobs.uuid', 'versions.blob_uuid')
    .select(['versions.idx', 'versions.blob_uuid', 'blobs.size'])
    .where('artifact_uuid', '=', artifactUuid)
    .where('live', '=', 1)
    .orderBy('idx', 'desc')
    .limit(1)
    .executeTakeFirst()

/** Databases bound how many parameters a statement may have. */
export function* batches<T>(rows: readonly T[], size = 500): Generator<readonly T[]> {
  for (let start = 0; start < rows.length; start += size) yield rows.slice(start, start + size)
}

/** Whether a version belongs to what is shown of its artifact: all that were not pruned or deleted one by one. */
export const isShown = sql<boolean>`(versions.live = 1 or artifacts.state = 'deleted')`
