/** Uploads that are sent to a real S3 server while they arrive (test-s3.ts). */
import { randomBytes, randomUUID } from 'node:crypto'
import { appendFile, mkdtemp, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { blockSize } from '@holdfast/api/limits'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type FaultyProxy, startProxy } from '../../../../../test/support/faulty-proxy.ts'
import { realFiles } from '../files.ts'
import { PartSender } from './part-sender.ts'
import { s3Names } from './s3-names.ts'
import { findObject } from './s3-objects.ts'
import { s3Reader } from './s3-reader.ts'
import { openS3Store, type S3Store } from './s3-store.ts'
import { connectToTestS3, type TestS3 } from './test-s3.ts'

const MiB = 1024 * 1024
let directory: string
let connection: TestS3
let store: S3Store
let proxy: FaultyProxy
let uuid: string
let path: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-parts-'))
  proxy = await startProxy(process.env.TEST_S3_URL!)
  connection = await connectToTestS3({ endpoint: proxy.url })
  store = await openS3Store({ connection, prefix: connection.prefix })
})
afterAll(async () => {
  connection.close()
  await proxy.close()
  await rm(directory, { recursive: true })
})
beforeEach(() => {
  uuid = randomUUID()
  path = join(directory, uuid)
  proxy.requests.length = 0
  proxy.options.fault = undefined
})
afterEach(async () => {
  proxy.options.fault = undefined
  expect(await connection.unfinished()).toEqual([])
  await store.remove(uuid)
  expect(await connection.keys()).toEqual([])
})

const isPart = (request: string) => /^PUT .*partNumber=/.test(request)
const partsSent = () => proxy.requests.filter(isPart).length
const until = async (condition: () => boolean | Promise<boolean>) => {
  while (!(await condition())) await sleep(20)
}
const sumsOf = (bytes: Buffer) => {
  const blockSums = Buffer.alloc(Math.ceil(bytes.length / blockSize) * 4)
  for (let block = 0; block * blockSize < bytes.length; block++)
    blockSums.writeUInt32BE(crc32(bytes.subarray(block * blockSize, (block + 1) * blockSize)), block * 4)
  return { blockSums }
}
/** What is stored has these bytes. */
const expectStored = async (bytes: Buffer) => {
  const object = (await findObject(connection, `${connection.prefix}blobs/${uuid}`))!
  const reader = s3Reader(connection, uuid, object)
  const stored = Buffer.alloc(object.size)
  for (let at = 0; at < stored.length; at += MiB) await reader.read(stored.subarray(at, at + MiB), at)
  await reader.close()
  expect(stored.equals(bytes)).toBe(true)
}
/** Adds bytes and says so, and waits until all whole parts are with the store. */
const grow = async (bytes: Buffer, size: number) => {
  await appendFile(path, bytes)
  store.parts.grown(uuid, path, size)
}
const answered = async (count: number) =>
  until(async () => partsSent() >= count && !store.parts.isSending(uuid))

test('parts go while data arrives, and the conversion sends the last one only', async () => {
  const bytes = randomBytes(20 * MiB)
  await grow(bytes.subarray(0, 10 * MiB), 10 * MiB)
  await answered(1)
  await grow(bytes.subarray(10 * MiB), 20 * MiB)
  await answered(2)
  expect(partsSent()).toBe(2)
  await store.adopt(uuid, path, sumsOf(bytes))
  expect(partsSent()).toBe(3)
  await expectStored(bytes)
})

test('a small upload is one request', async () => {
  const bytes = randomBytes(5 * MiB)
  await grow(bytes, bytes.length)
  await store.adopt(uuid, path, sumsOf(bytes))
  expect(proxy.requests.filter((request) => request.startsWith('PUT')).length).toBe(1)
  await expectStored(bytes)
})

test('what is cut is sent again, and only that', async () => {
  const bytes = randomBytes(24 * MiB)
  await grow(bytes, bytes.length)
  await answered(3)
  store.parts.cut(uuid, 12 * MiB)
  await truncate(path, 12 * MiB)
  const others = Buffer.concat([bytes.subarray(0, 12 * MiB), randomBytes(9 * MiB)])
  await grow(others.subarray(12 * MiB), others.length)
  await answered(4)
  await store.adopt(uuid, path, sumsOf(others))
  expect(partsSent()).toBe(5)
  await expectStored(others)
})

