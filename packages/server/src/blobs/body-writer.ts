import { Readable } from 'node:stream'
import { HoldfastError } from '@holdfast/api/errors'
import { type FreeSpace, type SpaceClaim, storageError } from './free-space.ts'
import { copyIntoShared, type Slot, type SlotHolder, type SlotPool, slotSize } from './slot-pool.ts'
import type { UploadFile } from './upload-file.ts'
import type { Turn } from './upload-turns.ts'

/** A request's bytes. `next()` rejects when it is cut short. */
export type Body = AsyncIterable<Uint8Array>

export interface BodyWriterOptions {
  readonly file: UploadFile
  readonly turn: Turn
  readonly slots: SlotPool
  readonly space: FreeSpace
  /** Space for all of the body, when its length was announced. */
  readonly claim: SpaceClaim | undefined
  /** Acknowledge slot by slot and keep what arrived, instead of all or nothing. */
  readonly keepPart: boolean
  /** Bytes the body must have, when they were announced. */
  readonly contentLength: number | undefined
  /** Largest size the upload may get. */
  readonly maxSize: number
  /** Thrown when the body would make the upload larger than `maxSize`. */
  readonly tooLarge: () => Error
  readonly signal: AbortSignal | undefined
}

/**
 * Carries one body to the end of an upload: socket -> slot, and from the slot to the file and to the hash at once.
 * Writes of one upload follow each other, so that what is written is always one piece without holes.
 *
 * A stream that the append fails on is neither drained nor destroyed: only its owner knows whether an answer can
 * still be sent.
 */
export class BodyWriter implements SlotHolder {
  readonly #options: BodyWriterOptions
  readonly #start: number
  /** End of what was taken from the body; of what was handed to the disk; of what is written. */
  #taken: number
  #sent: number
  #written: number
  #slot: Slot | undefined
  #lastWrite: Promise<void> = Promise.resolve()
  #failure: Error | undefined
  #onFailure: ((failure: Error) => void) | undefined

  constructor(options: BodyWriterOptions) {
    this.#options = options
    this.#start = options.file.size
    this.#taken = this.#start
    this.#sent = this.#start
    this.#written = this.#start
  }

