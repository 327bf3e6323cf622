import { HoldfastError } from '@holdfast/api/errors'
import { blockSize } from '@holdfast/api/limits'
import { sharedPageMemory } from '@holdfast/api/page-memory'
import { crc32 } from '@node-rs/crc32'
import type { BlobReader } from './blob-store.ts'

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
   * Takes the next bytes, and those after them perhaps before these have left. The memory is used again once the promise has
   * settled: for a socket, settle it in the callback of its `write`. A rejection ends the sending.
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
  /** Buffers of 1 MiB for reading ahead, in all downloads together. */
  readonly maxAheadBuffers?: number
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

/** One block on its way. */
interface Reading {
  readonly buffer: Buffer
  /** The part of the block that was asked for. */
  readonly wanted: Promise<Uint8Array>
}

/** Blocks that are read, and written, in one go; and how many such pieces a download has at hand. */
interface Pace {
  readonly blocks: number
  readonly pieces: number
}

/** A thread that reads and sums up is told of two blocks at a time, and both are written at once: each message wakes somebody up. */
const summedPace: Pace = { blocks: 2, pieces: 2 }
/** The fewer buffers, the more of their bytes are still in the processor's cache when they are written. */
const plainPace: Pace = { blocks: 1, pieces: 2 }

/**
 * Every download owns one buffer, so that slow consumers cannot starve others; only buffers for reading ahead come
 * out of the shared budget. Memory is thus bounded by live downloads, and flat for each.
 */
export const createBlobSender = ({ maxAheadBuffers = 12 }: BlobSenderOptions = {}): BlobSender => {
  // Those of a busy moment's downloads too: what is dropped stays resident until V8 happens to collect it.
  const keptBuffers = 2 * maxAheadBuffers
  const free: Buffer[] = []
  let ahead = 0

  const send = async ({ blob, offset, length, blockSums, write, signal }: SendOptions): Promise<number> => {
    const end = Math.min(blob.size, offset + length)
    const lastBlock = Math.ceil(end / blockSize)
    const pace = blockSums && blob.readSummed ? summedPace : plainPace
    const pieces: Reading[][] = []
    let next = Math.floor(offset / blockSize)
    /** The first is the download's own, the others are on the budget. */
    let held = 0

    const takeBuffer = (): Buffer | undefined => {
      if (held > 0 && ahead >= maxAheadBuffers) return undefined
      if (held > 0) ahead++
      held++
      return free.pop() ?? Buffer.from(sharedPageMemory(blockSize))
    }
    const giveBuffer = (buffer: Buffer): void => {
      held--
      if (held > 0) ahead--
      if (free.length < keptBuffers) free.push(buffer)
    }
    const startPiece = (): Reading[] => {
      const piece: Reading[] = []
      while (piece.length < pace.blocks && next < lastBlock) {
        const buffer = takeBuffer()
        if (!buffer) break
        const wanted = readBlock(blob, next++, buffer, blockSums, offset, end)
        // Looked at when its turn comes; until then a failure is nobody's unhandled rejection.
        wanted.catch(() => {})
        piece.push({ buffer, wanted })
      }
      return piece
    }
    const fill = (): void => {
      while (pieces.length < pace.pieces) {
        const piece = startPiece()
        if (piece.length === 0) return
        pieces.push(piece)
      }
    }

    let sent = 0
    try {
      if (offset >= end) return 0
      for (;;) {
        signal?.throwIfAborted()
        fill()
        const [piece] = pieces
        if (!piece) return sent
        const { chunks, failure } = await readyBlocks(piece)
        signal?.throwIfAborted()
        await writeAll(chunks, write)
        for (const chunk of chunks) sent += chunk.length
        if (failure) throw failure.error
        pieces.shift()
        for (const { buffer } of piece) giveBuffer(buffer)
      }
    } finally {
      // Buffers go back only when no read fills them any more.
      for (const { buffer, wanted } of pieces.flat()) {
        await wanted.catch(() => {})
        giveBuffer(buffer)
      }
    }
  }

  return { send }
}

/** The blocks before the first that failed, and its failure. */
const readyBlocks = async (
  piece: readonly Reading[],
): Promise<{ chunks: Uint8Array[]; failure?: { error: unknown } }> => {
  const chunks: Uint8Array[] = []
  try {
    for (const { wanted } of piece) chunks.push(await wanted)
    return { chunks }
  } catch (error) {
    return { chunks, failure: { error } }
  }
}

/** Begins all writes at once. Settles when nobody uses the memory any more; rejects with the first failure. */
const writeAll = async (chunks: readonly Uint8Array[], write: SendOptions['write']): Promise<void> => {
  const outcomes = await Promise.allSettled(chunks.map(write))
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

/** Reads one block, or the wanted part of it when there is nothing to check it with. */
const readBlock = async (
  blob: BlobReader,
  block: number,
  buffer: Buffer,
  blockSums: Uint8Array | undefined,
  offset: number,
  end: number,
): Promise<Uint8Array> => {
  const start = block * blockSize
  const from = Math.max(offset, start)
  const to = Math.min(end, start + blockSize)
  const readFrom = blockSums ? start : from
  const readTo = blockSums ? Math.min(blob.size, start + blockSize) : to
  const bytes = buffer.subarray(0, readTo - readFrom)
  const { count, crc } = await readBytes(blob, bytes, readFrom, blockSums !== undefined)
  if (count < bytes.length) throw damaged(blob, block, `only ${count} of ${bytes.length} bytes`)
  if (blockSums) {
    if (blockSums.length < block * 4 + 4) throw damaged(blob, block, 'no checksum')
    const expected = new DataView(blockSums.buffer, blockSums.byteOffset).getUint32(block * 4)
    if (crc !== expected) throw damaged(blob, block, 'wrong checksum')
  }
  return bytes.subarray(from - readFrom, to - readFrom)
}

const readBytes = async (
  blob: BlobReader,
  bytes: Uint8Array,
  position: number,
  isSummed: boolean,
): Promise<{ count: number; crc?: number }> => {
  if (isSummed && blob.readSummed) return blob.readSummed(bytes, position)
  const count = await blob.read(bytes, position)
  return isSummed ? { count, crc: crc32(bytes.subarray(0, count)) } : { count }
}

const damaged = (blob: BlobReader, block: number, what: string): HoldfastError =>
  new HoldfastError('blob_damaged', {
    detail: { blob_uuid: blob.uuid },
    cause: new DamagedBlock(block, what),
  })
