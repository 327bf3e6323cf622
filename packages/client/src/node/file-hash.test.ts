import { createHash, randomBytes } from 'node:crypto'
import { type FileHandle, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SourceChangedError } from '../errors.ts'
import { createFileHash, type FileHash } from './file-hash.ts'
import { HashThread } from './hash-thread.ts'

const bytes = randomBytes(3_000_000)
const expected = createHash('sha512').update(bytes).digest('hex')
let directory: string
let handle: FileHandle
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-hash-'))
  await writeFile(join(directory, 'file'), bytes)
  handle = await open(join(directory, 'file'))
})
afterAll(async () => {
  await handle.close()
  await rm(directory, { recursive: true })
})

it('uses a thread for long files only', async () => {
  const long = createFileHash(2 ** 30)
  expect(long).toBeInstanceOf(HashThread)
  expect(createFileHash(bytes.length)).not.toBeInstanceOf(HashThread)
  await long.stop()
})

describe.each<[string, () => FileHash]>([
  ['of a short file', () => createFileHash(bytes.length)],
  ['in a thread', () => new HashThread()],
])('a hash %s', (_, create) => {
  it('follows the front of a file', async () => {
    const hash = create()
    const progress: number[] = []
    hash.onProgress = (done) => progress.push(done)
    for (const upTo of [1, 1000, 1000, 2_000_000, bytes.length]) hash.advance(handle.fd, upTo)
    expect(await hash.digest()).toBe(expected)
    expect(progress.at(-1)).toBe(bytes.length)
    await hash.stop()
  })

  it('is that of nothing when there is nothing', async () => {
    const hash = create()
    hash.advance(handle.fd, 0)
    expect(await hash.digest()).toBe(createHash('sha512').digest('hex'))
    await hash.stop()
  })

  it('says that a file is too short', async () => {
    const hash = create()
    hash.advance(handle.fd, bytes.length + 1)
    await expect(hash.digest()).rejects.toBeInstanceOf(SourceChangedError)
    await hash.stop()
  })

  it('says that a file cannot be read, which is no failure of the network', async () => {
    const place = await open(directory)
    const hash = create()
    hash.advance(place.fd, bytes.length)
    const error: unknown = await hash.digest().catch((reason: unknown) => reason)
    expect(error).toMatchObject({ message: expect.stringContaining('cannot read the file: EISDIR') })
    expect(error).not.toHaveProperty('code')
    await hash.stop()
    await place.close()
  })

  it('lets nobody wait when it is closed, and is done with the file then', async () => {
    const hash = create()
    hash.advance(handle.fd, bytes.length)
    const digest = hash.digest()
    digest.catch(() => {}) // seen below
    await hash.stop()
    await expect(digest).rejects.toThrow()
  })
})
