import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { isHoldfastError } from '@holdfast/api/errors'
import { blockSize } from '@holdfast/api/limits'
import { expect, test } from 'vitest'
import type { Row } from '../db/schema.ts'
import type { Parts } from '../parts.ts'
import { createTestParts } from '../test-parts.ts'
import { blobPath, blobRow, storeBlob } from './blob-fixture.ts'
import { sendBlob } from './send-blob.ts'

const content = randomBytes(3.5 * blockSize)

/** A blob with one bad byte in its third block. */
const storeDamaged = async (parts: Parts): Promise<{ row: Row<'blobs'>; bad: number }> => {
  const row = await storeBlob(parts, content)
  const bad = 2 * blockSize + 500
  const file = await open(blobPath(parts, row.uuid), 'r+')
  await file.write(Buffer.from([content[bad]! ^ 0x80]), 0, 1, bad)
  await file.close()
  return { row, bad }
}

const send = async (parts: Parts, row: Row<'blobs'>, offset: number, length: number) => {
  const chunks: Buffer[] = []
  let error: unknown
  await sendBlob(parts, row, {
    offset,
    length,
    signal: new AbortController().signal,
    write: async (chunk) => void chunks.push(Buffer.from(chunk)),
  }).catch((reason: unknown) => {
    error = reason
  })
  return { sent: Buffer.concat(chunks), error }
}

test('not a byte of a bad block goes out, and what was sent before is right', async () => {
  await using parts = await createTestParts()
  const { row } = await storeDamaged(parts)
  const beside = await send(parts, row, 3 * blockSize, 100)
  expect(beside.sent.equals(content.subarray(3 * blockSize, 3 * blockSize + 100))).toBe(true)
  expect(beside.error).toBe(undefined)
  const { sent, error } = await send(parts, row, 5, content.length - 5)
  expect(isHoldfastError(error, 'blob_damaged')).toBe(true)
  expect(sent.equals(content.subarray(5, 2 * blockSize))).toBe(true)
  expect((await blobRow(parts, row.uuid)).state).toBe('quarantined')
})

test('a range of one byte is checked with its whole block', async () => {
  await using parts = await createTestParts()
  const { row } = await storeDamaged(parts)
  const { sent, error } = await send(parts, row, 3 * blockSize - 1, 1)
  expect([sent.length, isHoldfastError(error, 'blob_damaged')]).toEqual([0, true])
})

test('a setting turns the checks of reads off', async () => {
  await using parts = await createTestParts({ readVerify: false })
  const { row, bad } = await storeDamaged(parts)
  const { sent, error } = await send(parts, row, 0, content.length)
  expect([error, sent.length, sent[bad]]).toEqual([undefined, content.length, content[bad]! ^ 0x80])
  expect((await blobRow(parts, row.uuid)).state).toBe('created')
})
