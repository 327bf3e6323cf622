/**
 * The thread that reads blocks for downloads and makes their CRC-32. It reads a block and sums it up while it is in the core's own
 * cache: the same bytes, summed up by the thread that sends them, would have to be fetched from another core first, which costs
 * more than the sum.
 */
import { readSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { blockSize } from '@holdfast/api/limits'
import { crc32 } from '@node-rs/crc32'
import type { SummedBytes } from './block-crcs.ts'

/** The bytes from `position` of the file, into a part of `buffer`. */
export interface BlockRequest {
  readonly job: number
  readonly fd: number
  readonly buffer: SharedArrayBuffer
  readonly byteOffset: number
  readonly length: number
  readonly position: number
}

export interface BlockReply {
  readonly job: number
  readonly read?: SummedBytes
  readonly error?: string
}

const read = ({ fd, buffer, byteOffset, length, position }: BlockRequest): SummedBytes => {
  const target = new Uint8Array(buffer, byteOffset, length)
  const crcs: number[] = []
  let count = 0
  while (count < length) {
    const block = target.subarray(count, count + blockSize)
    const found = readFully(fd, block, position + count)
    if (found > 0) crcs.push(crc32(block.subarray(0, found)))
    count += found
    if (found < block.length) break
  }
  return { count, crcs }
}

/** Fewer bytes than there is room for only at the end of the file. */
const readFully = (fd: number, target: Uint8Array, position: number): number => {
  let count = 0
  while (count < target.length) {
    const got = readSync(fd, target, count, target.length - count, position + count)
    if (got === 0) break
    count += got
  }
  return count
}

const answer = (request: BlockRequest): BlockReply => {
  const { job } = request
  try {
    return { job, read: read(request) }
  } catch (error) {
    return { job, error: String(error) }
  }
}

parentPort!.on('message', (request: BlockRequest) =>
  parentPort!.postMessage(answer(request) satisfies BlockReply),
)
