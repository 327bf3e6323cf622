/**
 * Metadata of artifacts, blobs and namespaces: the same four routes for each.
 */
import { deleteMetadata, type MetadataTarget, setMetadata, showMetadata } from '../../domain/metadata.ts'
import type { Handlers } from '../handlers.ts'

const artifact = (params: { artifact_ref: string }): MetadataTarget => ({
  type: 'artifact',
  ref: params.artifact_ref,
})
const blob = (params: { blob_uuid: string }): MetadataTarget => ({ type: 'blob', ref: params.blob_uuid })
const namespace = (params: { namespace: string }): MetadataTarget => ({
  type: 'namespace',
  ref: params.namespace,
})

const set = async (...change: Parameters<typeof setMetadata>): Promise<null> => {
  await setMetadata(...change)
  return null
}
const remove = async (...change: Parameters<typeof deleteMetadata>): Promise<null> => {
  await deleteMetadata(...change)
  return null
}

export const metadataHandlers = {
  showArtifactMetadata: (parts, { caller, params }) => showMetadata(parts, caller, artifact(params)),
  addArtifactMetadata: (parts, { caller, params, body }) =>
    set(parts, caller, artifact(params), body.key, body.value),
  setArtifactMetadata: (parts, { caller, params, body }) =>
    set(parts, caller, artifact(params), params.key, body.value),
  deleteArtifactMetadata: (parts, { caller, params }) => remove(parts, caller, artifact(params), params.key),

  showBlobMetadata: (parts, { caller, params }) => showMetadata(parts, caller, blob(params)),
  addBlobMetadata: (parts, { caller, params, body }) =>
    set(parts, caller, blob(params), body.key, body.value),
  setBlobMetadata: (parts, { caller, params, body }) =>
    set(parts, caller, blob(params), params.key, body.value),
  deleteBlobMetadata: (parts, { caller, params }) => remove(parts, caller, blob(params), params.key),

  showNamespaceMetadata: (parts, { caller, params }) => showMetadata(parts, caller, namespace(params)),
  addNamespaceMetadata: (parts, { caller, params, body }) =>
    set(parts, caller, namespace(params), body.key, body.value),
  setNamespaceMetadata: (parts, { caller, params, body }) =>
    set(parts, caller, namespace(params), params.key, body.value),
  deleteNamespaceMetadata: (parts, { caller, params }) =>
    remove(parts, caller, namespace(params), params.key),
} satisfies Pick<
  Handlers,
  | 'showArtifactMetadata'
  | 'addArtifactMetadata'
  | 'setArtifactMetadata'
  | 'deleteArtifactMetadata'
  | 'showBlobMetadata'
  | 'addBlobMetadata'
  | 'setBlobMetadata'
  | 'deleteBlobMetadata'
  | 'showNamespaceMetadata'
  | 'addNamespaceMetadata'
  | 'setNamespaceMetadata'
  | 'deleteNamespaceMetadata'
>
