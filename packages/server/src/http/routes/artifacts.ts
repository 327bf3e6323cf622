/**
 * Routes of artifacts and their versions, and those that make them from uploads, blobs and URLs.
 */
import { listArtifacts } from '../../domain/artifact-list.ts'
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
import { listVersions } from '../../domain/version-list.ts'
import { setMaxVersions } from '../../domain/versions.ts'
import type { Handlers } from '../handlers.ts'
import { metadataOf, millisOf } from '../list-query.ts'
import { listReply } from '../list-reply.ts'

export const artifactHandlers = {
  listArtifacts: (parts, call) =>
    listReply(call, (page) => {
      const { caller, query, body } = call
      return listArtifacts(parts, caller, {
        ...page,
        node: body.node ?? undefined,
        sort: query.sort,
        namePrefix: query.name,
        type: query.type,
        namespace: query.namespace,
        state: query.state,
        createdAfter: millisOf(query.created_after),
        metadata: metadataOf(query),
        blobUuid: query.blob_uuid,
      })
    }),

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

  listVersions: (parts, call) =>
    listReply(call, (page) =>
      listVersions(parts, call.caller, call.params.artifact_ref, {
        ...page,
        sort: call.query.sort,
        createdAfter: millisOf(call.query.created_after),
      }),
    ),

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
