/**
 * Labels: artifacts of type `label`, whose versions a person chooses. Their identity is the URL
 * `sf://label/{namespace}/{name}`.
 */
import { HoldfastError } from '@holdfast/api/errors'
import type { ArtifactView } from '@holdfast/api/schemas'
import { deleted, type Sql } from '../db/database.ts'
import type { Row } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { withRoom } from './admission.ts'
import { artifactView } from './artifact-view.ts'
import { viewFor } from './artifacts.ts'
import { type ArtifactIdentity, addVersion, retireArtifacts } from './versions.ts'
import { findWholeBlob, mayAct, reachOf, readableArtifacts, requireNamespace } from './visibility.ts'

/** Which label: of the caller's own namespace unless another is named. */
export interface LabelRef {
  readonly namespace?: string | undefined
  readonly name: string
}

const identityOf = (caller: Caller, { namespace = caller.namespace, name }: LabelRef): ArtifactIdentity => ({
  namespace,
  type: 'label',
  sourceUrl: `sf://label/${namespace}/${name}`,
  name,
})

/**
 * Points a label, which is created when it is new, at a blob that the caller may see. Throws `blob_damaged` for one in
 * quarantine, like a conversion: a version that cannot be read is not acknowledged.
 */
export const updateLabel = async (
  parts: Parts,
  caller: Caller,
  ref: LabelRef,
  { blobUuid, maxVersions }: { blobUuid: string; maxVersions?: number | undefined },
): Promise<ArtifactView> => {
  const identity = identityOf(caller, ref)
  const { read } = parts.db
  await requireNamespace(read, caller, identity.namespace)
  const { uuid, size } = await findWholeBlob(read, caller, blobUuid, parts.clock.now())
  const wish = { namespace: identity.namespace, bytes: size, blobUuid: uuid }
  const artifact = await withRoom(parts, wish, () =>
    parts.db.write(async (trx) => {
      await requireNamespace(trx, caller, identity.namespace)
      const blob = await findWholeBlob(trx, caller, blobUuid, parts.clock.now())
      return (await addVersion(trx, parts, caller, { identity, blobUuid: blob.uuid, maxVersions })).artifact
    }),
  )
  return viewFor(parts, caller, artifact)
}

/** Shows a label that the caller may see. */
export const showLabel = async (parts: Parts, caller: Caller, ref: LabelRef): Promise<ArtifactView> => {
  const { read } = parts.db
  return artifactView(read, await reachOf(read, caller), await findLabel(read, caller, ref, 'read'), {
    instances: true,
  })
}

/** Deletes a label. */
export const deleteLabel = async (parts: Parts, caller: Caller, ref: LabelRef): Promise<ArtifactView> => {
  const gone = await parts.db.write(async (trx) => {
    const label = await findLabel(trx, caller, ref, 'write')
    return (await retireArtifacts(trx, parts, caller, [label]))[0]!
  })
  return viewFor(parts, caller, gone)
}

const findLabel = async (
  sql: Sql,
  caller: Caller,
  ref: LabelRef,
  access: 'read' | 'write',
): Promise<Row<'artifacts'>> => {
  const { namespace, type, sourceUrl } = identityOf(caller, ref)
  const reach = await reachOf(sql, caller)
  const label = await sql
    .selectFrom('artifacts')
    .selectAll()
    .where('namespace', '=', namespace)
    .where('type', '=', type)
    .where('source_url', '=', sourceUrl)
    .where('state', '<>', deleted)
    .where(readableArtifacts(reach))
    .executeTakeFirst()
  if (!label || (access === 'write' && !mayAct(reach, namespace))) throw new HoldfastError('label_not_found')
  return label
}
