/**
 * The thread that reads blocks for downloads and makes their CRC-32. It reads a little and sums it up while it is in the core's own
 * cache: the same bytes, summed up by the thread that sends them, would have to be fetched from another core first, which costs
 * more than the sum.
 */
import { readSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { blockSize } from '@holdfast/api/limits'
import { crc32 } from '@node-rs/crc32'
import type { SummedBytes } from './block-crcs.ts'

/** The bytes from `position` of the file, a block's border, into a part of `buffer`. */
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

/** A block is a multiple of it. */
const stepSize = 128 * 1024

const read = ({ fd, buffer, byteOffset, length, position }: BlockRequest): SummedBytes => {
  const target = new Uint8Array(buffer, byteOffset, length)
  const crcs: number[] = []
  let count = 0
  while (count < length) {
    const got = readSync(
      fd,
      target,
      count,
      Math.min(length - count, stepSize - (count % stepSize)),
      position + count,
    )
    if (got === 0) break
    const block = Math.floor(count / blockSize)
    crcs[block] = crc32(target.subarray(count, count + got), crcs[block] ?? 0)
    count += got
  }
  return { count, crcs }
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
