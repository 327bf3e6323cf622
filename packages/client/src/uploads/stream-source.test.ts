import { Readable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { NotRepeatableError, SourceChangedError } from '../errors.ts'
import { openStreamSource } from './stream-source.ts'

const signal = new AbortController().signal
const join = (pieces: unknown) => Buffer.concat(pieces as Uint8Array[])

async function* slowly(pieces: Uint8Array[]) {
  for (const piece of pieces) {
    await null
    yield piece
  }
}

const forms = {
  iterable: (pieces: Uint8Array[]) => pieces,
  'async iterable': (pieces: Uint8Array[]) => slowly(pieces),
  'web stream': (pieces: Uint8Array[]) => Readable.toWeb(Readable.from(pieces)) as ReadableStream<Uint8Array>,
  'node stream': (pieces: Uint8Array[]) => Readable.from(pieces, { objectMode: false }),
}

describe.each(Object.entries(forms))('a source over a %s', (_, make) => {
  it('gives every byte once and in order, and again until it is acknowledged', async () => {
    const piece = fc.uint8Array({ minLength: 1, maxLength: 40 })
    await fc.assert(
      fc.asyncProperty(fc.array(piece), fc.integer({ min: 1, max: 50 }), async (pieces, wanted) => {
        const source = openStreamSource(make(pieces), undefined, undefined)
        const got: Buffer[] = []
        let offset = 0
        for (;;) {
          const length = await source.prepare(offset, wanted, signal)
          if (length === 0) break
          const bytes = join(source.body(offset, length))
          expect(bytes.length).toBe(length)
          expect(join(source.body(offset, length))).toEqual(bytes)
          const half = length >> 1
          expect(join(source.body(offset + half, length - half))).toEqual(bytes.subarray(half))
          got.push(bytes)
          offset += length
          source.acknowledge(offset)
        }
        expect(Buffer.concat(got)).toEqual(Buffer.concat(pieces))
        expect(source.size).toBe(offset)
        await source.close()
      }),
      { numRuns: 30 },
    )
  })
})

describe('a stream source', () => {
  it('cannot go back behind what was acknowledged', async () => {
    const source = openStreamSource([new Uint8Array(10), new Uint8Array(10)], undefined, undefined)
    await source.prepare(0, 20, signal)
    source.acknowledge(10)
    await expect(source.prepare(5, 1, signal)).rejects.toBeInstanceOf(NotRepeatableError)
  })

  it('passes on the error of its stream', async () => {
    async function* broken() {
      yield new Uint8Array(3)
      throw new Error('the pipe broke')
    }
    const source = openStreamSource(broken(), undefined, undefined)
    await expect(source.prepare(0, 10, signal)).rejects.toThrow('the pipe broke')
  })

  it('does not read ahead without bound', async () => {
    let given = 0
    function* endless() {
      for (;;) {
        given += 1 << 20
        yield new Uint8Array(1 << 20)
      }
    }
    const source = openStreamSource(endless(), undefined, undefined)
    await source.prepare(0, 1, signal)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(given).toBeLessThanOrEqual(17 << 20)
    await source.close()
  })

  it('reads on although a piece is larger than all that is read ahead', async () => {
    const source = openStreamSource([new Uint8Array(20 << 20), new Uint8Array(1)], undefined, undefined)
    let offset = 0
    for (let length = -1; length !== 0; offset += length) {
      length = await source.prepare(offset, 7 << 20, AbortSignal.timeout(5000))
      source.acknowledge(offset + length)
    }
    expect(offset).toBe((20 << 20) + 1)
    await source.close()
  })

  it('ends a wait for a stream that hangs', async () => {
    const controller = new AbortController()
    const source = openStreamSource(
      new ReadableStream<Uint8Array>({ pull: () => new Promise(() => {}) }),
      undefined,
      undefined,
    )
    const waiting = source.prepare(0, 1, controller.signal)
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await source.close()
  })

  it('notices that it is not as long as announced', async () => {
    const source = openStreamSource([new Uint8Array(3)], undefined, 4)
    await source.prepare(0, 10, signal)
    await expect(source.verify()).rejects.toBeInstanceOf(SourceChangedError)
  })
})