test('a part on its way when it is cut does not count', async () => {
  const bytes = randomBytes(16 * MiB)
  proxy.options.fault = (method, url) =>
    isPart(`${method} ${url}`) && url.includes('partNumber=2') ? { kind: 'delay', ms: 300 } : undefined
  await grow(bytes, bytes.length)
  await until(() => partsSent() === 2)
  store.parts.cut(uuid, 9 * MiB)
  await truncate(path, 9 * MiB)
  const others = Buffer.concat([bytes.subarray(0, 9 * MiB), randomBytes(7 * MiB)])
  await grow(others.subarray(9 * MiB), others.length)
  proxy.options.fault = undefined
  await store.adopt(uuid, path, sumsOf(others))
  await expectStored(others)
})

test('a conversion that failed does not leave a part too short', async () => {
  const bytes = randomBytes(20 * MiB)
  await grow(bytes.subarray(0, 11 * MiB), 11 * MiB)
  await answered(1)
  proxy.options.fault = (method, url) =>
    method === 'POST' && url.includes('uploadId=') ? { kind: 'status', status: 403 } : undefined
  await expect(store.adopt(uuid, path, sumsOf(bytes.subarray(0, 11 * MiB)))).rejects.toMatchObject({
    code: 'blob_store_unavailable',
  })
  proxy.options.fault = undefined
  await grow(bytes.subarray(11 * MiB), bytes.length)
  await store.adopt(uuid, path, sumsOf(bytes))
  await expectStored(bytes)
})

test.each(['reply of the completion', 'reply of a part', 'reply of a whole object'])(
  'a lost %s changes nothing',
  async (which) => {
    const bytes = randomBytes(which.endsWith('object') ? MiB : 17 * MiB)
    let lost = 0
    proxy.options.fault = (method, url) => {
      const isMeant =
        which === 'reply of the completion'
          ? method === 'POST' && url.includes('uploadId=')
          : method === 'PUT' && (which === 'reply of a part') === url.includes('partNumber=')
      return isMeant && lost++ === 0 ? { kind: 'cut-reply', after: -1 } : undefined
    }
    await grow(bytes, bytes.length)
    await store.adopt(uuid, path, sumsOf(bytes))
    expect(lost).toBeGreaterThan(1)
    await expectStored(bytes)
  },
)

test('parts that the store has lost are sent again', async () => {
  const bytes = randomBytes(20 * MiB)
  await grow(bytes, bytes.length)
  await answered(2)
  const other = new PartSender({
    connection,
    names: s3Names(connection.prefix),
    files: realFiles,
    sums: 'md5',
    warn: () => {},
  })
  expect(await other.sweep(async () => false)).toBe(1)
  await expect(store.adopt(uuid, path, sumsOf(bytes))).rejects.toMatchObject({
    code: 'blob_store_unavailable',
  })
  await store.adopt(uuid, path, sumsOf(bytes))
  await expectStored(bytes)
})

test('what an upload leaves is aborted with it, and what a crash leaves by the sweep, unless it is kept', async () => {
  const bytes = randomBytes(9 * MiB)
  await grow(bytes, bytes.length)
  await answered(1)
  expect(await connection.unfinished()).toEqual([`blobs/${uuid}`])
  expect(await store.parts.sweep(async () => false)).toBe(0)
  const afterCrash = await openS3Store({ connection, prefix: connection.prefix })
  expect(await afterCrash.parts.sweep(async (other) => other === uuid)).toBe(0)
  await store.parts.gone(uuid)
  expect(await connection.unfinished()).toEqual([])
  await grow(Buffer.alloc(0), bytes.length)
  await answered(2)
  expect(await afterCrash.parts.sweep(async () => false)).toBe(1)
  await store.parts.gone(uuid)
})

test('a store that is away is said to be, and the upload stays', async () => {
  const bytes = randomBytes(9 * MiB)
  await grow(bytes, bytes.length)
  await answered(1)
  proxy.options.fault = () => ({ kind: 'status', status: 503 })
  await expect(store.adopt(uuid, path, sumsOf(bytes))).rejects.toMatchObject({
    code: 'blob_store_unavailable',
  })
  proxy.options.fault = undefined
  await store.adopt(uuid, path, sumsOf(bytes))
  await expectStored(bytes)
})

test('a reply that is cut goes on at the very byte', async () => {
  const bytes = randomBytes(12 * MiB)
  await grow(bytes, bytes.length)
  await store.adopt(uuid, path, sumsOf(bytes))
  proxy.requests.length = 0
  let cuts = 0
  proxy.options.fault = (method) =>
    method === 'GET' && cuts++ < 4
      ? { kind: 'cut-reply', after: 300_000 + cuts, reset: cuts % 2 === 0 }
      : undefined
  await expectStored(bytes)
  expect(proxy.requests.filter((request) => request.startsWith('GET')).length).toBeGreaterThan(5)
})
