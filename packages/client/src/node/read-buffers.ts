/**
 * The memory that a connection reads into: a few large buffers, each used again as soon as everything that was read into
 * it has been given back. That is cheaper than fresh memory for each read, which the system has to clear first; and
 * what is not given back holds up the reading, so that a slow consumer slows down the sender.
 */
import { pageMemory } from '@holdfast/api/page-memory'

const bufferBytes = 512 * 1024
const bufferCount = 4
/** Less room than this is not worth a read. */
const minRoom = 64 * 1024

interface ReadBuffer {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Where free room begins. */
  used: number
  /** Pieces that were handed out and not given back yet. */
  out: number
}

const takers = new WeakMap<ArrayBufferLike, () => void>()

/** Gives a piece back to the buffers that it came from. Answers whether it came from any. */
export const giveBackPiece = ({ buffer }: Uint8Array): boolean => {
  const take = takers.get(buffer)
  take?.()
  return take !== undefined
}

export class ReadBuffers {
  readonly #free: ReadBuffer[] = []
  readonly #onRoom: () => void
  /** Where reads go to; never without room. */
  #current: ReadBuffer

  /** `onRoom` is called when reading may go on after `isFull`. */
  constructor(onRoom: () => void) {
    this.#onRoom = onRoom
    while (this.#free.length < bufferCount) this.#free.push(this.#create())
    this.#current = this.#free.pop()!
  }

  /** Whether reading has to wait. */
  get isFull(): boolean {
    return this.#free.length === 0
  }

  /** Where the next read goes to. */
  room(): Uint8Array<ArrayBuffer> {
    return this.#current.bytes.subarray(this.#current.used)
  }

  /**
   * After a read of `length` bytes into `room()`: those from `from` on, to be given back. Not to be called while
   * `isFull`.
   */
  take(length: number, from: number): Uint8Array<ArrayBuffer> {
    const current = this.#current
    const piece = current.bytes.subarray(current.used + from, current.used + length)
    current.used += length
    current.out++
    if (bufferBytes - current.used < minRoom) this.#current = this.#free.pop()!
    return piece
  }

  #create(): ReadBuffer {
    const buffer: ReadBuffer = {
      bytes: new Uint8Array(pageMemory(bufferBytes), 0, bufferBytes),
      used: 0,
      out: 0,
    }
    takers.set(buffer.bytes.buffer, () => {
      buffer.out--
      if (buffer.out > 0 || buffer === this.#current) return
      buffer.used = 0
      this.#free.push(buffer)
      if (this.#free.length === 1) this.#onRoom()
    })
    return buffer
  }
}
