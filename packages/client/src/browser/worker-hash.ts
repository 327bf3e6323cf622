import { SourceChangedError } from '../errors.ts'
import type { StreamHash } from '../platform.ts'
import type { HashNews, HashOrder } from './hash-worker.ts'

/** Bytes that may wait for the worker before `update` waits for it. */
const maxWaiting = 8 * 1024 * 1024

/** A SHA-512 in a Web Worker, so that a page stays alive while it hashes. */
export class WorkerHash implements StreamHash {
  readonly #worker: Worker
  readonly #digest = Promise.withResolvers<string>()
  #failure: { readonly error: unknown } | undefined
  #given = 0
  #done = 0
  #wake: (() => void) | undefined
  /** Told how many bytes are hashed. */
  onProgress: (done: number) => void = () => {}

  constructor() {
    this.#digest.promise.catch(() => {}) // seen where it is awaited
    // Bundlers look for exactly this form
    this.#worker = new Worker(new URL('./hash-worker.ts', import.meta.url), { type: 'module' })
    this.#worker.onmessage = ({ data }: MessageEvent<HashNews>) => this.#hear(data)
    this.#worker.onerror = (event) => this.#fail(new Error(`the hash worker failed: ${event.message}`))
  }

  async update(bytes: Uint8Array): Promise<void> {
    this.#given += bytes.length
    const copy = new Uint8Array(bytes)
    this.#order({ kind: 'bytes', bytes: copy }, [copy.buffer])
    while (this.#given - this.#done > maxWaiting && !this.#failure) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    if (this.#failure) throw this.#failure.error
  }

  /** Hashes a blob that the worker reads by itself. */
  take(blob: Blob): void {
    this.#order({ kind: 'blob', blob })
  }

  digest(): Promise<string> {
    this.#order({ kind: 'finish' })
    return this.#digest.promise
  }

  close(): void {
    this.#worker.terminate()
    this.#fail(new Error('the hash was closed'))
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
    else if (news.kind === 'unreadable') {
      this.#fail(new SourceChangedError('the file was changed, moved or removed while it was read'))
    } else this.#fail(new Error(news.message))
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    this.#digest.reject(error)
    this.#wake?.()
  }
}
