/**
 * The thread that reads blocks for downloads and makes their CRC-32. It reads a little and sums it up while it is in the core's own
 * cache: the same bytes, summed up by the thread that sends them, would have to be fetched from another core first, which costs
 * more than the sum.
 */
import { readSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { crc32 } from '@node-rs/crc32'
import type { SummedBytes } from './block-reader.ts'

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

const stepSize = 128 * 1024

const read = ({ fd, buffer, byteOffset, length, position }: BlockRequest): SummedBytes => {
  const target = new Uint8Array(buffer, byteOffset, length)
  let count = 0
  let crc = 0
  while (count < length) {
    const got = readSync(fd, target, count, Math.min(stepSize, length - count), position + count)
    if (got === 0) break
    crc = crc32(target.subarray(count, count + got), crc)
    count += got
  }
  return { count, crc }
}

const answer = (request: BlockRequest): BlockReply => {
  const { job } = request
  try {
    return { job, read: read(request) }
  } catch (error) {
    return { job, error: String(error) }
  }
}

parentPort!.on('message', (requests: BlockRequest[]) =>
  parentPort!.postMessage(requests.map(answer) satisfies BlockReply[]),
)
