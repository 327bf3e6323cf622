/**
 * Requests by `node:http` and `node:https`: bodies of known length go out from reused buffers with `Content-Length`, a GET
 * may carry a body, and every piece that goes out is told at once. `fetch` in Node can do none of these.
 */
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Agent as HttpsAgent } from 'node:https'
import { NetworkError } from '../errors.ts'
import { bodySize } from '../fetch-transport.ts'
import { isPumpBody, type Transport, type TransportReply, type TransportRequest } from '../transport.ts'
import { RangeConnections } from './range-connections.ts'
import { giveBackReads, learnFrom } from './read-memory.ts'

/** Pieces in which bodies that are in memory go out, so that progress is seen. */
const pieceBytes = 256 * 1024
const maxRedirects = 5
const redirects = new Set([301, 302, 303, 307, 308])
const permanent = new Set([301, 308])

/**
 * Taken from Node as they are, not imported: an import of `node:http` reads every name in it, one of which loads a whole
 * WebSocket client, and `node:https` loads TLS. That is two thirds of the time a small command needs to start.
 */
const { Agent: HttpAgent, request: httpRequest } = process.getBuiltinModule('node:http')
const loadHttps = () => process.getBuiltinModule('node:https')

/** Makes a transport with a pool of kept-alive connections of its own. */
export const nodeTransport = (): Transport => {
  const pool = { keepAlive: true, maxSockets: 64 }
  const agent = new HttpAgent(pool)
  const ranges = new RangeConnections()
  let secureAgent: HttpsAgent | undefined
  const once = async (request: TransportRequest, url: URL): Promise<IncomingMessage> => {
    const secure = url.protocol === 'https:'
    const { body, headers, method, signal } = request
    signal.throwIfAborted()
    const length = body === undefined ? undefined : bodySize(body)
    if (secure) secureAgent ??= new (loadHttps().Agent)(pool)
    const outgoing = (secure ? loadHttps().request : httpRequest)(url, {
      method,
      agent: secure ? secureAgent! : agent,
      headers: length === undefined ? headers : { ...headers, 'Content-Length': String(length) },
      signal,
    })
    return await converse(outgoing, request)
  }

  return {
    sendsBodyWithGet: true,

    async send(request): Promise<TransportReply> {
      const { signal } = request
      const first = new URL(request.url)
      if (request.rangeBytes !== undefined) {
        const { headers, rangeBytes: bytes } = request
        const reply = await ranges.get({ url: first, headers, bytes, signal }).catch((error: unknown) => {
          throw failure(error, signal)
        })
        if (reply !== undefined) return withFailures(reply, signal)
      }
      let url = first
      let headers = request.headers
      /** Where the resource has moved for good, as far as the redirects say so. */
      let home = url.href
      let onlyPermanent = true
      for (let hops = 0; ; hops++) {
        const incoming = await once({ ...request, headers }, url).catch((error: unknown) => {
          throw failure(error, signal)
        })
        const status = incoming.statusCode!
        const location = incoming.headers.location
        const mayFollow = request.method === 'GET' || request.method === 'HEAD'
        if (!mayFollow || !redirects.has(status) || location === undefined || hops === maxRedirects) {
          return replyOf(incoming, home, signal)
        }
        incoming.destroy()
        url = new URL(location, url)
        onlyPermanent &&= permanent.has(status)
        if (onlyPermanent) home = url.href
        if (url.origin !== first.origin) headers = withoutToken(headers)
      }
    },

    close() {
      agent.destroy()
      ranges.close()
      secureAgent?.destroy()
    },
  }
}

/** Another host gets no token of ours. */
const withoutToken = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'))

const failure = (error: unknown, signal: AbortSignal): unknown => {
  if (signal.aborted) return signal.reason
  if (!(error instanceof Error) || !('code' in error)) return error
  // With several addresses, Node puts the reasons into `errors` and leaves the message empty
  const message = error.message || String(error.code)
  return new NetworkError(message, { cause: error })
}

