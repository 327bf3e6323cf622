import { HoldfastError, NetworkError } from '../errors.ts'
import { Patience } from '../retry.ts'
import type { Session } from '../session.ts'
import { Watchdog } from '../watchdog.ts'
import type { BlobFacts } from './resolve.ts'

interface ReadOptions {
  /** First byte. */
  readonly offset: number
  /** Byte behind the last one; default the end of the blob. */
  readonly end?: number
  /** Each piece is given back where the platform has such a thing (`TransportRequest.rangeBytes`). */
  readonly givesBack?: boolean
  readonly signal: AbortSignal
}

/**
 * The bytes of a blob from `offset` to `end`, in order, each once, through any number of passing failures. Uses
 * ranges where the server knows them, and the original's `offset` elsewhere.
 */
export async function* readBlob(
  session: Session,
  blob: BlobFacts,
  { offset, end = blob.size, givesBack = false, signal }: ReadOptions,
): AsyncGenerator<Uint8Array> {
  const ranges = (await session.capabilities()).has('blob-data-range')
  const { policy, onRetry } = session
  const patience = new Patience({ what: 'download', policy, signal, onRetry })
  for (let at = offset; at < end; ) {
    const watchdog = new Watchdog(signal, session.stallMs)
    try {
      const { reply } = await session.exchange({
        route: 'readBlob',
        params: { blob_uuid: blob.uuid },
        ...(ranges ? { headers: rangeHeaders(blob, at, end) } : { query: { offset: at } }),
        rangeBytes: ranges && givesBack ? end - at : undefined,
        watchdog,
      })
      // 200 to a range: the server has other content under this ETag, which must not be glued to ours
      if (ranges && reply.status !== 206) throw changed()
      for await (const bytes of reply.chunks()) {
        // What the consumer does with the bytes is not the line's silence
        watchdog.hold()
        patience.progressed()
        const wanted = bytes.length > end - at ? bytes.subarray(0, end - at) : bytes
        at += wanted.length
        if (wanted.length > 0) yield wanted
        watchdog.touch()
        // A reply to a range ends here by itself, and its connection lives on
        if (at === end && !ranges) return
      }
      if (at < end) throw new NetworkError(`the reply ended ${end - at} bytes early`)
    } catch (error) {
      await patience.failed(error)
    } finally {
      watchdog.stop()
    }
  }
}

/** Asks for a range, and for nothing else should the blob not be the one that we know. */
const rangeHeaders = (blob: BlobFacts, start: number, end: number): Record<string, string> => ({
  Range: `bytes=${start}-${end - 1}`,
  ...(blob.sha512 === undefined ? {} : { 'If-Range': `"${blob.sha512}"` }),
})

const changed = () =>
  new HoldfastError('range_not_satisfiable', {
    message: 'the blob on the server is no longer the one that was asked for',
  })
