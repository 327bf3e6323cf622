/**
 * Routes of blobs that answer JSON. Their bytes are sent by `send-blob-data.ts`.
 */
import { listBlobs, showBlob, showChecksum } from '../../domain/blobs.ts'
import { findBlobByHash } from '../../domain/find-blob.ts'
import type { Handlers } from '../handlers.ts'
import { nextPageLink } from '../page-link.ts'

export const blobHandlers = {
  async listBlobs(parts, { caller, query, body, setHeader }) {
    const { items, next } = await listBlobs(parts, caller, {
      node: body.node ?? undefined,
      limit: query.limit,
      cursor: query.cursor,
    })
    if (next !== undefined) setHeader('link', nextPageLink(query, next))
    return [...items]
  },

  showBlob: (parts, { caller, params }) => showBlob(parts, caller, params.blob_uuid),

  showBlobChecksum: (parts, { caller, params }) =>
    showChecksum(parts, caller, params.blob_uuid, params.algorithm),

  findBlob: (parts, { caller, params }) => findBlobByHash(parts, caller, params.algorithm, params.hash),
} satisfies Pick<Handlers, 'listBlobs' | 'showBlob' | 'showBlobChecksum' | 'findBlob'>
