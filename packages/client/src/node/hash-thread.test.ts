import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { HashThread } from './hash-thread.ts'

const bytes = randomBytes(3_000_000)
const expected = createHash('sha512').update(bytes).digest('hex')

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

  it('lets nobody wait for a closed hash', async () => {
    const hash = new HashThread()
    const digest = hash.digest()
    await hash.stop()
    await expect(digest).rejects.toThrow()
    await expect(hash.update(new Uint8Array(1))).rejects.toThrow()
  })
})
