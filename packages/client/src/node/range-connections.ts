/**
 * GETs of long ranges over connections of their own.
 *
 * `node:http` reads 64 KiB at a time into fresh memory and copies the body out of it; besides the hash, that was most of
 * what a download cost. Here a body goes from the socket into a few large buffers that are used again.
 *
 * What keeps it small: it understands one kind of reply, a 206 with a `Content-Length` of just what was asked for. When
 * anything else comes, a refusal, a redirect, a body in chunks, the connection is dropped and `node:http` asks again.
 */
import { isIP, connect as netConnect, type OnReadOpts, type Socket } from 'node:net'
import { NetworkError } from '../errors.ts'
import type { TransportReply } from '../transport.ts'
import { ReadBuffers } from './read-buffers.ts'

const maxHeadBytes = 64 * 1024

export interface RangeRequest {
  readonly url: URL
  /** With `Range`. */
  readonly headers: Readonly<Record<string, string>>
  /** The length of the range. */
  readonly bytes: number
  readonly signal: AbortSignal
}

/** The connections of one client, kept alive. The pieces of their replies have to be given back (`giveBack`). */
export class RangeConnections {
  readonly #idle = new Map<string, RangeConnection[]>()
  /** Origins that answer in other ways; they need not be asked twice for each range. */
  readonly #unfit = new Set<string>()
  #closed = false

