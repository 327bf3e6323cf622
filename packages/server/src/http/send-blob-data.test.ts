import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { open, rm, truncate } from 'node:fs/promises'
import { type IncomingHttpHeaders, request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { blockSize } from '@holdfast/api/limits'
import Fastify from 'fastify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { blobPath, blobRow, makeNamespaces, refer, storeBlob } from '../domain/blob-fixture.ts'
import { callerOf, createTestParts, type TestParts } from '../test-parts.ts'
import { callOf } from './call.ts'
import { sendError } from './errors.ts'
import { sendBlobData } from './send-blob-data.ts'

const bytes = randomBytes(2.5 * blockSize)
const size = bytes.length
const sha512 = createHash('sha512').update(bytes).digest()
const etag = `"${sha512.toString('hex')}"`

let parts: TestParts
let port: number
let close: () => Promise<void>
let uuid: string
/** What the handler made of each request, in order. */
const handled: Promise<unknown>[] = []

beforeAll(async () => {
  parts = await createTestParts()
  await makeNamespaces(parts, 'alice', 'bob')
  ;({ uuid } = await storeBlob(parts, bytes))
  await refer(parts, 'alice', 'größe.bin', uuid)

  const app = Fastify({ exposeHeadRoutes: false })
  app.setErrorHandler(sendError)
  app.decorateRequest('caller')
  app.route<{ Querystring: { offset?: number; limit?: number } }>({
    method: ['GET', 'HEAD'],
    url: '/blobs/:blob_uuid/data',
    schema: {
      querystring: {
        type: 'object',
        properties: { offset: { type: 'integer' }, limit: { type: 'integer' } },
      },
    },
    handler: (incoming, reply) => {
      incoming.caller = callerOf(String(incoming.headers['x-namespace'] ?? 'alice'))
      const downloadStall = Number(incoming.headers['x-patience'] ?? 60_000) / 1000
      const config = { ...parts.config, downloadStall }
      const done = sendBlobData({ ...parts, config }, callOf(incoming, reply), incoming, reply)
      handled.push(done)
      return done
    },
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  port = (app.server.address() as AddressInfo).port
  close = () => app.close()
})

afterAll(async () => {
  await close()
  await parts[Symbol.asyncDispose]()
})

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** Whether all of the reply arrived. */
  readonly whole: boolean
}

const ask = (
  path: string,
  headers: Record<string, string> = {},
  method: 'GET' | 'HEAD' = 'GET',
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, method, headers, agent: false }
    const outgoing = request(options, (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk) => chunks.push(chunk))
      incoming.on('error', () => {})
      incoming.on('close', () =>
        resolve({
          status: incoming.statusCode!,
          headers: incoming.headers,
          body: Buffer.concat(chunks),
          whole: incoming.complete,
        }),
      )
    })
    outgoing.on('error', reject)
    outgoing.end()
  })

const data = (query = '', headers: Record<string, string> = {}, method: 'GET' | 'HEAD' = 'GET') =>
  ask(`/blobs/${uuid}/data${query}`, headers, method)

test.each([
  ['whole', '', {}, 200, 0, size],
  ['offset', '?offset=5', {}, 200, 5, size],
  ['offset within a block', `?offset=${blockSize + 17}&limit=0`, {}, 200, blockSize + 17, size],
  ['limit', '?limit=10', {}, 200, 0, 10],
  ['both', `?offset=${blockSize - 5}&limit=10`, {}, 200, blockSize - 5, blockSize + 5],
  ['limit past the end', `?offset=${size - 5}&limit=10`, {}, 200, size - 5, size],
  ['offset at the end', `?offset=${size}`, {}, 200, size, size],
  ['offset past the end', `?offset=${size + 1}&limit=3`, {}, 200, size, size],
  ['range', '', { range: 'bytes=3-7' }, 206, 3, 8],
  [
    'range over blocks',
    '',
    { range: `bytes=${blockSize - 1}-${2 * blockSize}` },
    206,
    blockSize - 1,
    2 * blockSize + 1,
  ],
  ['open range', '', { range: `bytes=${size - 9}-` }, 206, size - 9, size],
  ['suffix range', '', { range: 'bytes=-9' }, 206, size - 9, size],
  ['whole range', '', { range: 'bytes=0-' }, 206, 0, size],
  ['several ranges', '', { range: 'bytes=0-1,3-4' }, 200, 0, size],
  ['malformed range', '', { range: 'bytes=x' }, 200, 0, size],
  ['range and offset', '?offset=5', { range: 'bytes=0-1' }, 200, 5, size],
  ['If-Range met', '', { range: 'bytes=0-1', 'if-range': etag }, 206, 0, 2],
  ['If-Range not met', '', { range: 'bytes=0-1', 'if-range': '"other"' }, 200, 0, size],
  ['weak If-Range', '', { range: 'bytes=0-1', 'if-range': `W/${etag}` }, 200, 0, size],
  ['If-None-Match of something else', '', { 'if-none-match': '"other"' }, 200, 0, size],
] as const)('%s', async (_name, query, headers, status, from, to) => {
  const answer = await data(query, headers)
  expect(answer.status).toBe(status)
  expect(answer.body.equals(bytes.subarray(from, to))).toBe(true)
  expect(answer.headers).toMatchObject({
    'content-length': String(to - from),
    'content-type': 'text/plain',
    'x-content-type-options': 'nosniff',
    'content-disposition': `attachment; filename="gr__e.bin"; filename*=UTF-8''gr%C3%B6%C3%9Fe.bin`,
    etag,
  })
  expect(answer.headers['content-range']).toBe(status === 206 ? `bytes ${from}-${to - 1}/${size}` : undefined)
  const isPart = status === 200 && to - from < size
  expect(answer.headers['repr-digest']).toBe(isPart ? undefined : `sha-512=:${sha512.toString('base64')}:`)
  expect(answer.headers['accept-ranges']).toBe(isPart ? undefined : 'bytes')
})

