/**
 * A source that can be read once: a stream or an iterable.
 *
 * A window of bytes is kept that were read but not acknowledged by the server, so that they can be sent again. It is
 * filled beside the sending, up to `windowBytes`; the source is not asked for more until the server has taken some.
 */
import { NotRepeatableError, SourceChangedError } from '../errors.ts'
import type { StreamHash } from '../platform.ts'
import { abortable } from '../retry.ts'
import type { WebSource } from '../types.ts'
import type { UploadSource } from './source.ts'

const MiB = 1024 * 1024
const windowBytes = 16 * MiB
const maxChunk = 8 * MiB

class StreamSource implements UploadSource {
  readonly description = 'a stream'
  readonly repeatable = false
  readonly identity = undefined
  readonly maxChunk = maxChunk
  readonly #hash: StreamHash | undefined
  readonly #declared: number | undefined
  readonly #iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array>
  #pieces: Uint8Array[] = []
  /** Offset of the first byte of the first piece. */
  #start = 0
  /** Offset behind the last byte of the last piece. */
  #end = 0
  /** What the server has; the first piece may begin before it. */
  #acknowledged = 0
  #ended = false
  #failure: { readonly error: unknown } | undefined
  /** Wakes who waits for a change of the window. */
  #changed: PromiseWithResolvers<void> = Promise.withResolvers()
  #reading: Promise<void> | undefined
  #closed = false
  readonly #digest = Promise.withResolvers<string>()
  #onHashed: (done: number) => void = () => {}

  constructor(
    iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array>,
    hash: StreamHash | undefined,
    declared: number | undefined,
  ) {
    this.#iterator = iterator
    this.#hash = hash
    this.#declared = declared
    this.#digest.promise.catch(() => {})
  }

  get size(): number | undefined {
    return this.#ended ? this.#end : this.#declared
  }

  async prepare(offset: number, wanted: number, signal: AbortSignal): Promise<number> {
    this.#reading ??= this.#read()
    if (offset < this.#start || offset > this.#end) throw this.#cannotRewind(offset)
    const enough = Math.min(wanted, maxChunk)
    while (this.#end - offset < enough && !this.#ended) {
      if (this.#failure) throw this.#failure.error
      await abortable(this.#changed.promise, signal)
    }
    return Math.min(enough, this.#end - offset)
  }

  body(offset: number, length: number): Uint8Array[] {
    if (offset < this.#start) throw this.#cannotRewind(offset)
    const body: Uint8Array[] = []
    let at = this.#start
    for (const piece of this.#pieces) {
      const from = Math.max(offset - at, 0)
      const to = Math.min(offset + length - at, piece.length)
      if (to > from) body.push(piece.subarray(from, to))
      at += piece.length
    }
    return body
  }

  acknowledge(offset: number): void {
    this.#acknowledged = offset
    while (this.#pieces.length > 0 && this.#start + this.#pieces[0]!.length <= offset) {
      this.#start += this.#pieces.shift()!.length
    }
    this.#wake()
  }

  hash(onProgress: (done: number) => void): Promise<string> | undefined {
    this.#onHashed = onProgress
    return this.#hash === undefined ? undefined : this.#digest.promise
  }

  async verify(): Promise<void> {
    if (this.#ended && this.#declared !== undefined && this.#declared !== this.#end) {
      throw new SourceChangedError(
        `the stream had ${this.#end} bytes instead of the announced ${this.#declared}`,
      )
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#wake()
    this.#hash?.close()
    // A source that hangs must not hang us; what it says about being closed no longer matters
    void Promise.resolve(this.#iterator.return?.()).catch(() => {})
  }

  async #read(): Promise<void> {
    try {
      while (!this.#closed) {
        while (this.#end - this.#acknowledged >= windowBytes && !this.#closed) await this.#changed.promise
        const next = await this.#iterator.next()
        if (next.done) break
        if (next.value.length === 0) continue
        this.#pieces.push(next.value)
        this.#end += next.value.length
        this.#wake()
        await this.#hash?.update(next.value)
        this.#onHashed(this.#end)
      }
      if (this.#closed) return
      this.#ended = true
      this.#wake()
      if (this.#hash) this.#digest.resolve(await this.#hash.digest())
    } catch (error) {
      this.#failure = { error }
      this.#digest.reject(error)
      this.#wake()
    }
  }

  #wake(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }

  #cannotRewind(offset: number): NotRepeatableError {
    return new NotRepeatableError(
      `the server has only ${offset} bytes of the upload, and the stream cannot be read again from there`,
    )
  }
}

/** A source over a stream or iterable. `declared` is the size that the caller promises, if any. */
export const openStreamSource = (
  source: Exclude<WebSource, Blob>,
  hash: StreamHash | undefined,
  declared: number | undefined,
): UploadSource => {
  if (source instanceof ReadableStream) {
    // Not every browser can iterate a stream
    const reader = source.getReader()
    return new StreamSource(
      {
        next: async () => {
          const { done, value } = await reader.read()
          return done ? { done: true, value: undefined } : { done: false, value }
        },
        return: async () => {
          await reader.cancel()
          return { done: true, value: undefined }
        },
      },
      hash,
      declared,
    )
  }
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  return new StreamSource(iterator, hash, declared)
}
