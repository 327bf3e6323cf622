import { Worker } from 'node:worker_threads'
import { SourceChangedError } from '../errors.ts'
import type { StreamHash } from '../platform.ts'
import type { FileHash } from './file-hash.ts'
import type { HashNews, HashOrder } from './hash-worker.ts'

/** Bytes that may wait for the thread before `update` waits for it. */
const maxWaiting = 8 * 1024 * 1024

export const fileTooShort = (at: number): Error =>
  new SourceChangedError(`the file ends at ${at} bytes: it became shorter`)

/** Without the code of the error behind it, which would make it look like a failure of the network. */
export const unreadableFile = (message: string): Error => new Error(`cannot read the file: ${message}`)

/** A SHA-512 in a thread of its own. */
export class HashThread implements StreamHash, FileHash {
  readonly #worker: Worker
  readonly #digest = Promise.withResolvers<string>()
  #failure: { readonly error: unknown } | undefined
  #given = 0
  #done = 0
  #wake: (() => void) | undefined
  /** Told how many bytes are hashed. */
  onProgress: (done: number) => void = () => {}

  constructor() {
    this.#digest.promise.catch(() => {})
    // Inherited flags of the main thread, a debugger's for one, are not for this one
    this.#worker = new Worker(new URL('./hash-worker.ts', import.meta.url), { execArgv: [] })
    this.#worker.on('message', (news: HashNews) => this.#hear(news))
    this.#worker.on('error', (error) => this.#fail(error))
    this.#worker.on('exit', () => this.#fail(new Error('the hash was closed')))
    // A forgotten hash must not keep the program alive
    this.#worker.unref()
  }

  /** Hashes a copy of the bytes; waits when the thread is far behind. */
  async update(bytes: Uint8Array): Promise<void> {
    this.#given += bytes.length
    const copy = new Uint8Array(bytes)
    this.#order({ kind: 'bytes', bytes: copy }, [copy.buffer])
    if (this.#given - this.#done > maxWaiting) {
      // As in `digest`: nothing else may be keeping the program alive
      this.#worker.ref()
      while (this.#given - this.#done > maxWaiting && !this.#failure) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
      this.#worker.unref()
    }
    if (this.#failure) throw this.#failure.error
  }

  /** Goes on hashing an open file up to an offset. The file must stay open until `digest` or `close` is done. */
  advance(fd: number, upTo: number): void {
    this.#order({ kind: 'file', fd, upTo })
  }

  digest(): Promise<string> {
    this.#order({ kind: 'finish' })
    // While somebody waits, the thread is a reason to stay alive
    this.#worker.ref()
    return this.#digest.promise
  }

  close(): void {
    void this.stop()
  }

  /** `close`, done when the thread touches nothing any more. */
  async stop(): Promise<void> {
    await this.#worker.terminate()
  }

  #order(order: HashOrder, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(order, transfer)
  }

  #hear(news: HashNews): void {
    if (news.kind === 'hashed') {
      this.#done = news.done
      this.onProgress(news.done)
      this.#wake?.()
    } else if (news.kind === 'digest') this.#digest.resolve(news.sha512)
    else if (news.kind === 'short') this.#fail(fileTooShort(news.at))
    else this.#fail(unreadableFile(news.message))
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    this.#digest.reject(error)
    this.#wake?.()
  }
}
