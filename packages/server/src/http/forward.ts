/**
 * Requests that need the file of an upload which is on another node are passed on to it.
 *
 * **Which.** Those that name an upload whose files are not here and whose row names another node. The row is the caller's
 * business, or the upload does not exist for it: that is checked before anything is passed on, and by the owner again.
 *
 * **How.** Method, URL and headers go along, the client's own token among them. The body streams through as the owner takes
 * it, the reply as the client takes it; who goes away on one side is let go on the other. A body is not asked for before the owner
 * has said that it wants it, so early refusals stay early.
 *
 * **Once.** What is passed on carries a token of the nodes (`domain/nodes/node-tokens.ts`), and what carries one is answered
 * where it arrives.
 */
import { once } from 'node:events'
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { HoldfastError, isErrorCode, isHoldfastError } from '@holdfast/api/errors'
import type { RouteName } from '@holdfast/api/paths'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { findConversion, findConverted } from '../domain/convert-upload.ts'
import { signPassed } from '../domain/nodes/node-tokens.ts'
import type { NodeFacts } from '../domain/nodes/nodes.ts'
import { findUpload, ownsUpload } from '../domain/uploads.ts'
import type { Parts } from '../parts.ts'
import { agents, giveUp } from './node-connections.ts'
import { announcedLength, announcesBody, isAwaitingContinue, tellToContinue } from './request-body.ts'

/** The header of a request that a node passes on. */
export const passedHeader = 'holdfast-passed'

/** Where a route names an upload. */
const uploadNamedBy: Partial<Record<RouteName, (request: FastifyRequest) => unknown>> = {
  appendUpload: ({ params }) => (params as { upload_uuid: string }).upload_uuid,
  showUpload: ({ params }) => (params as { upload_uuid: string }).upload_uuid,
  headUpload: ({ params }) => (params as { upload_uuid: string }).upload_uuid,
  deleteUpload: ({ params }) => (params as { upload_uuid: string }).upload_uuid,
  truncateUpload: ({ params }) => (params as { upload_uuid: string }).upload_uuid,
  convertUpload: ({ body }) => (body as { upload_uuid?: string | null }).upload_uuid,
}

/** Whether requests of this route may have to be passed on. */
export const mayBePassedOn = (route: RouteName): boolean => Object.hasOwn(uploadNamedBy, route)

/** A connection takes no longer to come about, or the node is not there. */
const connectTimeoutMs = 3000
/** Nothing moves for this long, and for longer than an append may be silent. */
const silenceMs = 120_000
/** A node that is frozen accepts connections: whether it is there is looked at this often meanwhile. */
const lookMs = 1000
/** Larger bodies wait until the owner has said that it wants them. */
const smallBodyBytes = 64 * 1024
/** A refusal is not longer. */
const maxRefusalBytes = 64 * 1024

/** Passes the request on if it has to be, and answers it then: true. */
export const passOn = async (
  parts: Parts,
  route: RouteName,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<boolean> => {
  const uuid = uploadNamedBy[route]?.(request)
  if (typeof uuid !== 'string' || (await parts.uploadFiles.status(uuid.toLowerCase()))) return false
  const node = (await nodeOf(parts, request, uuid)) ?? (await leftoverNodeOf(parts, route, request, uuid))
  if (node === undefined || node === parts.nodes.name) return false
  const facts = await parts.nodes.find(node)
  if (!facts || facts.health === 'gone') {
    // It needs no file to give an upload up; should its node come back, it removes what it has of it.
    if (route === 'deleteUpload') return false
    parts.metrics.passedOn.inc({ outcome: 'gone' })
    throw new HoldfastError('upload_node_gone', { detail: { node } })
  }
  if (facts.url === '')
    throw notThere(facts, new Error('it has not said where: HOLDFAST_NODE_URL'), 'is starting')
  await exchange(parts, facts, request, reply)
  return true
}

/** The node of the caller's upload; undefined when there is none. */
const nodeOf = async (
  { db }: Parts,
  { caller }: FastifyRequest,
  uuid: string,
): Promise<string | undefined> => {
  try {
    return (await findUpload(db.read, caller, uuid)).node
  } catch (error) {
    if (isHoldfastError(error, 'upload_not_found')) return undefined
    throw error
  }
}

/**
 * A conversion that was cut short while it healed a damaged blob goes on where the upload's bytes are, when it is repeated.
 * Should that node be gone, the repetition is answered here: the blob is damaged.
 */
const leftoverNodeOf = async (
  { db, nodes }: Parts,
  route: RouteName,
  { caller }: FastifyRequest,
  uuid: string,
): Promise<string | undefined> => {
  if (route !== 'convertUpload') return undefined
  const done = await findConversion(db.read, uuid.toLowerCase())
  if (!done || !ownsUpload(caller, done)) return undefined
  const blob = await findConverted(db.read, done)
  const node = blob?.state === 'quarantined' ? await nodes.find(done.node) : undefined
  return node && node.health !== 'gone' ? node.name : undefined
}

const notThere = ({ name, health }: NodeFacts, cause: unknown, what = 'does not answer'): HoldfastError =>
  new HoldfastError('unavailable', {
    message: `the node that holds this upload ${what}`,
    detail: { node: name, health, retry_after: 1 },
    cause,
  })

const exchange = async (
  parts: Parts,
  node: NodeFacts,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> => {
  const { raw } = request
  const outgoing = await open(parts, node, request, reply)
  let failure: Error | undefined
  const fail = (what: string): void => {
    failure ??= new Error(what)
    giveUp(outgoing)
  }
  const letGo = () => giveUp(outgoing)
  reply.raw.once('close', letGo)
  const looking = setInterval(async () => {
    const health = await parts.nodes.find(node.name).then(
      (found) => found?.health,
      () => undefined,
    )
    if (health === 'gone') fail('it is gone')
  }, lookMs)
  reply.raw.once('close', () => clearInterval(looking))
  try {
    const answer = await converse(request, outgoing, fail)
    if (answer.statusCode! >= 400) throw await refusalOf(answer, reply)
    for (const [name, value] of Object.entries(answer.headers))
      if (!ofConnection.has(name) && value !== undefined) reply.header(name, value)
    reply.code(answer.statusCode!)
    parts.metrics.passedOn.inc({ outcome: 'answered' })
    if (request.method === 'HEAD') {
      answer.resume()
      await reply.send()
    } else await reply.send(answer)
    // A reply that came before the end of the body: nobody wants the rest.
    if (!raw.complete) raw.unpipe(outgoing)
  } catch (error) {
    raw.unpipe(outgoing)
    giveUp(outgoing)
    // Nobody is there to be told.
    if (reply.raw.destroyed && !isHoldfastError(error))
      throw new HoldfastError('body_incomplete', { cause: error })
    parts.metrics.passedOn.inc({ outcome: isHoldfastError(error) ? 'answered' : 'failed' })
    throw isHoldfastError(error) ? error : notThere(node, failure ?? error)
  }
}

/** Headers that are those of one connection and not of the request. */
const ofConnection: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
  'host',
])

