/**
 * Downloads to a path: several ranges at once into a `.part` file, digest checked, renamed when right.
 *
 * The digest follows the front, the end of what is there without a gap from byte 0: a thread reads the bytes again as
 * the front passes them, which the page cache still holds, so the order in which ranges arrive does not matter.
 *
 * When the digest is wrong nothing is left under the final name and the `.part` is removed, for nobody can tell which of
 * its bytes are bad. If some of them were from an earlier run, the download starts over once by itself: a
 * power loss may have taken them.
 */

import { readBlob } from '../downloads/read-blob.ts'
import { type BlobFacts, resolveBlob } from '../downloads/resolve.ts'
import { VerificationError } from '../errors.ts'
import { PhaseMeter } from '../progress.ts'
import type { Session } from '../session.ts'
import type { DownloadOptions, DownloadProgress, DownloadResult } from '../types.ts'
import { createFileHash, type FileHash } from './file-hash.ts'
import { PartFile } from './part-file.ts'
import { giveBack } from './read-memory.ts'

const MiB = 1024 * 1024
/** Bytes that a connection gathers before it writes. */
const writeBytes = MiB / 4
const minSegment = 4 * MiB
const maxSegment = 32 * MiB

export const downloadToPath = async (
  session: Session,
  options: DownloadOptions<unknown>,
  path: string,
): Promise<DownloadResult> => {
  if (options.offset) throw new TypeError('a download to a path continues by itself: offset is for streams')
  const signal = session.signalFor(options.signal)
  const blob = await resolveBlob(session, options, signal)
  const first = await receive(session, blob, options, path, signal)
  if (first.mismatch === undefined) return first.result
  if (first.result.resumed === 0) throw first.mismatch
  const second = await receive(session, blob, options, path, signal)
  if (second.mismatch !== undefined) throw second.mismatch
  return { ...second.result, received: first.result.received + second.result.received }
}

interface Outcome {
  readonly result: DownloadResult
  readonly mismatch?: VerificationError
}

/** One whole download into the part file, with its digest. */
const receive = async (
  session: Session,
  blob: BlobFacts,
  options: DownloadOptions<unknown>,
  path: string,
  caller: AbortSignal,
): Promise<Outcome> => {
  const part = await PartFile.open(path, blob)
  const hash = blob.sha512 === undefined ? undefined : createFileHash(blob.size)
  const over = new AbortController()
  try {
    // Without ranges a reply runs to the end of the blob, so only one, from the first gap on, makes sense
    const ranges = (await session.capabilities()).has('blob-data-range')
    if (!ranges) part.done.keepFront()
    const resumed = part.done.total
    const signal = AbortSignal.any([caller, over.signal])
    const received = await fetchGaps(session, blob, options, { part, hash, signal, resumed, ranges })
    const verifying = new PhaseMeter<DownloadProgress>(options.onProgress, { phase: 'verify', resumed: 0 })
    if (hash) hash.onProgress = (done) => verifying.at(done, blob.size)
    const [sha512] = await Promise.all([hash?.digest(), part.sync()])
    caller.throwIfAborted()
    verifying.at(blob.size, blob.size, { finished: true })
    const result: DownloadResult = {
      blobUuid: blob.uuid,
      size: blob.size,
      sha512: blob.sha512,
      verified: sha512 !== undefined,
      resumed,
      received,
    }
    if (sha512 !== blob.sha512) {
      await part.discard()
      const message = `the downloaded bytes are not those of the blob; ${path}.part was removed`
      return { result, mismatch: new VerificationError(message, blob.sha512 ?? '', sha512 ?? '') }
    }
    await part.finish()
    return { result }
  } finally {
    over.abort()
    await hash?.stop()
    await part.close()
  }
}

interface Fetching {
  readonly part: PartFile
  readonly hash: FileHash | undefined
  readonly signal: AbortSignal
  readonly resumed: number
  readonly ranges: boolean
}

/** Fetches what is missing over several connections; answers how many bytes came. */
const fetchGaps = async (
  session: Session,
  blob: BlobFacts,
  options: DownloadOptions<unknown>,
  { part, hash, signal, resumed, ranges }: Fetching,
): Promise<number> => {
  const connections = ranges ? Math.max(1, options.connections ?? 4) : 1
  const fair = Math.ceil(blob.size / (connections * 4))
  const segment = ranges ? Math.min(Math.max(fair, minSegment), maxSegment) : blob.size
  const gaps = part.done.gaps(blob.size, segment)
  const meter = new PhaseMeter<DownloadProgress>(options.onProgress, { phase: 'receive', resumed }, resumed)
  let received = 0
  let hashed = 0
  const follow = () => {
    if (hash && part.done.front > hashed) {
      hashed = part.done.front
      hash.advance(part.fd, hashed)
    }
  }
  follow()
  meter.at(resumed, blob.size)

  const connection = async (stop: AbortSignal): Promise<void> => {
    for (let gap = gaps.shift(); gap !== undefined; gap = gaps.shift()) {
      const [start, end] = gap
      await writeGathered(
        part,
        start,
        readBlob(session, blob, { offset: start, end, givesBack: true, signal: stop }),
        (bytes) => {
          received += bytes
          follow()
          meter.at(resumed + received, blob.size)
        },
      )
    }
  }

  const failed = new AbortController()
  const stop = AbortSignal.any([signal, failed.signal])
  try {
    const all = Array.from({ length: Math.min(connections, gaps.length) }, () =>
      connection(stop).catch((error: unknown) => {
        // The others cannot save this download either; their bytes so far are kept
        failed.abort(error)
        throw error
      }),
    )
    await Promise.allSettled(all)
    await Promise.all(all)
  } catch (error) {
    await part.save()
    meter.ended(resumed + received, blob.size)
    throw failed.signal.reason ?? error
  }
  meter.at(blob.size, blob.size, { finished: true })
  return received
}

/** Writes a stream of small pieces as few large ones, the next being gathered while the last is written. */
const writeGathered = async (
  part: PartFile,
  start: number,
  pieces: AsyncIterable<Uint8Array>,
  onWritten: (bytes: number) => void,
): Promise<void> => {
  let at = start
  let gathered: Uint8Array[] = []
  let size = 0
  let writing: Promise<void> = Promise.resolve()
  const flush = async () => {
    await writing
    const [batch, position, bytes] = [gathered, at, size]
    at += bytes
    gathered = []
    size = 0
    writing = part.write(batch, position).then(() => {
      for (const piece of batch) giveBack(piece)
      onWritten(bytes)
    })
    writing.catch(() => {}) // seen where it is awaited
  }
  try {
    for await (const piece of pieces) {
      gathered.push(piece)
      size += piece.length
      if (size >= writeBytes) await flush()
    }
  } finally {
    // What came before a failure is kept
    if (size > 0) await flush()
    await writing
  }
}
