import { createHash, type Hash } from 'node:crypto'
import { blockSize } from '@holdfast/api/limits'
import { crc32 } from '@node-rs/crc32'

/** Digests of a whole upload: lower-case hex, and a CRC-32 of each block, 4 bytes big endian each. */
export interface ContentHash {
  readonly sha512: string
  readonly blockSums: Uint8Array
}

/** Most checkpoints one upload keeps; the newest few always, older ones ever further apart. */
const maxCheckpoints = 16
const alwaysKept = 4
/** A long append gets checkpoints of its own, so that a truncation into it re-reads at most about this much. */
const checkpointEvery = 64 * 1024 * 1024

interface Checkpoint {
  readonly size: number
  readonly sha: Hash
  readonly crc: number
}

/**
 * SHA-512 of everything and CRC-32 of every block of a growing, sometimes shrinking, sequence of bytes.
 * Synchronous and CPU bound: for worker threads and tests.
 */
export class BlockHash {
  #size = 0
  #sha = createHash('sha512')
  /** Of the block that `#size` lies in; 0 at its start. */
  #crc = 0
  /** Sums of the finished blocks; the array is longer than what is used. */
  #sums = Buffer.alloc(256)
  readonly #checkpoints: Checkpoint[] = []

  /** Bytes taken in so far. */
  get size(): number {
    return this.#size
  }

  update(bytes: Uint8Array): void {
    this.#sha.update(bytes)
    let rest = bytes
    while (rest.length > 0) {
      const part = rest.subarray(0, blockSize - (this.#size % blockSize))
      this.#crc = crc32(part, this.#crc)
      this.#size += part.length
      if (this.#size % blockSize === 0) this.#finishBlock()
      rest = rest.subarray(part.length)
    }
    if (this.#size - (this.#checkpoints.at(-1)?.size ?? 0) >= checkpointEvery) this.checkpoint()
  }

  #finishBlock(): void {
    const index = this.#size / blockSize - 1
    if (index * 4 >= this.#sums.length)
      this.#sums = Buffer.concat([this.#sums, Buffer.alloc(this.#sums.length)])
    this.#sums.writeUInt32BE(this.#crc, index * 4)
    this.#crc = 0
  }

  /** Remembers this size as a place to come back to cheaply. */
  checkpoint(): void {
    if (this.#size === (this.#checkpoints.at(-1)?.size ?? 0)) return
    this.#checkpoints.push({ size: this.#size, sha: this.#sha.copy(), crc: this.#crc })
    if (this.#checkpoints.length > maxCheckpoints) this.#checkpoints.splice(this.#leastMissed(), 1)
  }

  /** The older checkpoint whose loss widens its gap least in proportion to its distance from the end. */
  #leastMissed(): number {
    let best = 0
    let bestCost = Number.POSITIVE_INFINITY
    for (let i = 0; i < this.#checkpoints.length - alwaysKept; i++) {
      const gap = this.#checkpoints[i + 1]!.size - (this.#checkpoints[i - 1]?.size ?? 0)
      const cost = gap / (this.#size - this.#checkpoints[i]!.size)
      if (cost < bestCost) {
        best = i
        bestCost = cost
      }
    }
    return best
  }

  /**
   * Goes back to the nearest known state at or below `size` and forgets everything after it. The caller feeds the
   * bytes from the new `size` of this object up to the wanted one again.
   */
  rewind(size: number): void {
    if (size >= this.#size) return
    while ((this.#checkpoints.at(-1)?.size ?? 0) > size) this.#checkpoints.pop()
    const from = this.#checkpoints.at(-1)
    this.#size = from?.size ?? 0
    this.#sha = from ? from.sha.copy() : createHash('sha512')
    this.#crc = from?.crc ?? 0
  }

  /** The digests of what was taken in so far; more may follow. */
  digest(): ContentHash {
    const full = Math.floor(this.#size / blockSize)
    const blockSums = Buffer.alloc(Math.ceil(this.#size / blockSize) * 4)
    this.#sums.copy(blockSums, 0, 0, full * 4)
    if (this.#size % blockSize !== 0) blockSums.writeUInt32BE(this.#crc, full * 4)
    return { sha512: this.#sha.copy().digest('hex'), blockSums }
  }
}
