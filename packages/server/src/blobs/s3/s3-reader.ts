/**
 * Reading an object from anywhere. Reads that follow each other are served from one reply, asked for in ever larger
 * pieces, so that the network's delay is paid seldom and little is fetched in vain. A reply that breaks off is asked for
 * again from the very byte.
 */
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { HoldfastError } from '@holdfast/api/errors'
import type { BlobReader } from '../blob-store.ts'
import { copyIntoShared } from '../slot-pool.ts'
import { pauseMs, type S3Connection } from './s3-connection.ts'
import { isChanged, isMissing, isPassing, storeAway } from './s3-errors.ts'
import type { ObjectFacts } from './s3-objects.ts'

const MiB = 1024 * 1024
/** Asked for ahead of what is wanted: four times as much with each request, up to this. */
const maxAhead = 64 * MiB

/** A reply that is being read. */
interface Stream {
  readonly body: Readable
  readonly chunks: AsyncIterator<Buffer>
  /** Where its next byte belongs, and where it ends. */
  at: number
  readonly end: number
  /** Taken from the body and not yet handed out. */
  rest: Buffer
}

const damaged = (uuid: string, cause: unknown): HoldfastError =>
  new HoldfastError('blob_damaged', { detail: { blob_uuid: uuid }, cause })

/** Opens `object`, which was there a moment ago, as the blob `uuid`. */
export const s3Reader = (connection: S3Connection, uuid: string, object: ObjectFacts): BlobReader => {
  const { bucket: Bucket, call, patienceMs } = connection
  const { key: Key, size, etag: IfMatch } = object
  let stream: Stream | undefined
  /** Reads take their turns; `planned` is where the last of them ends. */
  let turns: Promise<unknown> = Promise.resolve()
  let planned = -1
  let ahead = 0
  let isClosed = false

  const drop = () => {
    stream?.body.destroy()
    stream = undefined
  }

  const begin = async (start: number, end: number): Promise<Stream> => {
    const reply = await call(
      (s3, options) => s3.getObject({ Bucket, Key, IfMatch, Range: `bytes=${start}-${end - 1}` }, options),
      { kind: 'read' },
    )
    const body = reply.Body as unknown as Readable
    // Nobody may be listening when the connection breaks.
    body.on('error', () => {})
    if (reply.ContentLength !== end - start) {
      body.destroy()
      throw new Error(`asked for ${end - start} bytes, the store sends ${reply.ContentLength}`)
    }
    return { body, chunks: body[Symbol.asyncIterator](), at: start, end, rest: Buffer.alloc(0) }
  }

  /** Takes what comes next, at most as much as there is room for; 0 when the reply has ended. */
  const take = async (from: Stream, target: Uint8Array): Promise<number> => {
    if (from.rest.length === 0) {
      const next = await from.chunks.next()
      if (next.done) return 0
      from.rest = next.value
    }
    const part = from.rest.subarray(0, target.length)
    copyIntoShared(target, part, 0)
    from.rest = from.rest.subarray(part.length)
    from.at += part.length
    return part.length
  }

  const fill = async (target: Uint8Array, position: number): Promise<void> => {
    let until = performance.now() + patienceMs
    let failures = 0
    for (let filled = 0; filled < target.length; )
      try {
        const at = position + filled
        if (stream?.at !== at || stream.at === stream.end) {
          drop()
          stream = await begin(at, Math.min(size, position + target.length + ahead))
        }
        const count = await take(stream, target.subarray(filled))
        if (count === 0) throw new Error('the reply of the store was cut short')
        filled += count
        failures = 0
        until = performance.now() + patienceMs
      } catch (error) {
        drop()
        if (isMissing(error) || isChanged(error)) throw damaged(uuid, error)
        const pause = pauseMs(++failures)
        if (error instanceof HoldfastError || !isPassing(error) || performance.now() + pause > until)
          throw storeAway(error)
        await sleep(pause)
      }
  }

  return {
    uuid,
    size,
    async read(target, position) {
      const length = Math.max(0, Math.min(target.length, size - position))
      if (length === 0) return 0
      // Whoever goes on where the last read ends will go on further.
      ahead = position === planned ? Math.min(maxAhead, 4 * ahead + length) : 0
      planned = position + length
      const run = async () => {
        if (isClosed) throw new Error('the reader is closed')
        await fill(target.subarray(0, length), position)
      }
      const turn = turns.then(run, run)
      turns = turn.catch(() => {})
      await turn
      return length
    },
    async close() {
      isClosed = true
      drop()
    },
  }
}