  /** Makes one attempt; undefined when the reply is for `node:http` to fetch. */
  async get(request: RangeRequest): Promise<TransportReply | undefined> {
    const { url, signal } = request
    if (this.#unfit.has(url.origin)) return undefined
    const idle = this.#idle.get(url.origin) ?? []
    this.#idle.set(url.origin, idle)
    for (let kept = idle.pop(); kept !== undefined; kept = idle.pop()) {
      try {
        return this.#replyOf(kept, await kept.ask(request), url)
      } catch (error) {
        // A server may close an idle connection at any time, also just now
        if (signal.aborted || kept.hasAnswered) throw error
      }
    }
    const connection = new RangeConnection(url)
    return this.#replyOf(connection, await connection.ask(request), url)
  }

  /** Lets go of idle connections. */
  close(): void {
    this.#closed = true
    for (const connection of [...this.#idle.values()].flat()) connection.destroy()
    this.#idle.clear()
  }

  #replyOf(connection: RangeConnection, head: ReplyHead, { href, origin }: URL): TransportReply | undefined {
    if (!head.fits) {
      connection.destroy()
      if (head.status < 400) this.#unfit.add(origin)
      return undefined
    }
    const release = () => {
      const goesOn = connection.rest() && head.fields.get('connection')?.toLowerCase() !== 'close'
      if (goesOn && !this.#closed) this.#idle.get(origin)!.push(connection)
      else connection.destroy()
    }
    return {
      status: head.status,
      url: href,
      header: (name) => head.fields.get(name.toLowerCase()) ?? null,
      async text() {
        throw new TypeError('a range of a blob is no text')
      },
      async *chunks() {
        try {
          yield* connection.pieces()
        } finally {
          release()
        }
      },
    }
  }
}

interface ReplyHead {
  readonly status: number
  readonly fields: ReadonlyMap<string, string>
  /** Whether the body is the range that was asked for, and nothing is done to it on the way. */
  readonly fits: boolean
}

/** One connection, for one request at a time. */
class RangeConnection {
  readonly #socket: Socket
  readonly #buffers = new ReadBuffers(() => this.#socket.resume())
  /** The request under way. */
  #request: RangeRequest | undefined
  /** What has come of the head of its reply. */
  #headBytes = Buffer.alloc(0)
  #head: ReplyHead | undefined
  /** Bytes of the body that have not come yet. */
  #left = 0
  /** Those that came and nobody took yet. */
  readonly #waiting: Uint8Array[] = []
  #failure: { readonly error: unknown } | undefined
  #news: PromiseWithResolvers<void> = Promise.withResolvers()

  constructor(url: URL) {
    this.#socket = connect(url, {
      buffer: () => this.#buffers.room(),
      callback: (length) => this.#read(length),
    })
    this.#socket.on('error', (error) => this.#fail(error))
    const cutShort = () =>
      this.#fail(new NetworkError('the connection was closed before the reply was whole'))
    for (const event of ['end', 'close']) this.#socket.on(event, cutShort)
  }

  /** Whether anything of the reply has come. */
  get hasAnswered(): boolean {
    return this.#headBytes.length > 0
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** Sends a request and waits for the head of its reply. */
  async ask(request: RangeRequest): Promise<ReplyHead> {
    const { url, headers, signal } = request
    signal.throwIfAborted()
    this.#headBytes = Buffer.alloc(0)
    this.#head = undefined
    this.#request = request
    signal.addEventListener('abort', this.#abort, { once: true })
    // That it stays open goes without saying in HTTP/1.1, but not to every proxy
    const fields = Object.entries({ Host: url.host, Connection: 'keep-alive', ...headers })
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`)
    this.#socket.ref()
    this.#socket.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join('')}\r\n`)
    while (this.#head === undefined) await this.#somethingNew()
    return this.#head
  }

  /** The body. */
  async *pieces(): AsyncGenerator<Uint8Array> {
    while (this.#left > 0 || this.#waiting.length > 0) {
      const piece = this.#waiting.shift()
      if (piece === undefined) await this.#somethingNew()
      else yield piece
    }
  }

  /** Ends a request; answers whether the connection is good for another. */
  rest(): boolean {
    this.#request?.signal.removeEventListener('abort', this.#abort)
    this.#request = undefined
    this.#socket.unref()
    return this.#left === 0 && this.#waiting.length === 0 && this.#failure === undefined
  }

  readonly #abort = () => this.#fail(this.#request?.signal.reason)

  /** Takes what the socket has read; answers whether it may read on. */
  #read(length: number): boolean {
    if (this.#request === undefined)
      return this.#fail(new NetworkError('the server sent what nobody asked for'))
    let from = 0
    if (this.#head === undefined) {
      const before = this.#headBytes.length
      this.#headBytes = Buffer.concat([this.#headBytes, this.#buffers.room().subarray(0, length)])
      const end = this.#headBytes.indexOf('\r\n\r\n')
      if (end < 0 && this.#headBytes.length > maxHeadBytes) {
        return this.#fail(new NetworkError('the head of the reply is too long'))
      }
      if (end < 0) return true
      this.#head = parseHead(this.#headBytes.toString('latin1', 0, end), this.#request.bytes)
      this.#left = this.#head.fits ? this.#request.bytes : 0
      from = end + 4 - before
    }
    this.#news.resolve()
    if (!this.#head.fits) return false
    if (from === length) return true
    const piece = this.#buffers.take(length, from)
    if (piece.length > this.#left) return this.#fail(new NetworkError('the reply is longer than it said'))
    this.#left -= piece.length
    this.#waiting.push(piece)
    return !this.#buffers.isFull
  }

  #fail(error: unknown): false {
    this.#failure ??= { error }
    this.#news.resolve()
    this.#socket.destroy()
    return false
  }

  async #somethingNew(): Promise<void> {
    if (this.#failure === undefined) {
      this.#news = Promise.withResolvers()
      await this.#news.promise
    }
    // What came before a failure still counts
    const isSettled = this.#waiting.length > 0 || (this.#head !== undefined && this.#left === 0)
    if (this.#failure !== undefined && !isSettled) throw this.#failure.error
  }
}

const connect = (url: URL, onread: OnReadOpts): Socket => {
  const secure = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const to = { host, port: Number(url.port || (secure ? 443 : 80)), noDelay: true, onread }
  if (!secure) return netConnect(to)
  // Loaded when it is needed: see `node-transport.ts`
  const tls = process.getBuiltinModule('node:tls')
  return tls.connect({ ...to, ALPNProtocols: ['http/1.1'], ...(isIP(host) ? {} : { servername: host }) })
}

const parseHead = (text: string, bytes: number): ReplyHead => {
  const [statusLine, ...lines] = text.split('\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3})\b/.exec(statusLine!)?.[1] ?? 0)
  const fields = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(colon, 0)).toLowerCase()
    const value = line.slice(colon + 1).trim()
    fields.set(name, fields.has(name) ? `${fields.get(name)}, ${value}` : value)
  }
  const isPlain = !fields.has('transfer-encoding') && !fields.has('content-encoding')
  return { status, fields, fits: status === 206 && isPlain && fields.get('content-length') === String(bytes) }
}
