/**
 * Puts every route of the contract on a Fastify instance: method and path from `paths.ts`, validation from
 * `contract.ts`, the answer from the handlers. Every request passes the same stations in this order: request id,
 * access token, room for one more request, body, validation, handler. Whatever one of them refuses ends in `errors.ts`.
 */
import type { IncomingMessage } from 'node:http'
import { routeContract } from '@holdfast/api/contract'
import { HoldfastError } from '@holdfast/api/errors'
import { paths, type RouteName, splitPath } from '@holdfast/api/paths'
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods, RouteHandlerMethod } from 'fastify'
import { type PassedRequest, readPassed } from '../domain/nodes/node-tokens.ts'
import type { Caller, Parts } from '../parts.ts'
import { callOf } from './call.ts'
import { sendError } from './errors.ts'
import { mayBePassedOn, passedHeader, passOn } from './forward.ts'
import type { Call, HandledRoute, Handler, Handlers } from './handlers.ts'
import { RequestsInFlight } from './in-flight.ts'
import { readJsonBody } from './json-body.ts'
import { WholeList } from './list-reply.ts'
import { refuseUnknown } from './not-found.ts'
import { requestIdHeader } from './request-id.ts'
import { observe } from './request-log.ts'
import { sendWholeList } from './send-whole-list.ts'
import { compileValidator, describeFailure } from './validation.ts'
import { removeExtensions } from './without-extensions.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route's name in the contract. */
    route?: RouteName
    /** The route reads its body itself. */
    bytes?: true
  }
  interface FastifyRequest {
    caller: Caller
    /** Which node has passed the request on, and for whom; undefined when it comes from a client. */
    passed: PassedRequest | undefined
  }
}

/** Routes that write their replies themselves, or read their bodies. */
export type RawRouteName = Exclude<RouteName, HandledRoute>

/** Answers a route whose request or reply is not JSON, through Fastify's `reply`. */
export type RawHandler<K extends RawRouteName> = (
  parts: Parts,
  call: Call<K>,
  request: FastifyRequest,
  reply: FastifyReply,
) => Promise<FastifyReply>

/** All of them: with `Handlers` this makes a handler for every route of the contract. */
export type RawHandlers = { readonly [K in RawRouteName]: RawHandler<K> }

/** Finds out who asks, or throws why not. */
export type Authenticate = (
  parts: Parts,
  authorization: string | undefined,
  requestId: string,
) => Promise<Caller>

export interface Routes {
  readonly handlers: Handlers
  readonly rawHandlers: RawHandlers
  readonly authenticate: Authenticate
  /** Whether the server is going down, and takes no more work. */
  isStopping(): boolean
}

/** Routes that answer while the server is going down, or has too much to do: they tell of it. */
const answeredAlways: ReadonlySet<RouteName> = new Set<RouteName>([
  'showHealth',
  'showReadiness',
  'showMetrics',
])

/** Registers what all routes share, and then each of them. */
export const registerRoutes = (app: FastifyInstance, parts: Parts, routes: Routes): void => {
  // Bodies are JSON or bytes, whatever the Content-Type says, and GET and DELETE have them too.
  app.addHttpMethod('GET', { hasBody: true, overrideExisting: true })
  // No route takes QUERY. Fastify would refuse one without a Content-Type before it finds that out.
  app.addHttpMethod('QUERY', { hasBody: false, overrideExisting: true })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', async ({ raw, routeOptions: { config } }: FastifyRequest) =>
    config.route === undefined || config.bytes
      ? undefined
      : readJsonBody(raw, parts.config.requestTimeout * 1000),
  )
  app.setValidatorCompiler(compileValidator)
  app.decorateRequest('caller')
  app.decorateRequest('passed')
  app.addHook('onRequest', async (request, reply) => {
    observe(parts, request, reply)
    // On Node's own object, so that replies which bypass Fastify carry them too.
    reply.raw.setHeader(requestIdHeader, request.id).setHeader('x-content-type-options', 'nosniff')
    requireOneHost(request.raw)
    const passed = request.raw.headers[passedHeader]
    if (passed !== undefined) {
      const { method, url } = request.raw
      request.passed = await readPassed(parts, String(passed), `${method} ${url}`)
    }
    // Fastify refuses Content-Types it cannot read, but nothing here depends on them.
    delete request.raw.headers['content-type']
  })
  app.addHook('preValidation', (request, _reply, done) => {
    request.body ??= {}
    done()
  })
  if (!parts.config.extensions) removeExtensions(app, parts)
  app.setErrorHandler(sendError)
  app.setNotFoundHandler(refuseUnknown)
  const inFlight = new RequestsInFlight(parts.config, parts.metrics.requestsInFlight)
  for (const name of Object.keys(paths) as RouteName[]) registerRoute(app, parts, routes, inFlight, name)
}

