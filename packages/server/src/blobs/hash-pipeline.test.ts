import { createHash, randomBytes } from 'node:crypto'
import { appendFile, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { blockSize } from '@holdfast/api/limits'
import fc from 'fast-check'
import { xxhash128 } from 'hash-wasm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BlockHash } from './block-hash.ts'
import { type HashPipeline, startHashPipeline } from './hash-pipeline.ts'
import { sumsOf } from './upload-fixture.ts'

const content = randomBytes(6 * blockSize)
const sha512 = (bytes: Uint8Array) => createHash('sha512').update(bytes).digest('hex')

describe('BlockHash', () => {
  test('after any appends and rewinds equals hashing afresh', () => {
    const step = fc.record({
      append: fc.integer({ min: 0, max: 300_000 }),
      checkpoint: fc.boolean(),
      rewindTo: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 4 }),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const hash = new BlockHash()
        for (const { append, checkpoint, rewindTo } of steps) {
          hash.update(content.subarray(hash.size, hash.size + append))
          if (checkpoint) hash.checkpoint()
          if (rewindTo !== null) {
            const size = Math.floor(rewindTo * hash.size)
            hash.rewind(size)
            expect(hash.size).toBeLessThanOrEqual(size)
          }
        }
        const bytes = content.subarray(0, hash.size)
        expect(hash.digest()).toEqual({ sha512: sha512(bytes), blockSums: sumsOf(bytes) })
      }),
      { numRuns: 50 },
    )
  })

  test('goes back to the last append boundaries for nothing, and further in proportion to the way', () => {
    const [step, count] = [1000, 2000]
    for (const back of [1, 2, 3, 10, 50, 200, 500, 1000]) {
      const hash = new BlockHash()
      for (let i = 0; i < count; i++) {
        hash.checkpoint()
        hash.update(content.subarray(i * step, (i + 1) * step))
      }
      const size = (count - back) * step
      hash.rewind(size)
      const again = size - hash.size
      expect(again, `bytes to read again for ${back} appends`).toBeLessThanOrEqual(
        back <= 3 ? 0 : 1.5 * back * step,
      )
    }
  })
})

describe('the pipeline', () => {
  let directory: string
  let path: string
  let pipeline: HashPipeline
  let workers: Worker[]
  const crashes: Error[] = []
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-hash-'))
    path = join(directory, 'data')
    await writeFile(path, '')
    workers = []
    crashes.length = 0
    pipeline = startHashPipeline({
      workers: 1,
      slots: 4,
      onCrash: (error) => crashes.push(error),
      startWorker(script, options) {
        const worker = new Worker(script, options)
        workers.push(worker)
        return worker
      },
    })
  })
  afterEach(async () => {
    await pipeline.close()
    await rm(directory, { recursive: true })
  })

  /** Appends as an upload would: to the file and to the stream. */
  const append = async (stream: ReturnType<HashPipeline['open']>, from: number, to: number) => {
    const slot = await pipeline.slots.acquire()
    slot.bytes.set(content.subarray(from, to))
    const hashed = stream.append(slot, to - from, from, from, true)
    await appendFile(path, content.subarray(from, to))
    await hashed
    pipeline.slots.release(slot)
  }
  const expectHash = async (stream: ReturnType<HashPipeline['open']>, size: number) => {
    const bytes = content.subarray(0, size)
    expect(await stream.finish(size)).toEqual({ sha512: sha512(bytes), blockSums: sumsOf(bytes) })
  }

  test('hashes what comes after what is in the file already', async () => {
    await writeFile(path, content.subarray(0, 5 * blockSize))
    const stream = pipeline.open(path)
    await append(stream, 5 * blockSize, 5 * blockSize + 100)
    await expectHash(stream, 5 * blockSize + 100)
    await append(stream, 5 * blockSize + 100, 6 * blockSize)
    await expectHash(stream, 6 * blockSize)
    stream.close()
  })

  test('a file that grows just as the reading of it ends is read on', async () => {
    await writeFile(path, content)
    for (let round = 0; round < 20; round++) {
      const stream = pipeline.open(path)
      for (let size = 1000; size <= 20_000; size += 1000) await expectHash(stream, size)
      stream.close()
    }
  })

  test('a file that is cut while it is being read is no error', async () => {
    for (let round = 0; round < 20; round++) {
      await writeFile(path, content.subarray(0, 1000))
      const stream = pipeline.open(path)
      // The claim is ahead of the file, as it looks to the worker between a cut and the message about it.
      const slot = await pipeline.slots.acquire()
      const claimed = stream.append(slot, 1, 2000, 1999, true)
      await setImmediate()
      stream.rewind(1000)
      await Promise.all([claimed, expectHash(stream, 1000)])
      pipeline.slots.release(slot)
      stream.close()
    }
  })

  test('a killed worker is replaced and its streams are made again from the file', async () => {
    const stream = pipeline.open(path)
    await append(stream, 0, 1000)
    await workers[0]!.terminate()
    await append(stream, 1000, blockSize)
    await expectHash(stream, blockSize)
    const finish = expectHash(stream, blockSize)
    await workers[1]!.terminate()
    await finish
    expect(crashes).toHaveLength(2)
  })

  test('a file that is shorter than claimed is an error, not a digest', async () => {
    const stream = pipeline.open(path)
    await append(stream, 0, 1000)
    await expect(stream.finish(2000)).rejects.toThrow('shorter')
    await expectHash(stream, 1000)
  })

  describe('digest', () => {
    const source = async (bytes: Uint8Array) => {
      await writeFile(path, bytes)
      const file = await open(path)
      return {
        size: bytes.length,
        read: async (target: Uint8Array, at: number) =>
          (await file.read(target, 0, target.length, at)).bytesRead,
        [Symbol.asyncDispose]: () => file.close(),
      }
    }

    test.each([0, 1, blockSize, 2 * blockSize + 5, content.length])('of %i bytes', async (size) => {
      const bytes = content.subarray(0, size)
      await using blob = await source(bytes)
      const progress: number[] = []
      expect(await pipeline.digest(blob, { onProgress: (n) => progress.push(n) })).toEqual({
        size,
        sha512: sha512(bytes),
        sha256: createHash('sha256').update(bytes).digest('hex'),
        sha1: createHash('sha1').update(bytes).digest('hex'),
        xxh128: await xxhash128(bytes),
        blockSums: sumsOf(bytes),
      })
      expect(progress.at(-1)).toBe(size === 0 ? undefined : size)
    })

    test('tells the size of what was there', async () => {
      await using blob = await source(content.subarray(0, 1000))
      expect(await pipeline.digest({ size: 5000, read: blob.read })).toMatchObject({ size: 1000 })
    })

    test('stops when asked to, also while it holds back its speed', async () => {
      await using blob = await source(content)
      const abort = new AbortController()
      const digest = pipeline.digest(blob, {
        bytesPerSecond: 1,
        signal: abort.signal,
        onProgress: () => setTimeout(() => abort.abort(new Error('enough'))),
      })
      await expect(digest).rejects.toThrow('enough')
    })

    test('passes a failing read on', async () => {
      const read = async () => {
        throw new Error('bad medium')
      }
      await expect(pipeline.digest({ size: 10, read })).rejects.toThrow('bad medium')
    })
  })
})
