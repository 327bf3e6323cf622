/**
 * The whole server as a Fastify instance, without listening: every handler put in its place.
 */
import type { SecureContextOptions } from 'node:tls'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import packageFile from '../package.json' with { type: 'json' }
import { verifyToken } from './domain/tokens.ts'
import { serveApiPages } from './http/api-pages.ts'
import { createHttp } from './http/http-server.ts'
import { buildOpenapi, openapiAt } from './http/openapi.ts'
import { servePage } from './http/page-files.ts'
import { createPlaces } from './http/proxy-headers.ts'
import { rawHandlers } from './http/raw-routes.ts'
import { adminHandlers } from './http/routes/admin.ts'
import { adminBackupHandlers } from './http/routes/admin-backup.ts'
import { artifactHandlers } from './http/routes/artifacts.ts'
import { authHandlers } from './http/routes/auth.ts'
import { blobHandlers } from './http/routes/blobs.ts'
import { eventHandlers } from './http/routes/events.ts'
import { labelHandlers } from './http/routes/labels.ts'
import { metadataHandlers } from './http/routes/metadata.ts'
import { namespaceHandlers } from './http/routes/namespaces.ts'
import { serverHandlers } from './http/routes/server.ts'
import { uploadHandlers } from './http/routes/uploads.ts'
import type { Parts } from './parts.ts'

/** Makes the server of these parts. `close` stops it: no new requests, those in flight are finished. */
export const createApp = async (parts: Parts, tls?: SecureContextOptions): Promise<FastifyInstance> => {
  const placeOf = createPlaces(parts.config)
  const document = buildOpenapi(packageFile.version)
  const openapiFor = (request: FastifyRequest) => openapiAt(document, placeOf(request).url)
  const app = createHttp(
    parts,
    (isLeaving) => ({
      handlers: {
        ...authHandlers,
        ...namespaceHandlers,
        ...metadataHandlers,
        ...eventHandlers,
        ...uploadHandlers,
        ...artifactHandlers,
        ...labelHandlers,
        ...blobHandlers,
        ...adminHandlers,
        ...adminBackupHandlers,
        ...serverHandlers(isLeaving),
      },
      rawHandlers: rawHandlers(placeOf, openapiFor),
      authenticate: verifyToken,
    }),
    tls,
  )
  await serveApiPages(app, document, openapiFor)
  await servePage(app)
  return app
}
