import { randomBytes } from 'node:crypto'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { blockSize } from '@holdfast/api/limits'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createBlockReader } from './block-reader.ts'

const content = randomBytes(3 * 1024 * 1024 + 77)
let directory: string
let path: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-blocks-'))
  path = join(directory, 'file')
  await writeFile(path, content)
})
afterAll(() => rm(directory, { recursive: true }))

const crcsOf = (bytes: Uint8Array): number[] =>
  Array.from({ length: Math.ceil(bytes.length / blockSize) }, (_, i) =>
    crc32(bytes.subarray(i * blockSize, (i + 1) * blockSize)),
  )
const shared = (length: number) => new Uint8Array(new SharedArrayBuffer(length))

test('reads many parts at once, each with its sum, and fewer bytes only at the end', async () => {
  await using file = await open(path)
  const reader = createBlockReader(3)
  const parts = Array.from({ length: 40 }, (_, i) => ({ position: i * 80_000, target: shared(1_300_001) }))
  await Promise.all(
    parts.map(async ({ position, target }) => {
      const expected = content.subarray(position, position + target.length)
      expect(await reader.read(file.fd, target, position)).toEqual({
        count: expected.length,
        crcs: crcsOf(expected),
      })
      expect(expected.equals(target.subarray(0, expected.length))).toBe(true)
    }),
  )
  expect(await reader.read(file.fd, shared(10), content.length)).toEqual({ count: 0, crcs: [] })
  await reader.close()
})

test('a refusal of the system rejects and harms no other read', async () => {
  await using file = await open(path)
  await using unreadable = await open(path, 'a')
  const reader = createBlockReader(1)
  const reads = [unreadable.fd, file.fd].map((fd) => reader.read(fd, shared(1000), 0))
  await expect(reads[0]).rejects.toThrow('EBADF')
  expect(await reads[1]).toEqual({ count: 1000, crcs: crcsOf(content.subarray(0, 1000)) })
  await reader.close()
})

test('after its end, reads are rejected, those under way too', async () => {
  await using file = await open(path)
  const reader = createBlockReader(1)
  const read = reader.read(file.fd, shared(1000), 0)
  // Whichever comes first: it must settle
  const settled = read.then(
    ({ count }) => count,
    (error: Error) => error.message,
  )
  await reader.close()
  expect([1000, 'a block thread ended']).toContain(await settled)
  await expect(reader.read(file.fd, shared(1000), 0)).rejects.toThrow('closed')
})
