/**
 * Fastify with the settings, limits and habits that hold for every request, and the routes of the contract on it.
 */
import type { SecureContextOptions } from 'node:tls'
import { maxJsonBytes } from '@holdfast/api/limits'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import type { Parts } from '../parts.ts'
import { parsePublicUrl, withoutBasePath } from '../public-url.ts'
import { answerClientError } from './client-errors.ts'
import { sendError } from './errors.ts'
import { translateForwarded } from './proxy-headers.ts'
import { type Routes, registerRoutes } from './register.ts'
import { deferContinue } from './request-body.ts'
import { requestIdOf } from './request-id.ts'
import { observe } from './request-log.ts'
import { RequestLogger } from './request-logger.ts'

/** Long enough for every name that fits into the headers, so that its length is refused by validation. */
const maxHeaderBytes = 16 * 1024
const keepAliveMs = 75_000
/** Silence in both directions after which a connection is given up, also one whose client reads no further. */
const idleMs = 10 * 60_000

declare module 'fastify' {
  interface FastifyInstance {
    /** From now on the server says that it is not ready, and goes on as before: so that nobody new comes. */
    sayLeaving(): void
  }
}

/** Makes the answers of a server; `isLeaving` tells whether it is going down, or will in a moment. */
export type MakeRoutes = (isLeaving: () => boolean) => Omit<Routes, 'isStopping'>

/** Makes the instance, which speaks HTTPS if it has a certificate. `close` stops it: no new requests, those in flight are finished. */
export const createHttp = (
  parts: Parts,
  makeRoutes: MakeRoutes,
  tls?: SecureContextOptions,
): FastifyInstance => {
  const { config, metrics } = parts
  const { path: basePath } = parsePublicUrl(config.publicUrl)
  const headersTimeoutMs = config.requestTimeout * 1000
  const connections = {
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: headersTimeoutMs,
    connectionsCheckingInterval: Math.min(5_000, headersTimeoutMs / 2),
    requireHostHeader: false,
  }
  const app = Fastify({
    loggerInstance: parts.log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    childLoggerFactory: (log, bindings) => new RequestLogger(log, bindings),
    genReqId: requestIdOf,
    requestIdHeader: false,
    bodyLimit: maxJsonBytes,
    trustProxy: config.trustedProxies.length > 0 && [...config.trustedProxies],
    // Uploads may take as long as bytes flow; silence is measured where bodies are read.
    requestTimeout: 0,
    connectionTimeout: idleMs,
    keepAliveTimeout: keepAliveMs,
    // The server itself says which of the two it is; the compiler need not.
    ...(tls
      ? { https: { ...connections, ...tls, handshakeTimeout: headersTimeoutMs } as never }
      : { http: connections }),
    routerOptions: { ignoreDuplicateSlashes: true, maxParamLength: maxHeaderBytes },
    rewriteUrl: ({ url = '/' }) => withoutBasePath(basePath, url),
    exposeHeadRoutes: false,
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      observe(parts, request, reply)
      sendError(error, request, reply)
    },
    clientErrorHandler: answerClientError(parts.log),
  })
  const server = app.server
  // Before Fastify's own listener.
  if (config.proxyHeaders === 'forwarded') server.prependListener('request', translateForwarded)
  server.maxConnections = config.maxConnections || Number.POSITIVE_INFINITY
  server.on('drop', () => metrics.droppedConnections.inc())
  server.on('connection', (socket) => {
    metrics.connections.inc()
    socket.once('close', () => metrics.connections.dec())
  })
  // `100 Continue` is sent when the body is first read, and never when the request is refused before.
  server.on('checkContinue', (raw, response) => {
    deferContinue(raw, response)
    server.emit('request', raw, response)
  })
  server.on('checkExpectation', (raw, response) => server.emit('request', raw, response))

  let leaving = false
  app.decorate('sayLeaving', () => {
    leaving = true
  })
  let stopping = false
  const isStopping = () => stopping
  app.addHook('preClose', async () => {
    stopping = true
  })
  // Node closes idle connections once, when the closing begins; the others are to go as they become idle.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (stopping) reply.header('connection', 'close')
    done(null, payload)
  })
  app.addHook('onResponse', (_request, _reply, done) => {
    if (stopping) setImmediate(() => server.closeIdleConnections())
    done()
  })
  registerRoutes(app, parts, { ...makeRoutes(() => leaving || stopping), isStopping })
  return app
}
