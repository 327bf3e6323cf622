import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { blockSize } from '@holdfast/api/limits'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { BlobStore } from './blob-store.ts'
import { createBlockReader } from './block-reader.ts'
import { openDiskStore } from './disk-store.ts'
import { realFiles } from './files.ts'
import { dataPaths } from './paths.ts'
import { createBlobSender, DamagedBlock, type SendOptions } from './read-blob.ts'
import { sumsOf } from './upload-fixture.ts'

const content = randomBytes(6 * blockSize + 4321)
const sums = sumsOf(content)
let dataDir: string
let store: BlobStore
let uuid: string
const blocks = createBlockReader()
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'holdfast-read-'))
  store = await openDiskStore(dataDir, realFiles, blocks)
  uuid = await stored()
})
afterAll(async () => {
  await blocks.close()
  await rm(dataDir, { recursive: true })
})

const stored = async (): Promise<string> => {
  const fresh = randomUUID()
  await writeFile(join(dataDir, 'incoming'), content)
  await store.adopt(fresh, join(dataDir, 'incoming'))
  return fresh
}

const sender = createBlobSender({ maxBuffers: 4 })

/** Sends into memory; `received` is filled even when sending fails. */
const receive = async (
  id: string,
  options: Partial<SendOptions>,
  received: Uint8Array[] = [],
): Promise<Buffer> => {
  const blob = await store.open(id)
  try {
    const sent = await sender.send({
      blob,
      offset: 0,
      length: blob.size,
      // A copy taken late shows a buffer that was used again too early.
      write: (chunk) =>
        new Promise((resolve) =>
          setImmediate(() => {
            received.push(Buffer.from(chunk))
            resolve()
          }),
        ),
      ...options,
    })
    const all = Buffer.concat(received)
    expect(all.length).toBe(sent)
    return all
  } finally {
    await blob.close()
  }
}

/** Whoever comes waits until as many have come. */
const meetingOf = (count: number): (() => Promise<void>) => {
  const { promise, resolve } = Promise.withResolvers<void>()
  let missing = count
  return () => {
    if (--missing === 0) resolve()
    return promise
  }
}

describe('sending a blob', () => {
  test('any range is right, checked or not', async () => {
    const place = fc.oneof(
      fc.integer({ min: 0, max: content.length + 10 }),
      fc.constantFrom(0, 1, blockSize - 1, blockSize, blockSize + 1, content.length - 1, content.length),
    )
    await fc.assert(
      fc.asyncProperty(place, place, fc.boolean(), async (offset, length, checked) => {
        const bytes = await receive(uuid, { offset, length, blockSums: checked ? sums : undefined })
        expect(bytes.equals(content.subarray(offset, offset + length))).toBe(true)
      }),
      { numRuns: 40 },
    )
  })

  test('many at once are all right, and take less memory each', async () => {
    /** Each waits for all before its first three pieces are taken, so that the third is asked for when all have begun. */
    const thirdPieces = async (count: number): Promise<Set<number>> => {
      const meetings = Array.from({ length: 3 }, () => meetingOf(count))
      const thirds = new Set<number>()
      const all = await Promise.all(
        Array.from({ length: count }, () => {
          const received: Uint8Array[] = []
          const write = async (chunk: Uint8Array) => {
            await meetings[received.length]?.()
            if (received.push(Buffer.from(chunk)) === 3) thirds.add(chunk.length)
          }
          return receive(uuid, { blockSums: sums, write }, received)
        }),
      )
      for (const bytes of all) expect(bytes.equals(content)).toBe(true)
      return thirds
    }
    expect(await thirdPieces(4)).toEqual(new Set([2 * blockSize]))
    expect(await thirdPieces(12)).toEqual(new Set([blockSize]))
  })

  test('no byte of a bad block goes out, those before do', async () => {
    const bad = await stored()
    const file = await open(dataPaths(dataDir).blob(bad), 'r+')
    await file.write(Buffer.from([content[3 * blockSize + 9]! ^ 1]), 0, 1, 3 * blockSize + 9)
    await file.close()
    const received: Uint8Array[] = []
    const error = await receive(bad, { offset: 100, blockSums: sums }, received).catch((e) => e)
    expect(error).toMatchObject({ code: 'blob_damaged', detail: { blob_uuid: bad } })
    expect(error.cause).toBeInstanceOf(DamagedBlock)
    expect(error.cause.block).toBe(3)
    expect(Buffer.concat(received).equals(content.subarray(100, 3 * blockSize))).toBe(true)
    // The rot lies in the block but not in the part that is asked for: still not served.
    await expect(
      receive(bad, { offset: 3 * blockSize + 50, length: 10, blockSums: sums }),
    ).rejects.toMatchObject({ code: 'blob_damaged' })
    const behind = await receive(bad, { offset: 4 * blockSize, blockSums: sums })
    expect(behind.equals(content.subarray(4 * blockSize))).toBe(true)
  })

  test('a file that was cut under the reader is damaged', async () => {
    const cut = await stored()
    for (const blockSums of [sums, undefined]) {
      const received: Uint8Array[] = []
      const blob = await store.open(cut)
      await truncate(dataPaths(dataDir).blob(cut), 2 * blockSize + 5)
      const sending = sender.send({
        blob: { uuid: cut, size: content.length, read: blob.read, close: blob.close },
        offset: 0,
        length: content.length,
        blockSums,
        write: async (chunk) => void received.push(Buffer.from(chunk)),
      })
      await expect(sending).rejects.toMatchObject({ code: 'blob_damaged', cause: { block: 2 } })
      expect(Buffer.concat(received).equals(content.subarray(0, 2 * blockSize))).toBe(true)
      await blob.close()
    }
  })

  test('sums that end too early are not a licence', async () => {
    await expect(receive(uuid, { blockSums: sums.subarray(0, 8) })).rejects.toMatchObject({
      code: 'blob_damaged',
      cause: { block: 2 },
    })
  })

  test('a failing consumer ends it, and so does the signal', async () => {
    const write = async () => {
      throw new Error('socket closed')
    }
    await expect(receive(uuid, { write })).rejects.toThrow('socket closed')
    const abort = new AbortController()
    let writes = 0
    const cancelling = async () => {
      if (++writes === 2) abort.abort(new Error('cancelled'))
    }
    await expect(receive(uuid, { write: cancelling, signal: abort.signal })).rejects.toThrow('cancelled')
    expect(writes).toBe(2)
    expect((await receive(uuid, {})).equals(content)).toBe(true)
  })
})
