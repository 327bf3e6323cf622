const KiB = 1024
const MiB = 1024 * KiB

/** Bounds of an adaptive chunk size, in bytes, and how long a chunk should take. */
export interface ChunkLimits {
  readonly min: number
  readonly first: number
  readonly max: number
  readonly targetMs: number
}

/** Streamed appends that keep what arrived before a cut: a large chunk risks nothing. */
export const conditionalLimits: ChunkLimits = {
  min: 256 * KiB,
  first: 4 * MiB,
  max: 64 * MiB,
  targetMs: 4000,
}
/** Appends that are lost whole when they are cut, as the original's are. */
export const plainLimits: ChunkLimits = { min: 4 * KiB, first: 64 * KiB, max: 2 * MiB, targetMs: 3000 }

/**
 * How many bytes to send in one request: as many as the line carried lately in the time that a request should take.
 * Grows at most fourfold at a time, and a failure divides it by four.
 */
export class ChunkSize {
  readonly #limits: ChunkLimits
  #bytes: number

  constructor(limits: ChunkLimits) {
    this.#limits = limits
    this.#bytes = limits.first
  }

  get bytes(): number {
    return this.#bytes
  }

  succeeded(bytes: number, ms: number): void {
    // The last piece of a file says little about the line
    if (bytes < this.#bytes) return
    const fitting = (bytes / Math.max(ms, 1)) * this.#limits.targetMs
    this.#set(Math.min(fitting, this.#bytes * 4))
  }

  failed(): void {
    this.#set(this.#bytes / 4)
  }

  #set(bytes: number): void {
    const { min, max } = this.#limits
    this.#bytes = Math.floor(Math.min(Math.max(bytes, min), max))
  }
}