/** Node answers a missing Host with an empty 400, and of two it takes the first, where a proxy may take the other. */
const requireOneHost = ({ httpVersion, rawHeaders }: IncomingMessage): void => {
  let hosts = 0
  for (let at = 0; at < rawHeaders.length; at += 2) if (rawHeaders[at]!.toLowerCase() === 'host') hosts++
  if (hosts > 1 || (hosts === 0 && httpVersion === '1.1'))
    throw new HoldfastError('invalid_request', { message: 'the request must have one Host header' })
}

const registerRoute = (
  app: FastifyInstance,
  parts: Parts,
  routes: Routes,
  inFlight: RequestsInFlight,
  name: RouteName,
): void => {
  const contract = routeContract(name)
  const { method, path } = splitPath(name)
  const { params, query, headers, body } = contract
  const options = {
    url: path.replace(/\{(\w+)\}/g, ':$1'),
    config: { route: name, ...(contract.bytes ? { bytes: true as const } : {}) },
    schemaErrorFormatter: describeFailure(contract),
    onRequest: async (request: FastifyRequest, reply: FastifyReply) => {
      request.caller = contract.public
        ? { namespace: '', keyName: '', requestId: request.id }
        : await routes.authenticate(parts, request.headers.authorization, request.id)
      if (answeredAlways.has(name)) return
      if (routes.isStopping()) throw new HoldfastError('unavailable')
      const leave = inFlight.enter(request.caller.namespace)
      if (reply.raw.destroyed) leave()
      else reply.raw.once('close', leave)
    },
    // After validation: what is refused for its form is refused here.
    ...(parts.nodes.isShared &&
      mayBePassedOn(name) && {
        preHandler: async (request: FastifyRequest, reply: FastifyReply) => {
          if (request.passed === undefined && (await passOn(parts, name, request, reply))) return reply
        },
      }),
    handler: handlerOf(parts, routes, name),
  }
  const schema = {
    ...(params && { params }),
    ...(query && { querystring: query }),
    ...(headers && { headers }),
  }
  app.route({ ...options, method: method as HTTPMethods, schema: { ...schema, ...(body && { body }) } })
  if (method === 'GET' && !hasHeadRoute(path)) app.route({ ...options, method: 'HEAD', schema })
}

/** Whether the contract has a HEAD route of its own at this path; every other GET route answers HEAD as well. */
export const hasHeadRoute = (path: string): boolean =>
  (Object.values(paths) as string[]).includes(`HEAD ${path}`)

const handlerOf = (parts: Parts, { handlers, rawHandlers }: Routes, name: RouteName): RouteHandlerMethod => {
  if (Object.hasOwn(rawHandlers, name)) {
    const handle = rawHandlers[name as RawRouteName] as RawHandler<RawRouteName>
    return (request, reply) => handle(parts, callOf(request, reply), request, reply)
  }
  const handle = handlers[name as HandledRoute] as Handler<HandledRoute>
  return async (request, reply) => {
    const answer = await handle(parts, callOf(request, reply))
    reply.type('application/json').header('cache-control', 'no-store')
    if (answer instanceof WholeList) return sendWholeList<unknown>(answer, request, reply)
    // As text: Fastify would send `null` as no body, and has nothing to add to a reply the compiler has checked.
    return reply.send(JSON.stringify(answer))
  }
}
