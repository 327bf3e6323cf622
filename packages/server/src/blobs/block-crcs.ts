import { blockSize } from '@holdfast/api/limits'
import { crc32 } from '@node-rs/crc32'

/** What was read, with the CRC-32 of every `blockSize` bytes of it, counted from the first; the last may be fewer. */
export interface SummedBytes {
  readonly count: number
  readonly crcs: readonly number[]
}

/** Sums up what was read already. */
export const sumBlocks = (bytes: Uint8Array): SummedBytes => {
  const crcs: number[] = []
  for (let start = 0; start < bytes.length; start += blockSize)
    crcs.push(crc32(bytes.subarray(start, start + blockSize)))
  return { count: bytes.length, crcs }
}
