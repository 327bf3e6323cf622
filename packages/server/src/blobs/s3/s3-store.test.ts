/** The conformance suite over a real server (test-s3.ts), and what is particular about S3. */
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startProxy } from '../../../../../test/support/faulty-proxy.ts'
import { describeBlobStore } from '../blob-store.suite.ts'
import { readMarker } from './s3-marker.ts'
import { openS3Store, type S3Store } from './s3-store.ts'
import { connectToTestS3, type TestS3 } from './test-s3.ts'

const openStore = async () => {
  const connection = await connectToTestS3()
  return openS3Store({ connection, prefix: connection.prefix })
}

describeBlobStore('S3', openStore)

let directory: string
let connection: TestS3
let store: S3Store
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-s3-'))
  connection = await connectToTestS3()
  store = await openS3Store({ connection, prefix: connection.prefix })
})
afterAll(async () => {
  connection.close()
  await rm(directory, { recursive: true })
})

const MiB = 1024 * 1024
const place = async (bytes: Uint8Array): Promise<{ uuid: string; path: string }> => {
  const uuid = randomUUID()
  const path = join(directory, `${uuid}.data`)
  await writeFile(path, bytes)
  return { uuid, path }
}
const contentOf = async (uuid: string): Promise<Buffer> => {
  const reader = await store.open(uuid)
  const bytes = Buffer.alloc(reader.size)
  for (let at = 0; at < bytes.length; at += MiB) await reader.read(bytes.subarray(at, at + MiB), at)
  await reader.close()
  return bytes
}

test('a blob of many parts is read from anywhere, one after the other and all over the place', async () => {
  const bytes = randomBytes(20 * MiB + 12_345)
  const { uuid, path } = await place(bytes)
  await store.adopt(uuid, path)
  expect((await contentOf(uuid)).equals(bytes)).toBe(true)
  const reader = await store.open(uuid)
  await Promise.all(
    Array.from({ length: 30 }, async (_, i) => {
      const at = (i * 7_919_993) % bytes.length
      const target = Buffer.alloc(i * 1000)
      const count = await reader.read(target, at)
      expect(target.subarray(0, count).equals(bytes.subarray(at, at + target.length))).toBe(true)
    }),
  )
  await reader.close()
  await store.remove(uuid)
})

test('the local file is kept beside until its owner removes it, and comes back without a download', async () => {
  const { uuid, path } = await place(randomBytes(1000))
  const { ino } = await stat(path)
  await store.adopt(uuid, path)
  expect((await stat(join(directory, `${uuid}.sent`))).ino).toBe(ino)
  await store.giveBack(uuid, path)
  expect((await stat(path)).ino).toBe(ino)
  expect(await store.stat(uuid)).toBeUndefined()
})

test('without it the bytes are fetched', async () => {
  const bytes = randomBytes(3 * MiB + 1)
  const { uuid, path } = await place(bytes)
  await store.adopt(uuid, path)
  await rm(join(directory, `${uuid}.sent`))
  await store.giveBack(uuid, path)
  expect((await readFile(path)).equals(bytes)).toBe(true)
  expect(await store.stat(uuid)).toBeUndefined()
})

test('a bucket that is not there is no missing blob', async () => {
  const elsewhere = await connectToTestS3({ bucket: 'nowhere', patienceMs: 100 })
  await expect(openS3Store({ connection: elsewhere, prefix: '' })).rejects.toThrow()
  const lost = await openS3Store({ connection: { ...connection }, prefix: connection.prefix })
  expect(await lost.stat(randomUUID())).toBeUndefined()
  const misled = { ...connection, bucket: 'nowhere' }
  const { findObject } = await import('./s3-objects.ts')
  await expect(findObject(misled, 'blobs/any')).rejects.toMatchObject({ name: 'NoSuchBucket' })
  elsewhere.close()
})

test('a refusal that is cut on its way is asked for again', async () => {
  const proxy = await startProxy(process.env.TEST_S3_URL!)
  const cut = await connectToTestS3({ endpoint: proxy.url, patienceMs: 5000 })
  try {
    const cuts = { kind: 'cut-reply', after: 10 } as const
    proxy.options.fault = () => (proxy.requests.length === 1 ? cuts : undefined)
    // The reply is 404 with a body of which 10 bytes arrive.
    expect(await readMarker(cut, 'nothing-here/')).toBeUndefined()
    expect(proxy.requests).toHaveLength(2)
  } finally {
    cut.close()
    await proxy.close()
  }
})

test('what a local disk has altered is not taken', async () => {
  const blockSums = Buffer.alloc(4, 1)
  const { uuid, path } = await place(randomBytes(1000))
  await expect(store.adopt(uuid, path, { blockSums })).rejects.toThrow(/not hold the bytes/)
  expect(await store.stat(uuid)).toBeUndefined()
  expect((await stat(path)).size).toBe(1000)
})
