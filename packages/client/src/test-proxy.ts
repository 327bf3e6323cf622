/**
 * A proxy between a client and a real server, for tests: it can break any exchange in the ways networks do, and it can
 * take Holdfast's extensions away, so that what is behind it looks like a server that never heard of them.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { Writable } from 'node:stream'
import { holdfastCapabilities } from '@holdfast/api/capabilities'

/** How one exchange goes wrong. */
export type Fault =
  /** The connection is cut when this many bytes of the request's body have gone to the server. */
  | { readonly kind: 'cut-request'; readonly after: number }
  /** The server acts; its reply is lost after this many bytes of its body, the head included if that is negative. */
  | { readonly kind: 'cut-reply'; readonly after: number }
  /** Something in front of the server answers. */
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter?: string }
  /** After this many bytes of the request's body nothing moves any more. */
  | { readonly kind: 'stall'; readonly after: number }
  /** The reply comes late. */
  | { readonly kind: 'delay'; readonly ms: number }

export interface ProxyOptions {
  /** Hides the capability words and everything that belongs to them. */
  readonly plain?: boolean
  /** Decides about each exchange; undefined lets it pass. */
  fault?(method: string, path: string): Fault | undefined
  /** Changes the text of JSON replies. */
  rewrite?(path: string, text: string): string
}

export interface TestProxy {
  readonly url: string
  /** `METHOD path` of every request, in order. */
  readonly requests: string[]
  /** Body bytes of appends that came from the client. */
  readonly appended: () => number
  options: ProxyOptions
  close(): Promise<void>
}

const isAppend = (method: string, path: string) => method === 'POST' && /^\/upload\/[^/]+$/.test(path)
/** Routes that a server without the extensions does not have. */
const isExtension = (method: string, path: string) =>
  (method !== 'POST' && /^\/upload(\/[^/]+)?$/.test(path)) ||
  (method === 'HEAD' && path.startsWith('/blobs/'))
const extensionHeaders = ['range', 'if-range', 'if-none-match', 'upload-offset']

/** Until the stream takes more, or nothing any more. */
const writable = async (stream: Writable): Promise<void> => {
  const over = new AbortController()
  const { signal } = over
  try {
    await Promise.race([once(stream, 'drain', { signal }), once(stream, 'close', { signal })])
  } finally {
    over.abort()
  }
}

export const startProxy = async (target: string, options: ProxyOptions = {}): Promise<TestProxy> => {
  const requests: string[] = []
  let appended = 0

  const handle = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const method = incoming.method!
    const path = incoming.url!
    requests.push(`${method} ${path}`)
    const { plain = false } = proxy.options
    const fault = proxy.options.fault?.(method, path)
    incoming.on('error', () => {})
    outgoing.on('error', () => {})
    if (fault?.kind === 'status') {
      incoming.resume()
      if (fault.retryAfter) outgoing.setHeader('Retry-After', fault.retryAfter)
      outgoing
        .writeHead(fault.status, { 'Content-Type': 'text/html' })
        .end('<html>in front of the server</html>')
      return
    }
    if (plain && isExtension(method, path)) {
      incoming.resume()
      outgoing.writeHead(405, { 'Content-Type': 'application/json' }).end('{"error":"no","status":405}')
      return
    }
    const headers = { ...incoming.headers }
    if (plain) for (const name of extensionHeaders) delete headers[name]
    const onward = request(`${target}${path}`, { method, headers, agent: false })
    onward.on('error', () => outgoing.destroy())
    outgoing.on('close', () => onward.destroy())
    onward.on('response', (reply) => void answer(reply, outgoing, path, plain, fault))
    void sendOn(incoming, onward, isAppend(method, path), fault)
  }

  const sendOn = async (
    incoming: IncomingMessage,
    onward: ReturnType<typeof request>,
    append: boolean,
    fault: Fault | undefined,
  ): Promise<void> => {
    let passed = 0
    try {
      for await (const bytes of incoming as AsyncIterable<Buffer>) {
        if (append) appended += bytes.length
        const breaks = fault?.kind === 'cut-request' || fault?.kind === 'stall'
        const rest = breaks ? fault.after - passed : Number.POSITIVE_INFINITY
        passed += bytes.length
        if (!onward.write(bytes.subarray(0, Math.max(0, rest)))) {
          await writable(onward)
        }
        if (bytes.length < rest) continue
        if (fault?.kind === 'stall') return incoming.pause() as never
        // Lets what was written go out first
        return void setTimeout(() => {
          onward.destroy()
          incoming.destroy()
        }, 5)
      }
      if (fault?.kind === 'cut-request' || fault?.kind === 'stall') {
        if (fault.kind === 'cut-request') incoming.destroy()
        return
      }
      onward.end()
    } catch {
      onward.destroy()
    }
  }

  const answer = async (
    reply: IncomingMessage,
    outgoing: ServerResponse,
    path: string,
    plain: boolean,
    fault: Fault | undefined,
  ): Promise<void> => {
    try {
      if (fault?.kind === 'delay') await new Promise((resolve) => setTimeout(resolve, fault.ms))
      if (fault?.kind === 'cut-reply' && fault.after < 0) {
        for await (const _ of reply); // the server has acted, and nobody hears of it
        outgoing.destroy()
        return
      }
      if (plain && path === '/') {
        let page = ''
        for await (const text of reply.setEncoding('utf8')) page += text
        for (const word of holdfastCapabilities) page = page.replaceAll(word, '')
        outgoing.writeHead(200, { 'Content-Type': 'text/html' }).end(page)
        return
      }
      const { rewrite } = proxy.options
      if (rewrite && reply.headers['content-type']?.startsWith('application/json')) {
        let text = ''
        for await (const part of reply.setEncoding('utf8')) text += part
        const { 'content-length': _, ...headers } = reply.headers
        outgoing.writeHead(reply.statusCode!, headers).end(rewrite(path, text))
        return
      }
      outgoing.writeHead(reply.statusCode!, reply.headers)
      let left = fault?.kind === 'cut-reply' ? fault.after : Number.POSITIVE_INFINITY
      for await (const bytes of reply as AsyncIterable<Buffer>) {
        const piece = bytes.subarray(0, left)
        left -= bytes.length
        if (!outgoing.write(piece)) await writable(outgoing)
        if (left <= 0) return void setTimeout(() => outgoing.destroy(), 5)
      }
      outgoing.end()
    } catch {
      outgoing.destroy()
    }
  }

  const server = createServer(handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const proxy: TestProxy = {
    url: `http://127.0.0.1:${port}`,
    requests,
    appended: () => appended,
    options,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return proxy
}
