import { createHash, randomBytes } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { xxhash128 } from 'hash-wasm'
import { expect, test } from 'vitest'
import { createTestParts } from '../../test-parts.ts'
import { blobPath, blobRow, storeBlob } from '../blob-fixture.ts'
import { quarantineBlob } from '../quarantine.ts'
import { digestBlobs } from './digest-blobs.ts'

const never = new AbortController().signal

/** Turns one bit of a file over. */
const flipBit = async (path: string, position: number): Promise<void> => {
  const file = await open(path, 'r+')
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, position)
  byte[0]! ^= 1
  await file.write(byte, 0, 1, position)
  await file.close()
}

test('stores all digests of blobs that have none, and is done then', async () => {
  await using parts = await createTestParts()
  const bytes = randomBytes(2.5 * 1024 * 1024)
  const { uuid } = await storeBlob(parts, bytes)
  const small = await storeBlob(parts, Buffer.from('small'))
  expect(await digestBlobs(parts, never)).toEqual({ digested: 2, damaged: 0, failed: 0 })
  expect(await blobRow(parts, uuid)).toMatchObject({
    sha256: createHash('sha256').update(bytes).digest('hex'),
    sha1: createHash('sha1').update(bytes).digest('hex'),
    xxh128: await xxhash128(bytes),
    verified_at: parts.clock.now(),
  })
  expect((await blobRow(parts, small.uuid)).sha256).not.toBe(null)
  expect(await digestBlobs(parts, never)).toEqual({ digested: 0, damaged: 0, failed: 0 })
})

test('finds what is damaged, missing or of another size, and gets on with the rest', async () => {
  await using parts = await createTestParts()
  const flipped = await storeBlob(parts, randomBytes(1000))
  const missing = await storeBlob(parts, randomBytes(1001))
  const longer = await storeBlob(parts, randomBytes(1002), { size: 1003 })
  const known = await storeBlob(parts, randomBytes(1004))
  const good = await storeBlob(parts, randomBytes(1005))
  await flipBit(blobPath(parts, flipped.uuid), 500)
  await rm(blobPath(parts, missing.uuid))
  await quarantineBlob(parts, known.uuid, 'found before')
  expect(await digestBlobs(parts, never)).toEqual({ digested: 1, damaged: 3, failed: 0 })
  for (const { uuid } of [flipped, missing, longer])
    expect(await blobRow(parts, uuid)).toMatchObject({ state: 'quarantined', sha256: null })
  expect((await blobRow(parts, good.uuid)).state).toBe('created')
  expect(await digestBlobs(parts, never)).toEqual({ digested: 0, damaged: 0, failed: 0 })
})

test('block checksums that contradict proven content are replaced, missing ones made', async () => {
  await using parts = await createTestParts()
  const sums = async () =>
    (await parts.db.read.selectFrom('blob_blocks').selectAll().execute()).map((row) => Buffer.from(row.sums))
  await storeBlob(parts, Buffer.from('content'))
  const right = await sums()
  await parts.db.write((trx) =>
    trx
      .updateTable('blob_blocks')
      .set({ sums: new Uint8Array(4) })
      .execute(),
  )
  await digestBlobs(parts, never)
  expect(await sums()).toEqual(right)

  await using others = await createTestParts()
  await storeBlob(others, Buffer.from('content'))
  await others.db.write((trx) => trx.deleteFrom('blob_blocks').execute())
  await digestBlobs(others, never)
  expect((await others.db.read.selectFrom('blob_blocks').selectAll().execute()).length).toBe(1)
})

test('stops between two blobs', async () => {
  await using parts = await createTestParts()
  await storeBlob(parts, Buffer.from('content'))
  expect(await digestBlobs(parts, AbortSignal.abort())).toEqual({ digested: 0, damaged: 0, failed: 0 })
})
