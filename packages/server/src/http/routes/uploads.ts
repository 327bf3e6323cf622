/**
 * Routes of uploads that answer JSON. Their bytes come in through `append-route.ts`.
 */

import type { UploadView } from '@holdfast/api/schemas'
import { createUpload, deleteUpload, listUploads, showUpload, truncateUpload } from '../../domain/uploads.ts'
import { askNode, isPassedOn } from '../ask-node.ts'
import type { Handlers } from '../handlers.ts'

export const uploadHandlers = {
  createUpload: (parts, { caller, body }) =>
    createUpload(parts, caller, { size: body.size == null ? undefined : Number(body.size) }),

  listUploads: (parts, call) =>
    listUploads(
      parts,
      call.caller,
      isPassedOn(call) ? undefined : (node) => askNode<UploadView[]>(parts, node, '/upload', call),
    ),

  showUpload: (parts, { caller, params }) => showUpload(parts, caller, params.upload_uuid),

  async deleteUpload(parts, { caller, params }) {
    await deleteUpload(parts, caller, params.upload_uuid)
    return null
  },

  async truncateUpload(parts, { caller, params }) {
    await truncateUpload(parts, caller, params.upload_uuid, params.size)
    return null
  },
} satisfies Pick<Handlers, 'createUpload' | 'listUploads' | 'showUpload' | 'deleteUpload' | 'truncateUpload'>
