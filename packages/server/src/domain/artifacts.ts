/**
 * Artifacts: named, typed lists of versions. What one may do with an existing one; lists are in `artifact-list.ts`,
 * new ones come from conversions, labels and fetches.
 */
import { HoldfastError } from '@holdfast/api/errors'
import type { ArtifactView } from '@holdfast/api/schemas'
import type { Transaction } from 'kysely'
import { deleted } from '../db/database.ts'
import type { Flag, Row, Schema } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { artifactView } from './artifact-view.ts'
import { relistArtifact } from './listed-metadata.ts'
import { deleteVersion, findLiveArtifact, recordArtifactEvent, retireArtifacts } from './versions.ts'
import { findArtifact, reachOf, requireNamespace, systemNamespace } from './visibility.ts'

/** One artifact by UUID, deleted ones too, or by name. */
export const showArtifact = async (parts: Parts, caller: Caller, ref: string): Promise<ArtifactView> => {
  const { read } = parts.db
  const reach = await reachOf(read, caller)
  const artifact = await findArtifact(read, caller, ref, 'read', reach)
  return artifactView(read, reach, artifact, { instances: true })
}

/** Deletes an artifact. One that is deleted already, which only a UUID can name, stays so: null. */
export const deleteArtifact = async (
  parts: Parts,
  caller: Caller,
  ref: string,
): Promise<ArtifactView | null> => {
  const gone = await parts.db.write(async (trx) => {
    const artifact = await findArtifact(trx, caller, ref, 'write')
    if (artifact.state === 'deleted') return undefined
    return (await retireArtifacts(trx, parts, caller, [artifact]))[0]
  })
  return gone ? viewFor(parts, caller, gone) : null
}

/** Deletes one version and shows what is left of the artifact. */
export const deleteVersionOf = async (
  parts: Parts,
  caller: Caller,
  ref: string,
  index: number,
): Promise<ArtifactView> => viewFor(parts, caller, await deleteVersion(parts, caller, ref, index))

/** Deletes all artifacts of the caller's namespace, or as `system` of the one named; resolves with their UUIDs. */
export const deleteArtifacts = async (
  parts: Parts,
  caller: Caller,
  { confirm, namespace }: { confirm: unknown; namespace: string | undefined },
): Promise<string[]> => {
  if (confirm !== true) throw new HoldfastError('confirm_missing')
  if (caller.namespace === systemNamespace && namespace === undefined)
    throw new HoldfastError('namespace_required')
  const target = namespace ?? caller.namespace
  if (caller.namespace !== systemNamespace && target !== caller.namespace)
    throw new HoldfastError('foreign_namespace')
  return parts.db.write(async (trx) => {
    await requireNamespace(trx, caller, target)
    return deleteAllArtifacts(trx, parts, caller, target)
  })
}

/**
 * Deletes every live artifact of a namespace inside the caller's transaction and resolves with their UUIDs. Checks
 * no rights: the caller of this function has.
 */
export const deleteAllArtifacts = async (
  trx: Transaction<Schema>,
  parts: Parts,
  caller: Caller,
  namespace: string,
): Promise<string[]> => {
  const artifacts = await trx
    .selectFrom('artifacts')
    .selectAll()
    .where('namespace', '=', namespace)
    .where('state', '<>', deleted)
    .orderBy('created_at')
    .orderBy('uuid')
    .execute()
  await retireArtifacts(trx, parts, caller, artifacts)
  return artifacts.map((artifact) => artifact.uuid)
}

/** Lets everybody read an artifact of the system namespace. */
export const shareArtifact = (parts: Parts, caller: Caller, ref: string): Promise<ArtifactView> =>
  changeSharing(parts, caller, ref, 1, (artifact) => {
    if (artifact.namespace !== systemNamespace) throw new HoldfastError('not_shareable')
  })

/** Takes sharing back. */
export const unshareArtifact = (parts: Parts, caller: Caller, ref: string): Promise<ArtifactView> =>
  changeSharing(parts, caller, ref, 0, (artifact) => {
    if (artifact.shared === 0) throw new HoldfastError('not_shared')
  })

const changeSharing = async (
  parts: Parts,
  caller: Caller,
  ref: string,
  shared: Flag,
  check: (artifact: Row<'artifacts'>) => void,
): Promise<ArtifactView> => {
  const changed = await parts.db.write(async (trx) => {
    const artifact = await findLiveArtifact(trx, caller, ref)
    check(artifact)
    if (artifact.shared === shared) return artifact
    await trx.updateTable('artifacts').set({ shared }).where('uuid', '=', artifact.uuid).execute()
    await relistArtifact(trx, artifact.uuid, { shared })
    await recordArtifactEvent(trx, parts, caller, artifact, 'audit', shared ? 'shared' : 'unshared')
    return { ...artifact, shared }
  })
  return viewFor(parts, caller, changed)
}

/** What the caller sees of an artifact that it has just changed. */
export const viewFor = async (
  parts: Parts,
  caller: Caller,
  artifact: Row<'artifacts'>,
): Promise<ArtifactView> => {
  const { read } = parts.db
  return artifactView(read, await reachOf(read, caller), artifact)
}
