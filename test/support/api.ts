/**
 * A plain HTTP client for black-box tests. It sends what it is told, GET bodies and nonsense included, and holds every
 * reply against the contract: a reply of an unknown shape, or a refusal the route does not list, fails the test.
 */
import { type Agent, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline, type Readable } from 'node:stream'
import { commonErrors, isRawReply, routeContract, tokenErrors } from '@holdfast/api/contract'
import { errorTable, isErrorCode } from '@holdfast/api/errors'
import { paths, type RouteName, splitPath } from '@holdfast/api/paths'
import { ErrorReply } from '@holdfast/api/schemas'
import Value from 'typebox/value'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly bytes: Buffer
  // biome-ignore lint/suspicious/noExplicitAny: tests look into replies of every shape
  readonly json: any
}

export interface Ask {
  readonly token?: string | undefined
  readonly json?: unknown
  readonly body?: Buffer | string | Readable
  readonly headers?: Readonly<Record<string, string>>
  /** Keeps connections; without one each request has its own. */
  readonly agent?: Agent | undefined
  /** Skip the comparison with the contract, for requests that never reach a route. */
  readonly unchecked?: true
}

const routes = (Object.keys(paths) as RouteName[]).map((name) => {
  const { method, path } = splitPath(name)
  const pattern = new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`)
  return { name, method, pattern, literal: !path.includes('{') }
})

/** The route that a request reaches, as the contract has it. */
export const routeOf = (method: string, target: string): RouteName | undefined => {
  const path = target.split('?', 1)[0]!
  const found = routes.filter((route) => route.method === method && route.pattern.test(path))
  return (found.find((route) => route.literal) ?? found[0])?.name
}

/** Why a reply breaks the contract; undefined when it does not. */
const complaint = (method: string, target: string, answer: Answer): string | undefined => {
  const name = routeOf(method, target)
  if (answer.headers['x-request-id'] === undefined) return 'no X-Request-ID'
  if (answer.status >= 400) {
    if (method === 'HEAD') return undefined
    if (!Value.Check(ErrorReply, answer.json)) return `not an error reply: ${answer.bytes}`
    const { code, status } = answer.json as { code: string; status: number }
    if (!isErrorCode(code)) return `unknown code ${code}`
    if (status !== answer.status || errorTable[code].status !== status)
      return `code ${code} with status ${answer.status}`
    const listed: readonly string[] = name
      ? [...routeContract(name).errors, ...commonErrors, ...(routeContract(name).public ? [] : tokenErrors)]
      : ['route_not_found', 'method_not_allowed']
    return listed.includes(code) ? undefined : `${name} does not list ${code}`
  }
  if (!name) return 'a reply from a route that is not in the contract'
  const { reply } = routeContract(name)
  if (isRawReply(reply)) return undefined
  const [error] = Value.Errors(reply, answer.json)
  return error ? `${name} answered ${answer.bytes.subarray(0, 2000)}: ${JSON.stringify(error)}` : undefined
}

/** Sends one request and answers what came back, checked against the contract. */
export const send = async (base: string, method: string, target: string, ask: Ask = {}): Promise<Answer> => {
  const body = ask.json === undefined ? ask.body : JSON.stringify(ask.json, null, 4)
  const headers: Record<string, string | number> = { ...ask.headers }
  if (ask.token !== undefined) headers.Authorization = `Bearer ${ask.token}`
  if (ask.json !== undefined) headers['Content-Type'] ??= 'application/json'
  if (typeof body === 'string' || Buffer.isBuffer(body)) headers['Content-Length'] ??= Buffer.byteLength(body)
  const answer = await new Promise<Answer>((resolve, reject) => {
    const url = new URL(base)
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)({
      host: url.hostname,
      port: url.port,
      method,
      path: url.pathname.replace(/\/$/, '') + target,
      headers,
      agent: ask.agent ?? false,
    })
    request.on('error', reject)
    request.on('response', (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', reject)
      response.on('end', () => {
        const bytes = Buffer.concat(parts)
        const isJson = response.headers['content-type']?.startsWith('application/json')
        resolve({
          status: response.statusCode!,
          headers: response.headers as Record<string, string | undefined>,
          bytes,
          json: isJson && bytes.length > 0 ? JSON.parse(bytes.toString()) : undefined,
        })
      })
    })
    if (body === undefined || typeof body === 'string' || Buffer.isBuffer(body)) request.end(body)
    else pipeline(body, request, () => {})
  })
  if (onUnavailable && [502, 504].includes(answer.status) && answer.headers['x-request-id'] === undefined) {
    onUnavailable('balancer', undefined)
    throw Object.assign(new Error(`${method} ${target} -> ${answer.status}`), { code: 'ECONNRESET' })
  }
  const wrong = ask.unchecked ? undefined : complaint(method, target, answer)
  if (wrong !== undefined) throw new Error(`${method} ${target} -> ${answer.status}: ${wrong}`)
  if (onUnavailable && answer.status === 503 && away.includes(answer.json?.code)) {
    onUnavailable(answer.json.code, answer.headers['retry-after'])
    throw Object.assign(new Error(`${method} ${target} -> unavailable`), { code: 'ECONNRESET' })
  }
  return answer
}

const away = ['unavailable', 'blob_store_unavailable', 'upload_node_gone']
/** By which code, or that a balancer said it in words of its own. */
type TellUnavailable = (code: string, retryAfter: string | undefined) => void
let onUnavailable: TellUnavailable | undefined

/**
 * From now on what says that something is away (the database, the blob store, a node; 502 and 504 of a balancer) is
 * thrown like a connection that broke: whether the request was done is as uncertain. For suites that take these away.
 */
export const treatUnavailableAsLost = (tell: TellUnavailable): void => {
  onUnavailable = tell
}

/** Requests in the name of one namespace. */
export interface Session {
  readonly namespace: string
  readonly token: string
  get(target: string, json?: unknown): Promise<Answer>
  post(target: string, json?: unknown): Promise<Answer>
  put(target: string, json?: unknown): Promise<Answer>
  delete(target: string, json?: unknown): Promise<Answer>
  send(method: string, target: string, ask?: Ask): Promise<Answer>
}

/** Logs in. */
export const login = async (
  base: string,
  namespace: string,
  key: string,
  agent?: Agent,
): Promise<Session> => {
  const answer = await send(base, 'POST', '/auth', { json: { namespace, key }, agent })
  if (answer.status !== 200) throw new Error(`cannot log in as ${namespace}: ${answer.bytes}`)
  const token = answer.json.access_token as string
  const by = (method: string) => (target: string, json?: unknown) =>
    send(base, method, target, { token, json, agent })
  return {
    namespace,
    token,
    get: by('GET'),
    post: by('POST'),
    put: by('PUT'),
    delete: by('DELETE'),
    send: (method, target, ask) => send(base, method, target, { token, agent, ...ask }),
  }
}

/** The same session, each of whose requests says its name: told what it is, `nameOf` answers its X-Request-ID. */
export const named = (session: Session, nameOf: (method: string, target: string) => string): Session => {
  const send: Session['send'] = (method, target, ask) =>
    session.send(method, target, {
      ...ask,
      headers: { 'X-Request-ID': nameOf(method, target), ...ask?.headers },
    })
  const by = (method: string) => (target: string, json?: unknown) => send(method, target, { json })
  return { ...session, get: by('GET'), post: by('POST'), put: by('PUT'), delete: by('DELETE'), send }
}

let counter = 0

/** A fresh namespace with a key, made by `system`. */
export const createNamespace = async (base: string, system: Session, prefix = 'ns'): Promise<Session> => {
  const namespace = `${prefix}-${process.pid}-${++counter}`
  const made = await system.post('/auth/namespaces', {
    namespace,
    key_name: 'first',
    key: `key of ${namespace}`,
  })
  if (made.status !== 200) throw new Error(`cannot make ${namespace}: ${made.bytes}`)
  return login(base, namespace, `key of ${namespace}`)
}

/** Puts bytes into a new upload, a request a part. */
export const upload = async (session: Session, ...parts: (Buffer | string)[]): Promise<string> => {
  const { uuid } = (await session.post('/upload')).json as { uuid: string }
  for (const body of parts) {
    const answer = await session.send('POST', `/upload/${uuid}`, { body })
    if (answer.status !== 200) throw new Error(`append refused: ${answer.bytes}`)
  }
  return uuid
}

/** Stores bytes as the next version of an artifact and answers the artifact's view. */
export const publish = async (
  session: Session,
  name: string,
  bytes: Buffer | string,
  fields: object = {},
) => {
  const answer = await session.post(`/artifacts/upload/${encodeURIComponent(name)}`, {
    upload_uuid: await upload(session, bytes),
    ...fields,
  })
  if (answer.status !== 200) throw new Error(`conversion refused: ${answer.bytes}`)
  return answer.json
}

/**
 * Waits until the server has read all that it stored to make its digests. Damage done before would be discovered by
 * that reading, at some moment of its own; done after, it is nobody's discovery yet.
 */
export const digestsMade = async (system: Session): Promise<void> => {
  const answer = await system.post('/admin/jobs/digest-blobs', { wait: 10 })
  if (answer.status !== 200) throw new Error(`the job did not run: ${answer.bytes}`)
}
