import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { NetworkError } from '../errors.ts'
import type { Transport, TransportReply } from '../transport.ts'
import { nodeTransport } from './node-transport.ts'
import { giveBack } from './read-memory.ts'
import { testCertificate, testKey } from './test-certificate.ts'

const MiB = 1024 * 1024
const content = randomBytes(9 * MiB + 5)

let stop: () => Promise<void> = async () => {}
let transport: Transport
/** Connections that the server accepted. */
let accepted: number

beforeAll(() => setDefaultCACertificates([...getCACertificates('default'), testCertificate]))
afterEach(() => stop())

/** Starts a server; answers its origin. */
const serve = async (listener: RequestListener, secure = false): Promise<string> => {
  const server = secure
    ? createSecureServer({ cert: testCertificate, key: testKey }, listener)
    : createServer(listener)
  transport = nodeTransport()
  accepted = 0
  server.on(secure ? 'secureConnection' : 'connection', () => accepted++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  stop = async () => {
    transport.close()
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  return `${secure ? 'https' : 'http'}://localhost:${(server.address() as AddressInfo).port}`
}

const ask = (origin: string, start = 0, end = content.length): Promise<TransportReply> =>
  transport.send({
    method: 'GET',
    url: `${origin}/data?a=%20b`,
    headers: { Range: `bytes=${start}-${end - 1}` },
    rangeBytes: end - start,
    signal: AbortSignal.timeout(10_000),
  })

/** Everything, in pieces that are given back after a moment. */
const readAll = async (reply: TransportReply): Promise<Buffer> => {
  const pieces: Buffer[] = []
  for await (const piece of reply.chunks()) {
    pieces.push(Buffer.from(piece))
    await sleep(1)
    giveBack(piece)
  }
  return Buffer.concat(pieces)
}

/** A server as it should be. */
const sendRange: RequestListener = (request, reply) => {
  const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range!)!
  const bytes = content.subarray(Number(start), Number(end) + 1)
  reply.writeHead(206, { 'Content-Length': bytes.length, ETag: '"x"' }).end(bytes)
}

describe('a range', () => {
  it.each([
    ['http', false],
    ['https', true],
  ])('comes whole over %s, over one connection for all', async (_, secure) => {
    const origin = await serve(sendRange, secure)
    for (const [start, end] of [
      [0, content.length],
      [5, 6],
      [MiB, 9 * MiB],
    ] as const) {
      const reply = await ask(origin, start, end)
      expect(reply).toMatchObject({ status: 206 })
      expect(reply.header('etag')).toBe('"x"')
      expect((await readAll(reply)).equals(content.subarray(start, end))).toBe(true)
    }
    expect(accepted).toBe(1)
  })

  it('waits for a consumer that gives nothing back', async () => {
    const origin = await serve(sendRange)
    const pieces: Uint8Array[] = []
    let bytes = 0
    const reading = (async () => {
      for await (const piece of (await ask(origin)).chunks()) {
        pieces.push(piece)
        bytes += piece.length
      }
    })()
    await expect.poll(() => bytes).toBeGreaterThan(MiB)
    await sleep(200)
    expect(bytes).toBeLessThanOrEqual(2 * MiB)
    const drain = setInterval(() => {
      for (const piece of pieces.splice(0)) giveBack(piece)
    }, 1)
    await reading
    clearInterval(drain)
    expect(bytes).toBe(content.length)
  })

  it('comes over another connection when the server has closed the kept one', async () => {
    const origin = await serve((request, reply) => {
      sendRange(request, reply)
      reply.on('finish', () => setTimeout(() => request.socket.destroy(), 5))
    })
    for (let turn = 0; turn < 3; turn++) {
      expect((await readAll(await ask(origin, 0, 9))).equals(content.subarray(0, 9))).toBe(true)
      await sleep(turn * 10)
    }
  })

  it('is an error of the network when it is cut', async () => {
    const origin = await serve((request, reply) => {
      reply.writeHead(206, { 'Content-Length': content.length })
      reply.write(content.subarray(0, MiB), () => request.socket.destroySoon())
    })
    const reply = await ask(origin)
    await expect(readAll(reply)).rejects.toBeInstanceOf(NetworkError)
  })

  it('ends with its signal', async () => {
    const origin = await serve((_, reply) => {
      reply.writeHead(206, { 'Content-Length': content.length }).flushHeaders()
    })
    const over = new AbortController()
    const headers = { Range: 'bytes=0-9' }
    const url = `${origin}/data`
    const asked = { method: 'GET', url, headers, rangeBytes: content.length, signal: over.signal }
    const reply = await transport.send(asked)
    setTimeout(() => over.abort(new Error('enough')), 10)
    await expect(readAll(reply)).rejects.toThrow('enough')
    await expect(transport.send(asked)).rejects.toThrow('enough')
  })
})

describe('what is not a plain range', () => {
  it.each<[string, RequestListener]>([
    ['a refusal', (_, reply) => void reply.writeHead(503, { 'Retry-After': '1' }).end('later')],
    ['a whole body', (_, reply) => void reply.writeHead(200).end('later')],
    ['a body in chunks', (_, reply) => void reply.writeHead(206).end('later')],
    ['another range', (_, reply) => void reply.writeHead(206, { 'Content-Length': 5 }).end('later')],
  ])('is answered as ever: %s', async (_, listener) => {
    const origin = await serve(listener)
    const reply = await ask(origin)
    expect(await reply.text()).toBe('later')
  })

  it('is asked for no more after a redirect', async () => {
    let asked = 0
    const origin = await serve((request, reply) => {
      if (request.url === '/there') return sendRange(request, reply)
      asked++
      return reply.writeHead(307, { Location: '/there' }).end()
    })
    for (let turn = 0; turn < 3; turn++) {
      expect((await readAll(await ask(origin))).equals(content)).toBe(true)
    }
    expect(asked).toBe(4)
  })
})
