/**
 * Routes of blobs that answer JSON. Their bytes are sent by `send-blob-data.ts`.
 */
import { listBlobs } from '../../domain/blob-list.ts'
import { showBlob, showChecksum } from '../../domain/blobs.ts'
import { findBlobByHash } from '../../domain/find-blob.ts'
import type { Handlers } from '../handlers.ts'
import { metadataOf, millisOf } from '../list-query.ts'
import { listReply } from '../list-reply.ts'

export const blobHandlers = {
  listBlobs: (parts, call) =>
    listReply(call, (page) => {
      const { caller, query, body } = call
      return listBlobs(parts, caller, {
        ...page,
        node: body.node ?? undefined,
        sort: query.sort,
        state: query.state,
        createdAfter: millisOf(query.created_after),
        metadata: metadataOf(query),
      })
    }),

  showBlob: (parts, { caller, params }) => showBlob(parts, caller, params.blob_uuid),

  showBlobChecksum: (parts, { caller, params }) =>
    showChecksum(parts, caller, params.blob_uuid, params.algorithm),

  findBlob: (parts, { caller, params }) => findBlobByHash(parts, caller, params.algorithm, params.hash),
} satisfies Pick<Handlers, 'listBlobs' | 'showBlob' | 'showBlobChecksum' | 'findBlob'>
