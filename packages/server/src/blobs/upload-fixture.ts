/** What the tests of uploads share: bodies that behave like connections, and the plain way to compute digests. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { blockSize } from '@holdfast/api/limits'
import { expect } from 'vitest'
import type { UploadFiles } from './upload-files.ts'

/** `bytes` the way a socket would bring them. */
export async function* chunks(bytes: Uint8Array, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** A body that the test feeds by hand and that says nothing otherwise, like a connection that died silently. */
export const pipe = () => {
  const queue: Uint8Array[] = []
  let wake: (() => void) | undefined
  let end: 'open' | 'ended' | Error = 'open'
  const poke = () => wake?.()
  return {
    send(bytes: Uint8Array) {
      queue.push(bytes)
      poke()
    },
    finish() {
      end = 'ended'
      poke()
    },
    cut() {
      end = new Error('connection reset')
      poke()
    },
    body: {
      async *[Symbol.asyncIterator]() {
        for (;;) {
          const next = queue.shift()
          if (next) yield next
          else if (end === 'ended') return
          else if (end !== 'open') throw end
          else
            await new Promise<void>((resolve) => {
              wake = resolve
            })
        }
      },
    },
  }
}

/** The CRC-32 of every block, computed the plain way. */
export const sumsOf = (bytes: Uint8Array): Buffer => {
  const sums = Buffer.alloc(Math.ceil(bytes.length / blockSize) * 4)
  for (let i = 0; i * blockSize < bytes.length; i++)
    sums.writeUInt32BE(crc32(bytes.subarray(i * blockSize, (i + 1) * blockSize)), i * 4)
  return sums
}

/** File, status and digests say the same as `bytes`. */
export const expectContent = async (uploads: UploadFiles, uuid: string, bytes: Uint8Array): Promise<void> => {
  expect((await uploads.status(uuid))?.size).toBe(bytes.length)
  const sealed = await uploads.seal(uuid)
  try {
    expect(sealed.size).toBe(bytes.length)
    expect(Buffer.compare(await readFile(sealed.path), bytes)).toBe(0)
    expect(sealed.sha512).toBe(createHash('sha512').update(bytes).digest('hex'))
    expect(Buffer.from(sealed.blockSums).equals(sumsOf(bytes))).toBe(true)
  } finally {
    await sealed.release()
  }
}

/** Options of the two kinds of append. */
export const plain = { mode: 'plain' } as const
export const at = (expectedOffset: number) => ({ mode: 'conditional', expectedOffset }) as const
