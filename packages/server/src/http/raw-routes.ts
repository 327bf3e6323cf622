/**
 * Routes whose reply is not JSON made by a handler: pages, documents, headers, bytes.
 */
import { statfs } from 'node:fs/promises'
import type { FastifyRequest } from 'fastify'
import { showUpload } from '../domain/uploads.ts'
import { appendUpload } from './append-route.ts'
import type { OpenapiDocument } from './openapi.ts'
import type { Place } from './proxy-headers.ts'
import type { RawHandlers } from './register.ts'
import { rootPage, rootPagePolicy } from './root-page.ts'
import { sendBlobData } from './send-blob-data.ts'

/** Makes the handlers of a server whose clients reach it where `placeOf` says, and of its document. */
export const rawHandlers = (
  placeOf: (request: FastifyRequest) => Place,
  openapiFor: (request: FastifyRequest) => OpenapiDocument,
): RawHandlers => ({
  appendUpload,

  readBlob: sendBlobData,
  headBlobData: sendBlobData,

  headUpload: async (parts, call, _request, reply) => {
    const { size } = await showUpload(parts, call.caller, call.params.upload_uuid)
    return reply.header('upload-offset', size).header('cache-control', 'no-store').send()
  },

  showRoot: async (_parts, _call, request, reply) =>
    reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', rootPagePolicy)
      .send(rootPage(placeOf(request).path)),

  showMetrics: async ({ config, metrics: { registry, freeBytes } }, _call, _request, reply) => {
    const { bavail, bsize } = await statfs(config.dataDir)
    freeBytes.set(bavail * bsize)
    return reply.type(registry.contentType).send(await registry.metrics())
  },

  showOpenapi: async (_parts, _call, request, reply) =>
    reply.type('application/json').send(JSON.stringify(openapiFor(request))),
})
