import { EventEmitter } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { FetchSink } from './fetch-url.ts'
import { testCertificate, testKey } from './test-certificate.ts'

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** A real server on loopback for tests. Requests are answered by `handlers` in turn, the last one for ever. */
export interface TestRemote extends AsyncDisposable {
  url: string
  port: number
  /** The headers and path of each request so far. */
  requests: { url: string; headers: IncomingMessage['headers'] }[]
}

export async function startRemote(
  handlers: Handler[],
  options: { tls?: boolean; address?: string } = {},
): Promise<TestRemote> {
  const requests: TestRemote['requests'] = []
  const listener: Handler = (request, response) => {
    const handler = handlers[Math.min(requests.length, handlers.length - 1)]!
    requests.push({ url: request.url!, headers: request.headers })
    handler(request, response)
  }
  const server: Server = options.tls
    ? createTlsServer({ cert: testCertificate, key: testKey }, listener)
    : createServer(listener)
  const address = options.address ?? '127.0.0.1'
  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${address}:${port}/image`,
    port,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Tells how far a `MemorySink` is, so that a connection can be cut at a known place without waiting for time. */
const kept = new EventEmitter<{ size: [number] }>()

/** Cuts the connection once the client's sink holds `size` bytes; data under way when a cut comes may get lost. */
export function cutWhenKept(response: ServerResponse, size: number): void {
  const cut = (now: number) => {
    if (now < size) return
    kept.off('size', cut)
    response.destroy()
  }
  kept.on('size', cut)
}

/** Announces the whole file and sends the first `count` bytes, then cuts the connection. */
export const cutAfter =
  (bytes: Uint8Array, count: number, headers: Record<string, string>): Handler =>
  (_request, response) => {
    response.writeHead(200, { 'content-length': String(bytes.length), ...headers })
    response.write(bytes.subarray(0, count))
    cutWhenKept(response, count)
  }

/** Answers the whole file, or the range asked for when `If-Range` names `etag` or the modification time. */
export const serveFile =
  (bytes: Uint8Array, headers: Record<string, string> = {}): Handler =>
  (request, response) => {
    const first = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1]
    const condition = request.headers['if-range']
    const same =
      condition !== undefined && [headers.etag, headers['last-modified']].includes(condition as string)
    if (first === undefined || !same) {
      response.writeHead(200, { 'content-length': String(bytes.length), ...headers }).end(bytes)
      return
    }
    const rest = bytes.subarray(Number(first))
    const range = `bytes ${first}-${bytes.length - 1}/${bytes.length}`
    response
      .writeHead(206, { 'content-length': String(rest.length), 'content-range': range, ...headers })
      .end(rest)
  }

export const answer =
  (status: number, headers: Record<string, string> = {}, body = ''): Handler =>
  (_request, response) => {
    response.writeHead(status, headers).end(body)
  }

/** A sink in memory that keeps what arrived before a break, and then throws as the stream did. */
export class MemorySink implements FetchSink {
  chunks: Uint8Array[] = []
  resets = 0

  size(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  }

  async append(chunks: AsyncIterable<Uint8Array>): Promise<number> {
    for await (const chunk of chunks) {
      this.chunks.push(Uint8Array.from(chunk))
      kept.emit('size', this.size())
    }
    return this.size()
  }

  async reset(): Promise<void> {
    this.chunks = []
    this.resets++
  }

  bytes(): Buffer {
    return Buffer.concat(this.chunks)
  }
}