/** Sends the body and waits for the head of the reply, whichever comes first. */
const converse = (outgoing: ClientRequest, request: TransportRequest): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    let answered = false
    let sent = false
    outgoing.on('error', reject)
    outgoing.on('socket', giveBackReads)
    outgoing.on('close', () => reject(new NetworkError('the connection was closed before a reply came')))
    outgoing.on('response', (incoming) => {
      answered = true
      // An early refusal: the rest of the body is never sent, so the connection is of no further use
      if (!sent) incoming.on('end', () => outgoing.destroy())
      resolve(incoming)
    })
    sendBody(outgoing, request, () => answered).then(
      () => {
        sent = true
      },
      (error: unknown) => {
        if (answered) return
        reject(error)
        outgoing.destroy()
      },
    )
  })

const sendBody = async (
  outgoing: ClientRequest,
  request: TransportRequest,
  answered: () => boolean,
): Promise<void> => {
  const { body, onSent } = request
  if (body === undefined || typeof body === 'string') {
    outgoing.end(body)
    return
  }
  const write = async (bytes: Uint8Array): Promise<void> => {
    if (answered()) throw new NetworkError('the server answered before it had everything')
    await new Promise<void>((resolve, reject) => {
      outgoing.write(bytes, (error) => (error ? reject(error) : resolve()))
    })
    onSent?.(bytes.length)
  }
  if (isPumpBody(body)) await body.pump(write)
  else if (body instanceof Blob) {
    for await (const bytes of body.stream()) await write(bytes)
  } else {
    for (const piece of body) {
      for (let at = 0; at < piece.length; at += pieceBytes) await write(piece.subarray(at, at + pieceBytes))
    }
  }
  outgoing.end()
}

/** Pieces that may wait for their reader. */
const maxWaiting = 4

/** The body as it comes. A stream's own iterator would copy pieces together that come faster than they are taken. */
async function* piecesOf(incoming: IncomingMessage): AsyncGenerator<Uint8Array> {
  const waiting: Uint8Array[] = []
  let over: { readonly error?: unknown } | undefined
  let news = Promise.withResolvers<void>()
  const end = (how: { readonly error?: unknown }) => {
    over ??= how
    news.resolve()
  }
  const cutShort = () =>
    end({ error: new NetworkError('the connection was closed before the reply was whole') })
  if (incoming.destroyed) cutShort()
  incoming.on('data', (piece: Uint8Array) => {
    learnFrom(piece)
    waiting.push(piece)
    if (waiting.length >= maxWaiting) incoming.pause()
    news.resolve()
  })
  incoming.on('end', () => end({}))
  incoming.on('error', (error) => end({ error }))
  incoming.on('close', cutShort)
  try {
    for (;;) {
      const piece = waiting.shift()
      if (piece !== undefined) {
        yield piece
        continue
      }
      if (over !== undefined) {
        if ('error' in over) throw over.error
        return
      }
      news = Promise.withResolvers()
      incoming.resume()
      await news.promise
    }
  } finally {
    if (over === undefined) incoming.destroy()
  }
}

/** A reply whose reading fails as a transport does. */
const withFailures = (reply: TransportReply, signal: AbortSignal): TransportReply => ({
  ...reply,
  async *chunks() {
    try {
      yield* reply.chunks()
    } catch (error) {
      throw failure(error, signal)
    }
  },
})

const replyOf = (incoming: IncomingMessage, url: string, signal: AbortSignal): TransportReply => {
  const reply = withFailures(
    {
      status: incoming.statusCode!,
      url,
      header: (name) => incoming.headersDistinct[name.toLowerCase()]?.join(', ') ?? null,
      async text() {
        const pieces: Uint8Array[] = []
        for await (const piece of reply.chunks()) pieces.push(piece)
        return Buffer.concat(pieces).toString('utf8')
      },
      chunks: () => piecesOf(incoming),
    },
    signal,
  )
  return reply
}