  /** Returns the upload's new size, or throws with the upload rolled back (or its good part kept). */
  async run(body: Body): Promise<number> {
    const { file, turn, signal, keepPart } = this.#options
    const onAbort = () => this.#fail(incomplete(signal!.reason))
    // A request must survive its failed append, or nobody could answer it.
    const chunks =
      body instanceof Readable ? body.iterator({ destroyOnReturn: false }) : body[Symbol.asyncIterator]()
    turn.onStop = (reason) => this.#fail(reason)
    signal?.addEventListener('abort', onAbort)
    try {
      if (turn.stopped) this.#fail(turn.stopped)
      if (signal?.aborted) onAbort()
      await this.#pump(chunks).catch((error) => this.#fail(error))
      if (!this.#failure || keepPart) this.#send()
      else this.#drop()
      // The hash may be behind: it has the slots for as long as it needs them, and takes calls in their order.
      await this.#lastWrite
      // An empty body is no data: it does not put off the expiry.
      if (!this.#failure && !keepPart && this.#written > this.#start)
        await file.acknowledge(this.#written).catch((e) => this.#fail(e))
      if (this.#failure) {
        // Not awaited: it waits for a chunk that may never come.
        chunks.return?.().catch(() => {})
        // When this fails too, the file knows and makes it good before the next change.
        await file.rollBack().catch(() => {})
        throw withOffset(storageError(this.#failure), file.size)
      }
      return file.size
    } finally {
      turn.onStop = undefined
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** The pool is short of slots: send on what is there. */
  yieldSlot(): void {
    this.#send()
  }

  async #pump(chunks: AsyncIterator<Uint8Array>): Promise<void> {
    const { contentLength, maxSize, tooLarge } = this.#options
    for (;;) {
      const next = await this.#next(chunks)
      if (next.done) break
      const chunk = next.value
      const arrived = this.#taken + chunk.length
      if (arrived > maxSize) throw tooLarge()
      if (contentLength !== undefined && arrived - this.#start > contentLength) throw incomplete()
      for (let at = 0; at < chunk.length; ) at += await this.#take(chunk.subarray(at))
    }
    if (contentLength !== undefined && this.#taken - this.#start !== contentLength) throw incomplete()
  }

  /** The next chunk, or the failure that comes first: a dead client's `next()` may stay pending for ever. */
  #next(chunks: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure)
      const { turn } = this.#options
      turn.waitingSince = performance.now()
      this.#onFailure = reject
      const settled = () => {
        turn.waitingSince = undefined
        this.#onFailure = undefined
      }
      chunks.next().then(
        (result) => {
          settled()
          resolve(result)
        },
        (error) => {
          settled()
          reject(incomplete(error))
        },
      )
    })
  }

  /** Puts the beginning of `bytes` into the slot and says how much; waits for a slot and for the disk to keep up. */
  async #take(bytes: Uint8Array): Promise<number> {
    if (!this.#slot) {
      const { file, space, claim } = this.#options
      // Bodies of unknown length claim nothing; together they can go too far by no more than the slots there are.
      if (claim) await space.requireReserve()
      else (await space.claim(slotSize)).release()
      await file.flushKeepsUp()
      await file.slotsUnderWay.keepUp()
      const slot = this.#options.slots.acquire()
      this.#slot = slot instanceof Promise ? await slot : slot
    }
    if (this.#failure) throw this.#failure
    // Slots end where blocks end, so that writes are aligned from the second one on.
    const room = slotSize - (this.#sent % slotSize) - (this.#taken - this.#sent)
    const part = bytes.length > room ? bytes.subarray(0, room) : bytes
    copyIntoShared(this.#slot.bytes, part, this.#taken - this.#sent)
    this.#taken += part.length
    if (part.length === room) this.#send()
    else this.#options.slots.markPartial(this)
    return part.length
  }

  /** Hands the slot to the disk and to the hash; it goes back to the pool when both are done. */
  #send(): void {
    const { file, slots, keepPart } = this.#options
    const slot = this.#slot
    if (!slot) return
    if (this.#taken === this.#sent) {
      this.#drop()
      return
    }
    slots.unmark(this)
    this.#slot = undefined
    const offset = this.#sent
    const end = this.#taken
    this.#sent = end
    file.slotsUnderWay.add()
    const hashed = file.hash.append(slot, end - offset, offset, this.#written, offset === this.#start)
    const write = async () => {
      if (this.#written !== offset) return
      try {
        await file.write(slot.bytes.subarray(0, end - offset), offset)
        this.#options.claim?.written(end - offset)
        this.#written = end
        if (keepPart) await file.acknowledge(end)
        file.flushInBackground(end)
      } catch (error) {
        this.#fail(error)
      }
    }
    this.#lastWrite = this.#lastWrite.then(write)
    void Promise.all([this.#lastWrite, hashed]).then(() => {
      slots.release(slot)
      file.slotsUnderWay.remove()
    })
  }

  #drop(): void {
    if (!this.#slot) return
    this.#options.slots.unmark(this)
    this.#options.slots.release(this.#slot)
    this.#slot = undefined
    this.#taken = this.#sent
  }

  #fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error))
    this.#onFailure?.(this.#failure)
  }
}

const incomplete = (cause?: unknown): HoldfastError => new HoldfastError('body_incomplete', { cause })

/** Refusals tell the client where the upload stands now. */
const withOffset = (error: unknown, offset: number): unknown =>
  error instanceof HoldfastError
    ? new HoldfastError(error.code, {
        message: error.message,
        detail: { ...error.detail, offset },
        cause: error.cause ?? error,
      })
    : error
