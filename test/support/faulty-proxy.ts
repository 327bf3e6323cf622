/** A proxy between a client and a real server that can break any exchange in the ways networks do. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

/** How one exchange goes wrong. */
export type Fault =
  /**
   * The connection ends when this many bytes of the request's body have gone to the server, with a reset or as if
   * the other side had closed it.
   */
  | { readonly kind: 'cut-request'; readonly after: number; readonly reset?: boolean }
  /** The server acts; its reply is lost after this many bytes of its body, the head included if that is negative. */
  | { readonly kind: 'cut-reply'; readonly after: number; readonly reset?: boolean }
  /** Something in front of the server answers, or the server as it would with this refusal. */
  | {
      readonly kind: 'status'
      readonly status: number
      readonly retryAfter?: string
      readonly json?: object
    }
  /**
   * After this many bytes of the request's body nothing moves any more, and neither side hears of the other's end. After
   * half a second, or as long as it says, both connections are dropped.
   */
  | { readonly kind: 'stall'; readonly after: number; readonly ms?: number }
  /** After this many bytes of the reply's body nothing moves any more. */
  | { readonly kind: 'stall-reply'; readonly after: number }
  /** The reply comes late. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** Something happens when this many bytes of the request's body, or the reply's, have passed. The bytes go on. */
  | { readonly kind: 'call'; readonly of: 'request' | 'reply'; readonly after: number; act(): void }

export interface ProxyOptions {
  /** Decides about each exchange; undefined lets it pass. */
  fault?: ((method: string, path: string, socket: Socket) => Fault | undefined) | undefined
  /** Changes the text of JSON replies. */
  rewrite?(path: string, text: string): string
}

export interface FaultyProxy {
  readonly url: string
  /** `METHOD path` of every request, in order. */
  readonly requests: string[]
  /** Body bytes that came in from the client in appends, and that went out to it as content of blobs. */
  readonly counts: { appended: number; downloaded: number }
  options: ProxyOptions
  close(): Promise<void>
}

export const isAppend = (method: string, path: string): boolean =>
  method === 'POST' && /^\/upload\/[^/]+$/.test(path)
export const isBlobData = (method: string, path: string): boolean =>
  method === 'GET' && /^\/blobs\/[^/]+\/data/.test(path)

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

/** Ends a connection the hard way or the soft one, once what was written has had time to go out. */
const cut = async (socket: Socket | null, reset = false): Promise<void> => {
  await sleep(5)
  if (reset) socket?.resetAndDestroy()
  else socket?.destroy()
}

export const startProxy = async (
  target: string,
  options: ProxyOptions = {},
  host = '127.0.0.1',
): Promise<FaultyProxy> => {
  const requests: string[] = []
  const counts = { appended: 0, downloaded: 0 }

  const handle = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const method = incoming.method!
    const path = incoming.url!
    requests.push(`${method} ${path}`)
    const fault = proxy.options.fault?.(method, path, incoming.socket)
    incoming.on('error', () => {})
    outgoing.on('error', () => {})
    const came = (bytes: Buffer) => {
      if (isAppend(method, path)) counts.appended += bytes.length
    }
    if (fault?.kind === 'status') {
      incoming.on('data', came)
      if (fault.retryAfter) outgoing.setHeader('Retry-After', fault.retryAfter)
      outgoing
        .writeHead(fault.status, { 'Content-Type': fault.json ? 'application/json' : 'text/html' })
        .end(fault.json ? JSON.stringify(fault.json) : '<html>in front of the server</html>')
      return
    }
    const onward = request(`${target}${path}`, { method, headers: incoming.headers, agent: false })
    onward.on('error', () => {
      // A reply to HEAD is whole with its head; some servers send what looks like the end of a body after it.
      if (method !== 'HEAD' || !outgoing.headersSent) outgoing.destroy()
    })
    outgoing.on('close', () => onward.destroy())
    onward.on('response', (reply) => void answer(reply, outgoing, method, path, fault))
    void sendOn(incoming, onward, came, fault)
  }

  const sendOn = async (
    incoming: IncomingMessage,
    onward: ReturnType<typeof request>,
    came: (bytes: Buffer) => void,
    fault: Fault | undefined,
  ): Promise<void> => {
    const breaks = fault?.kind === 'cut-request' || fault?.kind === 'stall'
    const calls = fault?.kind === 'call' && fault.of === 'request'
    let passed = 0
    try {
      // A stalled connection has to stay open
      for await (const bytes of incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        came(bytes)
        const rest = breaks ? fault.after - passed : Number.POSITIVE_INFINITY
        if (calls && passed <= fault.after && fault.after < passed + bytes.length) fault.act()
        passed += bytes.length
        if (!onward.write(bytes.subarray(0, Math.max(0, rest)))) await writable(onward)
        if (bytes.length < rest) continue
        break
      }
      if (fault?.kind === 'stall') await sleep(fault.ms ?? 500)
      if (breaks) {
        const reset = fault.kind === 'cut-request' && fault.reset
        await cut(onward.socket, reset)
        return await cut(incoming.socket, reset)
      }
      onward.end()
    } catch {
      onward.destroy()
    }
  }

  const answer = async (
    reply: IncomingMessage,
    outgoing: ServerResponse,
    method: string,
    path: string,
    fault: Fault | undefined,
  ): Promise<void> => {
    const write = async (bytes: Buffer): Promise<void> => {
      if (isBlobData(method, path)) counts.downloaded += bytes.length
      if (!outgoing.write(bytes)) await writable(outgoing)
    }
    try {
      if (fault?.kind === 'delay') await sleep(fault.ms)
      if (fault?.kind === 'cut-reply' && fault.after < 0) {
        for await (const _ of reply); // the server has acted, and nobody hears of it
        return await cut(outgoing.socket, fault.reset)
      }
      const { rewrite } = proxy.options
      if (rewrite && reply.headers['content-type']?.startsWith('application/json')) {
        let text = ''
        for await (const part of reply.setEncoding('utf8')) text += part
        const { 'content-length': _, ...headers } = reply.headers
        outgoing.writeHead(reply.statusCode!, headers).end(rewrite(path, text))
        return
      }
      // How the reply travels is between two neighbours.
      const { 'transfer-encoding': _, ...headers } = reply.headers
      outgoing.writeHead(reply.statusCode!, headers)
      if (method === 'HEAD') return void outgoing.end()
      const breaks = fault?.kind === 'cut-reply' || fault?.kind === 'stall-reply'
      const calls = fault?.kind === 'call' && fault.of === 'reply'
      let passed = 0
      for await (const bytes of reply as AsyncIterable<Buffer>) {
        const rest = breaks ? fault.after - passed : Number.POSITIVE_INFINITY
        if (calls && passed <= fault.after && fault.after < passed + bytes.length) fault.act()
        passed += bytes.length
        await write(bytes.subarray(0, Math.max(0, rest)))
        if (bytes.length <= rest) continue
        if (fault?.kind === 'stall-reply') await once(outgoing, 'close')
        else await cut(outgoing.socket, fault?.kind === 'cut-reply' && fault.reset)
        return
      }
      outgoing.end()
    } catch {
      outgoing.destroy()
    }
  }

  const server = createServer(handle)
  server.listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const proxy: FaultyProxy = {
    url: `http://${host}:${port}`,
    requests,
    counts,
    options,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return proxy
}
