import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SourceChangedError } from '../errors.ts'
import { HashThread } from './hash-thread.ts'

const bytes = randomBytes(3_000_000)
const expected = createHash('sha512').update(bytes).digest('hex')
let directory: string
let path: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-hash-'))
  path = join(directory, 'file')
  await writeFile(path, bytes)
})
afterAll(() => rm(directory, { recursive: true }))

describe('HashThread', () => {
  it('hashes pieces, whose memory may be used again at once', async () => {
    const hash = new HashThread()
    const reused = Buffer.alloc(64 * 1024)
    for (let at = 0; at < bytes.length; at += reused.length) {
      const length = bytes.copy(reused, 0, at)
      await hash.update(reused.subarray(0, length))
      reused.fill(0)
    }
    expect(await hash.digest()).toBe(expected)
    await hash.stop()
  })

  it('follows the front of a file', async () => {
    const handle = await open(path)
    const hash = new HashThread()
    const progress: number[] = []
    hash.onProgress = (done) => progress.push(done)
    for (const upTo of [1, 1000, 1000, 2_000_000, bytes.length]) hash.advance(handle.fd, upTo)
    expect(await hash.digest()).toBe(expected)
    expect(progress.at(-1)).toBe(bytes.length)
    await hash.stop()
    await handle.close()
  })

  it('says that a file is too short', async () => {
    const handle = await open(path)
    const hash = new HashThread()
    hash.advance(handle.fd, bytes.length + 1)
    await expect(hash.digest()).rejects.toBeInstanceOf(SourceChangedError)
    await hash.stop()
    await handle.close()
  })

  it('lets nobody wait for a closed hash', async () => {
    const hash = new HashThread()
    const digest = hash.digest()
    await hash.stop()
    await expect(digest).rejects.toThrow()
    await expect(hash.update(new Uint8Array(1))).rejects.toThrow()
  })
})
