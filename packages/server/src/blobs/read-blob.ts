import { HoldfastError } from '@holdfast/api/errors'
import { blockSize } from '@holdfast/api/limits'
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
   * Takes the next bytes. The memory is used again once the promise has settled: for a socket, settle it in the
   * callback of its `write`. A rejection ends the sending.
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
  /** Blocks read before the consumer asks for them, in one download. */
  readonly readAhead?: number
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

interface Piece {
  readonly buffer: Buffer
  /** The part of the buffer that was asked for. */
  readonly wanted: Promise<Uint8Array>
}

/**
 * Every download owns one buffer, so that slow consumers cannot starve others; only buffers for reading ahead come
 * out of the shared budget. Memory is thus bounded by live downloads, and flat for each.
 */
export const createBlobSender = (options: BlobSenderOptions = {}): BlobSender => {
  const { readAhead = 3, maxAheadBuffers = 12 } = options
  // Those of a busy moment's downloads too: what is dropped stays resident until V8 happens to collect it.
  const keptBuffers = 2 * maxAheadBuffers
  const free: Buffer[] = []
  let ahead = 0

  const takeBuffer = () => free.pop() ?? Buffer.from(new SharedArrayBuffer(blockSize))
  const giveBuffer = (buffer: Buffer) => {
    if (free.length < keptBuffers) free.push(buffer)
  }

  const send = async ({ blob, offset, length, blockSums, write, signal }: SendOptions): Promise<number> => {
    const end = Math.min(blob.size, offset + length)
    const lastBlock = Math.ceil(end / blockSize)
    const pieces: Piece[] = []
    let next = Math.floor(offset / blockSize)

    const startRead = () => {
      const buffer = takeBuffer()
      const block = next++
      const wanted = readBlock(blob, block, buffer, blockSums, offset, end)
      // Looked at when its turn comes; until then a failure is nobody's unhandled rejection.
      wanted.catch(() => {})
      pieces.push({ buffer, wanted })
    }
    const fill = () => {
      if (next < lastBlock && pieces.length === 0) startRead()
      while (next < lastBlock && pieces.length <= readAhead && ahead < maxAheadBuffers) {
        ahead++
        startRead()
      }
    }
    const drop = (piece: Piece) => {
      giveBuffer(piece.buffer)
      // The first buffer is the download's own; whichever goes while others stay was on the budget.
      if (pieces.length > 0) ahead--
    }

    let sent = 0
    try {
      if (offset >= end) return 0
      for (;;) {
        signal?.throwIfAborted()
        fill()
        const [piece] = pieces
        if (!piece) return sent
        const chunk = await piece.wanted
        signal?.throwIfAborted()
        await write(chunk)
        sent += chunk.length
        pieces.shift()
        drop(piece)
      }
    } finally {
      // Buffers go back only when no read fills them any more.
      for (let piece = pieces.shift(); piece; piece = pieces.shift()) {
        await piece.wanted.catch(() => {})
        drop(piece)
      }
    }
  }

  return { send }
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
