import { HoldfastError } from '@holdfast/api/errors'
import { blockSize } from '@holdfast/api/limits'
import { sharedPageMemory } from '@holdfast/api/page-memory'
import type { BlobReader } from './blob-store.ts'
import { type SummedBytes, sumBlocks } from './block-crcs.ts'

export interface SendOptions {
  /** Stays open; no read is under way any more when `send` has settled. */
  readonly blob: BlobReader
  /** First byte; at or past the end: nothing is sent. */
  readonly offset: number
  /** Bytes wanted; what lies past the end is not sent. */
  readonly length: number
  /** CRC-32 of every block, 4 bytes big endian each. When given, no byte of a block goes out unchecked. */
  readonly blockSums?: Uint8Array | undefined
  /**
   * Takes the next bytes. Their memory is used again once the promise has settled: for a socket, settle it in the callback of
   * its `write`. A rejection ends the sending.
   */
  write(chunk: Uint8Array): Promise<void>
  readonly signal?: AbortSignal | undefined
}

/** Reads blobs for downloads, with buffers shared by all of them. */
export interface BlobSender {
  /**
   * Sends a part of a blob in order and tells how many bytes that were. Throws `blob_damaged` (the detail names the
   * blob, the cause says which block) on a wrong checksum, a short file or a failing medium, then all bytes sent
   * before are right; rethrows what `write` rejects with; throws the signal's reason.
   */
  send(options: SendOptions): Promise<number>
}

export interface BlobSenderOptions {
  /** Buffers of 2 MiB for all downloads together, as long as there are no more downloads than that. */
  readonly maxBuffers?: number
}

/** The cause of a `blob_damaged` found while reading. */
export class DamagedBlock extends Error {
  override readonly name = 'DamagedBlock'
  readonly block: number

  constructor(block: number, what: string) {
    super(`block ${block}: ${what}`)
    this.block = block
  }
}

/** Blocks that are read, and written, in one go: each costs a message to a thread and back, and a wait for the socket. */
const pieceBlocks = 2

/** Some bytes on their way. */
interface Piece {
  readonly buffer: Buffer
  /** Settles when nobody fills the buffer any more; never rejects. */
  readonly reading: Promise<Reading>
}

interface Reading {
  /** What was asked for, up to the first block that failed. */
  readonly bytes: Uint8Array
  readonly failure?: { readonly error: unknown }
}

/**
 * A few downloads have two buffers each, and read into one while the other is sent; more of them have one each. When even that
 * would be too much they use the first block of theirs only: the memory of the rest is not taken before it is touched.
 * So slow consumers cannot starve others, and memory is bounded by live downloads, and flat for each.
 */
export const createBlobSender = ({ maxBuffers = 16 }: BlobSenderOptions = {}): BlobSender => {
  const maxReadingAhead = maxBuffers / 4
  // All that there may be: what is dropped stays resident until V8 happens to collect it.
  const keptBuffers = maxBuffers + maxReadingAhead
  const free: Buffer[] = []
  let live = 0

  const takeBuffer = (): Buffer => free.pop() ?? Buffer.from(sharedPageMemory(pieceBlocks * blockSize))
  const giveBuffer = (buffer: Buffer): void => {
    if (free.length < keptBuffers) free.push(buffer)
  }

  const send = async ({ blob, offset, length, blockSums, write, signal }: SendOptions): Promise<number> => {
    const end = Math.min(blob.size, offset + length)
    const pieces: Piece[] = []
    let next = offset
    const readAhead = (): void => {
      const depth = live <= maxReadingAhead ? 2 : 1
      const blocks = live <= maxBuffers ? pieceBlocks : 1
      while (next < end && pieces.length < depth) {
        const to = Math.min(end, (Math.floor(next / blockSize) + blocks) * blockSize)
        const buffer = takeBuffer()
        pieces.push({ buffer, reading: readPiece(blob, buffer, next, to, blockSums) })
        next = to
      }
    }

    let sent = 0
    live++
    try {
      for (;;) {
        signal?.throwIfAborted()
        readAhead()
        const [piece] = pieces
        if (!piece) return sent
        const { bytes, failure } = await piece.reading
        signal?.throwIfAborted()
        if (bytes.length > 0) await write(bytes)
        sent += bytes.length
        if (failure) throw failure.error
        pieces.shift()
        giveBuffer(piece.buffer)
      }
    } finally {
      live--
      for (const { buffer, reading } of pieces) {
        await reading
        giveBuffer(buffer)
      }
    }
  }

  return { send }
}

/** Reads the bytes from `from` to `to`, with all of the blocks around them when there is something to check them with. */
const readPiece = async (
  blob: BlobReader,
  buffer: Buffer,
  from: number,
  to: number,
  blockSums: Uint8Array | undefined,
): Promise<Reading> => {
  const start = blockSums ? from - (from % blockSize) : from
  const end = blockSums ? Math.min(blob.size, Math.ceil(to / blockSize) * blockSize) : to
  const target = buffer.subarray(0, end - start)
  try {
    const read = blockSums
      ? await readSummed(blob, target, start)
      : { count: await blob.read(target, start), crcs: [] }
    const damage = findDamage(read, start, end, blockSums)
    if (!damage) return { bytes: target.subarray(from - start, to - start) }
    const goodEnd = Math.max(from, damage.block * blockSize)
    return {
      bytes: target.subarray(from - start, goodEnd - start),
      failure: { error: damaged(blob, damage) },
    }
  } catch (error) {
    return { bytes: target.subarray(0, 0), failure: { error } }
  }
}

const readSummed = async (blob: BlobReader, target: Uint8Array, position: number): Promise<SummedBytes> =>
  blob.readSummed?.(target, position) ?? sumBlocks(target.subarray(0, await blob.read(target, position)))

/** The first block between `start` and `end` that is short, or not what its checksum says. */
const findDamage = (
  { count, crcs }: SummedBytes,
  start: number,
  end: number,
  blockSums: Uint8Array | undefined,
): DamagedBlock | undefined => {
  const firstBlock = Math.floor(start / blockSize)
  for (let block = firstBlock; block * blockSize < end; block++) {
    const blockStart = Math.max(start, block * blockSize)
    const expected = Math.min(end, (block + 1) * blockSize) - blockStart
    const found = Math.max(0, Math.min(expected, start + count - blockStart))
    if (found < expected) return new DamagedBlock(block, `only ${found} of ${expected} bytes`)
    if (!blockSums) continue
    if (blockSums.length < block * 4 + 4) return new DamagedBlock(block, 'no checksum')
    const sum = new DataView(blockSums.buffer, blockSums.byteOffset).getUint32(block * 4)
    if (crcs[block - firstBlock] !== sum) return new DamagedBlock(block, 'wrong checksum')
  }
}

const damaged = (blob: BlobReader, cause: DamagedBlock): HoldfastError =>
  new HoldfastError('blob_damaged', { detail: { blob_uuid: blob.uuid }, cause })
