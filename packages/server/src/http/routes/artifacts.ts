/**
 * Routes of artifacts and their versions, and those that make them from uploads, blobs and URLs.
 */
import { listArtifacts, listVersions } from '../../domain/artifact-list.ts'
import {
  deleteArtifact,
  deleteArtifacts,
  deleteVersionOf,
  shareArtifact,
  showArtifact,
  unshareArtifact,
} from '../../domain/artifacts.ts'
import { convert } from '../../domain/convert.ts'
import { fetchArtifact } from '../../domain/fetch-artifact.ts'
import { setMaxVersions } from '../../domain/versions.ts'
import type { Handlers } from '../handlers.ts'
import { nextPageLink } from '../page-link.ts'

export const artifactHandlers = {
  async listArtifacts(parts, { caller, query, body, setHeader }) {
    const { items, next } = await listArtifacts(parts, caller, {
      node: body.node ?? undefined,
      limit: query.limit,
      cursor: query.cursor,
      sort: query.sort,
      namePrefix: query.name,
      type: query.type,
      namespace: query.namespace,
      state: query.state,
      createdAfter: query.created_after === undefined ? undefined : query.created_after * 1000,
    })
    if (next !== undefined) setHeader('link', nextPageLink(query, next))
    return [...items]
  },

  fetchArtifact: (parts, { caller, body }) =>
    fetchArtifact(parts, caller, {
      url: body.url,
      shared: body.shared ?? undefined,
      namespace: body.namespace ?? undefined,
    }),

  deleteArtifacts: (parts, { caller, body }) =>
    deleteArtifacts(parts, caller, { confirm: body.confirm, namespace: body.namespace ?? undefined }),

  convertUpload: (parts, { caller, params, body }) =>
    convert(parts, caller, {
      name: params.name,
      uploadUuid: body.upload_uuid ?? undefined,
      blobUuid: body.blob_uuid ?? undefined,
      sourceUrl: body.source_url ?? undefined,
      shared: body.shared ?? undefined,
      namespace: body.namespace ?? undefined,
      artifactType: body.artifact_type ?? undefined,
      sha512: body.sha512 ?? undefined,
      size: body.size == null ? undefined : Number(body.size),
    }),

  showArtifact: (parts, { caller, params }) => showArtifact(parts, caller, params.artifact_ref),

  deleteArtifact: (parts, { caller, params }) => deleteArtifact(parts, caller, params.artifact_ref),

  async listVersions(parts, { caller, params, query, setHeader }) {
    const { items, next } = await listVersions(parts, caller, params.artifact_ref, query)
    if (next !== undefined) setHeader('link', nextPageLink(query, next))
    return [...items]
  },

  async setMaxVersions(parts, { caller, params, body }) {
    const wanted = body.max_versions == null ? undefined : Number(body.max_versions)
    await setMaxVersions(parts, caller, params.artifact_ref, wanted)
    return null
  },

  deleteVersion: (parts, { caller, params }) =>
    deleteVersionOf(parts, caller, params.artifact_ref, params.index),

  shareArtifact: (parts, { caller, params }) => shareArtifact(parts, caller, params.artifact_ref),

  unshareArtifact: (parts, { caller, params }) => unshareArtifact(parts, caller, params.artifact_ref),
} satisfies Pick<
  Handlers,
  | 'listArtifacts'
  | 'fetchArtifact'
  | 'deleteArtifacts'
  | 'convertUpload'
  | 'showArtifact'
  | 'deleteArtifact'
  | 'listVersions'
  | 'setMaxVersions'
  | 'deleteVersion'
  | 'shareArtifact'
  | 'unshareArtifact'
>
