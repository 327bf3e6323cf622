/**
 * The whole server as a Fastify instance, without listening: every handler put in its place.
 */
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import packageFile from '../package.json' with { type: 'json' }
import { verifyToken } from './domain/tokens.ts'
import { createHttp } from './http/http-server.ts'
import { buildOpenapi } from './http/openapi.ts'
import { servePage } from './http/page-files.ts'
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
export const createApp = async (parts: Parts): Promise<FastifyInstance> => {
  const openapi = buildOpenapi(parts.config.publicUrl || '/', packageFile.version)
  const app = createHttp(parts, (isStopping) => ({
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
      ...serverHandlers(isStopping),
    },
    rawHandlers: rawHandlers(JSON.stringify(openapi)),
    authenticate: verifyToken,
  }))
  await app.register(swagger, { mode: 'static', specification: { document: openapi as never } })
  await app.register(swaggerUi, { routePrefix: '/apidocs', staticCSP: apidocsPolicy })
  await servePage(app)
  return app
}

/** The pages of Swagger UI load nothing from elsewhere; its style sheets are partly inline. */
const apidocsPolicy =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'"
