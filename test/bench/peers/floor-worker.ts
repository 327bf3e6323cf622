/** The thread of `floor-server.ts` that reads blocks and sums them up, and compares the sums with nothing. */
import { readSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { crc32 } from '@node-rs/crc32'

/** The bytes from `position`, as many as the memory takes. */
export interface FloorRequest {
  readonly fd: number
  readonly memory: SharedArrayBuffer
  readonly position: number
}

/** How many bytes were read. */
export type FloorReply = number

const stepSize = 1024 * 1024

parentPort!.on('message', ({ fd, memory, position }: FloorRequest) => {
  const target = new Uint8Array(memory)
  let count = 0
  let crc = 0
  while (count < target.length) {
    const got = readSync(fd, target, count, Math.min(stepSize, target.length - count), position + count)
    if (got === 0) break
    crc = crc32(target.subarray(count, count + got), crc)
    count += got
  }
  parentPort!.postMessage(count satisfies FloorReply)
})
