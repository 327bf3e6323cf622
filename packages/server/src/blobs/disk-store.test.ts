import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isHoldfastError } from '@holdfast/api/errors'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeBlobStore } from './blob-store.suite.ts'
import type { BlobStore } from './blob-store.ts'
import { openDiskStore } from './disk-store.ts'
import { realFiles } from './files.ts'

describeBlobStore('disk', (directory) => openDiskStore(directory))

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-disk-store-'))
})
afterAll(() => rm(directory, { recursive: true }))

/** A store with a blob, whose file can neither be opened nor read. */
const failingStore = async (code: string): Promise<{ uuid: string; opens: BlobStore; reads: BlobStore }> => {
  const fail = () => Promise.reject(Object.assign(new Error(code), { code }))
  const uuid = randomUUID()
  const source = join(directory, uuid)
  await writeFile(source, 'bytes')
  await (await openDiskStore(directory)).adopt(uuid, source)
  return {
    uuid,
    opens: await openDiskStore(directory, { ...realFiles, open: fail }),
    reads: await openDiskStore(directory, {
      ...realFiles,
      open: async (path, how) => ({ ...(await realFiles.open(path, how)), read: fail }),
    }),
  }
}

test.each([
  ['EIO', true],
  ['ENOENT', true],
  // Wrong permissions: for whoever wants the bytes it makes no difference.
  ['EACCES', true],
  ['EMFILE', false],
  ['ENFILE', false],
  ['ENOMEM', false],
])('%s while reading is damage: %s', async (code, isDamage) => {
  const { uuid, opens, reads } = await failingStore(code)
  const isRight = (error: unknown) =>
    isDamage ? isHoldfastError(error, 'blob_damaged') : (error as { code: string }).code === code
  await expect(opens.open(uuid)).rejects.toSatisfy(isRight)
  const reader = await reads.open(uuid)
  await expect(reader.read(new Uint8Array(5), 0)).rejects.toSatisfy(isRight)
  await reader.close()
})