test.each([etag, `W/${etag}`, `"other", ${etag}`, '*'])('If-None-Match %s', async (value) => {
  const answer = await data('', { 'if-none-match': value, range: 'bytes=0-1' })
  expect(answer).toMatchObject({ status: 304, headers: { etag } })
  expect(answer.body.length).toBe(0)
})

test('a range outside the blob is refused with its size', async () => {
  const answer = await data('', { range: `bytes=${size}-` })
  expect(answer).toMatchObject({ status: 416, headers: { 'content-range': `bytes */${size}` } })
  expect(JSON.parse(answer.body.toString())).toMatchObject({
    code: 'range_not_satisfiable',
    status: 416,
    detail: { size },
  })
})

test('HEAD has the headers of GET and no bytes, and knows no ranges', async () => {
  const volatile = { date: undefined, connection: undefined }
  for (const query of ['', '?offset=7', `?offset=${size}`]) {
    const [get, head] = [await data(query), await data(query, { range: 'bytes=0-1' }, 'HEAD')]
    expect({ ...head.headers, ...volatile }).toEqual({ ...get.headers, ...volatile })
    expect({ status: head.status, length: head.body.length }).toEqual({ status: 200, length: 0 })
  }
  expect((await data('', { 'if-none-match': etag }, 'HEAD')).status).toBe(304)
})

test('what one may not see is not found', async () => {
  for (const method of ['GET', 'HEAD'] as const) {
    expect((await data('', { 'x-namespace': 'bob' }, method)).status).toBe(404)
    expect((await ask('/blobs/nonsense/data', {}, method)).status).toBe(404)
  }
})

const flipBit = async (path: string, position: number): Promise<void> => {
  const file = await open(path, 'r+')
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, position)
  byte[0]! ^= 1
  await file.write(byte, 0, 1, position)
  await file.close()
}

/** Another blob, which the test may damage. */
const another = async (): Promise<{ uuid: string; content: Buffer; path: string }> => {
  const content = randomBytes(3 * blockSize)
  const blob = await storeBlob(parts, content)
  await refer(parts, 'alice', blob.uuid, blob.uuid)
  return { uuid: blob.uuid, content, path: `/blobs/${blob.uuid}/data` }
}

test('a damaged block breaks the reply off before its bytes, and the blob is served no more', async () => {
  const blob = await another()
  await flipBit(blobPath(parts, blob.uuid), blockSize + 5)
  // What the damage does not touch is still good.
  expect((await ask(blob.path, { range: 'bytes=0-9' })).body.equals(blob.content.subarray(0, 10))).toBe(true)
  const cut = await ask(blob.path)
  expect({ status: cut.status, whole: cut.whole }).toEqual({ status: 200, whole: false })
  expect(cut.body.length).toBeLessThanOrEqual(blockSize)
  expect(cut.body.equals(blob.content.subarray(0, cut.body.length))).toBe(true)
  expect((await blobRow(parts, blob.uuid)).state).toBe('quarantined')
  const later = await ask(blob.path, { range: 'bytes=0-9' })
  expect(later.status).toBe(503)
  expect(JSON.parse(later.body.toString()).code).toBe('blob_damaged')
  expect((await ask(blob.path, {}, 'HEAD')).status).toBe(503)
})

test.each([
  ['at its first block', (path: string) => flipBit(path, 0)],
  ['by being too short', (path: string) => truncate(path, 5)],
  ['by being gone', (path: string) => rm(path)],
])('a blob damaged %s gets an error instead of a reply', async (_name, damage) => {
  const blob = await another()
  await damage(blobPath(parts, blob.uuid))
  const answer = await ask(`${blob.path}?offset=3`)
  expect(answer.status).toBe(503)
  expect(JSON.parse(answer.body.toString()).code).toBe('blob_damaged')
  expect((await blobRow(parts, blob.uuid)).state).toBe('quarantined')
})

test('a blob without a list of checksums is sent all the same', async () => {
  const blob = await another()
  await parts.db.write((trx) => trx.deleteFrom('blob_blocks').where('blob_uuid', '=', blob.uuid).execute())
  expect((await ask(`${blob.path}?offset=5`)).body.equals(blob.content.subarray(5))).toBe(true)
})

/** More than the buffers of a connection hold. */
const large = async (): Promise<string> => {
  const { uuid: largeUuid } = await storeBlob(parts, Buffer.alloc(32 * blockSize, 'x'))
  await refer(parts, 'alice', 'large', largeUuid)
  return largeUuid
}

test('a client that leaves ends the reading, and one that reads nothing is left', async () => {
  const largeUuid = await large()
  for (const patience of [60_000, 100]) {
    const sentBefore = (await parts.metrics.sentBytes.get()).values[0]!.value
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    socket.write(`GET /blobs/${largeUuid}/data HTTP/1.1\r\nhost: x\r\nx-patience: ${patience}\r\n\r\n`)
    await once(socket, 'readable')
    const leaves = patience === 60_000
    if (leaves) socket.destroy()
    await handled.at(-1)
    socket.destroy()
    const sent = (await parts.metrics.sentBytes.get()).values[0]!.value - sentBefore
    expect(sent).toBeLessThan(32 * blockSize)
    // Its buffers are free again, and nobody takes the blob for damaged.
    expect((await blobRow(parts, largeUuid)).state).toBe('created')
  }
})