/** Begins the request; nothing of its body is sent. */
const open = async (
  parts: Parts,
  node: NodeFacts,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<ClientRequest> => {
  const { raw } = request
  const base = new URL(node.url)
  const path = `${base.pathname.replace(/\/+$/, '')}${raw.url}`
  const headers: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(raw.headers))
    if (value !== undefined && !ofConnection.has(name) && name !== passedHeader) headers[name] = value
  headers['x-request-id'] = request.id
  headers[passedHeader] = await signPassed(parts, node.name, `${raw.method} ${raw.url}`, request.ip)
  const parsed = parsedBody(request)
  if (parsed !== undefined) headers['content-length'] = String(parsed.length)
  else if (announcesBody(raw) && isBodyLarge(raw)) headers.expect = '100-continue'
  // Who left while all this was found out is not heard leaving any more, and the owner would wait for the rest of the body.
  if (reply.raw.destroyed || (raw.destroyed && !raw.complete)) throw new HoldfastError('body_incomplete')
  const protocol = base.protocol as keyof typeof agents
  const send = protocol === 'https:' ? httpsRequest : httpRequest
  return send({
    protocol,
    hostname: base.hostname.replace(/^\[|\]$/g, ''),
    port: base.port || undefined,
    path,
    method: raw.method,
    headers,
    agent: agents[protocol],
    timeout: Math.max(silenceMs, 2000 * parts.config.uploadStall),
  })
}

/** A JSON body has been read by now, and goes on as what was understood. */
const parsedBody = ({ body, routeOptions, raw }: FastifyRequest): Buffer | undefined =>
  routeOptions.config.bytes || !announcesBody(raw) ? undefined : Buffer.from(JSON.stringify(body))

const isBodyLarge = (raw: IncomingMessage): boolean =>
  isAwaitingContinue(raw) || (announcedLength(raw) ?? Number.POSITIVE_INFINITY) > smallBodyBytes

/** Sends the body as the owner takes it, and resolves with the head of its reply. */
const converse = async (
  request: FastifyRequest,
  outgoing: ClientRequest,
  fail: (what: string) => void,
): Promise<IncomingMessage> => {
  const { raw } = request
  const connecting = setTimeout(
    () => fail(`no connection came about in ${connectTimeoutMs} ms`),
    connectTimeoutMs,
  )
  outgoing.once('socket', (socket) => {
    if (!socket.connecting) clearTimeout(connecting)
    else socket.once('connect', () => clearTimeout(connecting))
  })
  outgoing.once('timeout', () => fail('it has fallen silent'))
  // What fails after the head of the reply is seen by those who read it.
  outgoing.on('error', () => {})
  const sendBody = () => {
    tellToContinue(raw)
    raw.once('close', () => {
      if (!raw.complete) fail('the client went away')
    })
    raw.pipe(outgoing)
  }
  const parsed = parsedBody(request)
  if (parsed !== undefined) outgoing.end(parsed)
  else if (!announcesBody(raw)) outgoing.end()
  else if (outgoing.getHeader('expect') === undefined) sendBody()
  else {
    outgoing.once('continue', sendBody)
    outgoing.flushHeaders()
  }
  try {
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
    return answer
  } finally {
    clearTimeout(connecting)
  }
}

/** The refusal as if it had been made here. */
const refusalOf = async (answer: IncomingMessage, reply: FastifyReply): Promise<HoldfastError> => {
  const offset = answer.headers['upload-offset']
  if (offset !== undefined) reply.header('upload-offset', offset)
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxRefusalBytes) break
    chunks.push(chunk)
  }
  const { error, code, detail } = parseRefusal(Buffer.concat(chunks).toString())
  if (!isErrorCode(code))
    return new HoldfastError('unavailable', {
      message: 'the node that holds this upload gave an answer that is not understood',
      cause: new Error(`status ${answer.statusCode}`),
    })
  return new HoldfastError(code, {
    ...(typeof error === 'string' && { message: error }),
    ...(typeof detail === 'object' && detail !== null && { detail: detail as Record<string, unknown> }),
  })
}

const parseRefusal = (text: string): { error?: unknown; code?: unknown; detail?: unknown } => {
  try {
    return (JSON.parse(text) as object | null) ?? {}
  } catch {
    return {}
  }
}
