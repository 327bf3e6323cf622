import { availableParallelism } from 'node:os'
import { Worker, type WorkerOptions } from 'node:worker_threads'
import { sharedPageMemory } from '@holdfast/api/page-memory'
import type { ContentHash } from './block-hash.ts'
import type { FileDigest, HashReply, HashRequest } from './hash-worker.ts'
import { type Slot, SlotPool, slotSize } from './slot-pool.ts'

export type { ContentHash } from './block-hash.ts'
export type { FileDigest } from './hash-worker.ts'

/** Hashing off the event loop: of uploads while they arrive, and of whole blobs. */
export interface HashPipeline {
  /** The memory that uploads arrive in; the workers see the same bytes. */
  readonly slots: SlotPool
  /**
   * The hash of one upload, which may have bytes already: those are read from `path` in the background as soon as
   * the stream is used. A stream stays on one worker.
   */
  open(path: string): HashStream
  /**
   * All digests of `source`, read once from its beginning to `size`. Memory and event loop are spared: two buffers,
   * hashing in a worker of its own. A read that ends early gives the digests of what was there (see `size`).
   */
  digest(source: ByteSource, options?: DigestOptions): Promise<FileDigest>
  /** Ends the workers; what is under way is rejected. */
  close(): Promise<void>
}

/** The hash of one upload. Calls take effect in the order they are made. */
export interface HashStream {
  /**
   * The slot's first `length` bytes belong at `offset` of the file; the caller writes them there at the same time.
   * `safe`: bytes of the file that are written already (at most `offset`). `start`: an append begins here, which
   * makes this a place to rewind to cheaply. Resolves, never rejects, when the slot is no longer needed here.
   */
  append(slot: Slot, length: number, offset: number, safe: number, start: boolean): Promise<void>
  /** Bytes from `size` on do not count any more; none are being written now. */
  rewind(size: number): void
  /** The hash of the file's `size` bytes, all written. The stream stays usable. */
  finish(size: number): Promise<ContentHash>
  /** Forgets the state; the stream must not be used any more. */
  close(): void
}

/** Anything that bytes can be read from at a position: an open file, an open blob. */
export interface ByteSource {
  readonly size: number
  read(target: Uint8Array, position: number): Promise<number>
}

export interface DigestOptions {
  /** Called with the bytes read so far, after each buffer. */
  onProgress?: ((bytes: number) => void) | undefined
  signal?: AbortSignal | undefined
  /** Reads no faster than this, averaged from the start. */
  bytesPerSecond?: number | undefined
}

export interface HashPipelineOptions {
  /** Threads for uploads; by default one less than there are cores, between 1 and 4. */
  workers?: number | undefined
  /** Slots of 1 MiB shared by all uploads. */
  slots?: number | undefined
  /** Told when a worker died of a bug; it is replaced and its streams are rebuilt from their files. */
  onCrash?: ((error: Error) => void) | undefined
  /** For tests, which want to hold the workers they kill. */
  startWorker?: ((script: URL, options: WorkerOptions) => Worker) | undefined
}

type Call<T = HashRequest> = T extends { job: number } ? Omit<T, 'job'> : never

class WorkerDied extends Error {}
const maxStillborn = 3

/** One worker thread, replaced when it dies. */
class HashThread {
  readonly #memory: SharedArrayBuffer
  readonly #onCrash: (error: Error) => void
  readonly #newWorker: NonNullable<HashPipelineOptions['startWorker']>
  readonly #calls = new Map<
    number,
    { resolve(result: HashReply['result']): void; reject(error: Error): void }
  >()
  /** Path by stream number: what a new worker has to be told. */
  readonly #streams = new Map<number, string>()
  /** Digests of whole blobs under way. */
  digests = 0
  #worker: Worker
  #nextNumber = 1
  #closed = false
  /** Workers that died without a single answer: starting another hundred would not help. */
  #stillborn = 0

  constructor(memory: SharedArrayBuffer, options: HashPipelineOptions) {
    this.#memory = memory
    this.#onCrash = options.onCrash ?? (() => {})
    this.#newWorker = options.startWorker ?? ((script, how) => new Worker(script, how))
    this.#worker = this.#start()
  }

  get streamCount(): number {
    return this.#streams.size
  }

  number(): number {
    return this.#nextNumber++
  }

  call(request: Call): Promise<HashReply['result']> {
    const job = this.number()
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new Error('the hash pipeline is closed'))
      this.#calls.set(job, { resolve, reject })
      this.tell({ ...request, job } as HashRequest)
    })
  }

  tell(request: HashRequest): void {
    if (request.op === 'open') this.#streams.set(request.stream, request.path)
    if (request.op === 'close') this.#streams.delete(request.stream)
    this.#worker.postMessage(request)
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#worker.terminate()
  }

  #start(): Worker {
    const worker = this.#newWorker(new URL('./hash-worker.ts', import.meta.url), {
      name: 'hash',
      workerData: { slots: this.#memory },
    })
    let cause: Error | undefined
    worker.on('message', ({ job, result, error }: HashReply) => {
      this.#stillborn = 0
      const call = this.#calls.get(job)
      this.#calls.delete(job)
      if (error) call?.reject(error)
      else call?.resolve(result)
    })
    worker.on('error', (error) => {
      cause = error instanceof Error ? error : new Error(String(error))
    })
    worker.on('exit', () => this.#ended(cause ?? new Error('the hash worker ended')))
    return worker
  }

  #ended(error: Error): void {
    if (!this.#closed && ++this.#stillborn > maxStillborn) {
      this.#closed = true
      this.#onCrash(error)
    }
    if (!this.#closed) {
      this.#worker = this.#start()
      for (const [stream, path] of this.#streams) this.#worker.postMessage({ op: 'open', stream, path })
      this.#onCrash(error)
    }
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    for (const call of calls) call.reject(new WorkerDied(error.message, { cause: error }))
  }
}

const leastBusy = (threads: readonly HashThread[]): HashThread | undefined => {
  let least: HashThread | undefined
  for (const thread of threads) if (!least || thread.streamCount < least.streamCount) least = thread
  return least
}

/** Starts the first hash thread; the others follow when they are needed. */
export const startHashPipeline = (options: HashPipelineOptions = {}): HashPipeline => {
  const slots = new SlotPool(options.slots ?? 32)
  const count = options.workers ?? Math.min(4, Math.max(1, availableParallelism() - 1))
  // Each takes 10 MiB. The first is ready for the first upload, others start when those there have something to do.
  const threads: HashThread[] = []
  const start = (): HashThread => {
    const thread = new HashThread(slots.memory, options)
    threads.push(thread)
    return thread
  }
  start()

  /** Uploads have up to `count` threads, and none where whole blobs are read. */
  const threadForUpload = (): HashThread => {
    const able = threads.filter((thread) => thread.digests === 0)
    const least = leastBusy(able)
    return least && (least.streamCount === 0 || able.length >= count) ? least : start()
  }

  /** All digests share one thread, one more than uploads may have, or one of theirs that has nothing to do. */
  const threadForDigest = (): HashThread =>
    threads.find((thread) => thread.digests > 0) ??
    threads.find((thread) => thread.streamCount === 0) ??
    (threads.length > count ? leastBusy(threads)! : start())

  const open = (path: string): HashStream => {
    const thread = threadForUpload()
    const stream = thread.number()
    thread.tell({ op: 'open', stream, path })
    return {
      append: (slot, length, offset, safe, start) =>
        thread.call({ op: 'append', stream, slot: slot.index, length, offset, safe, start }).then(
          () => {},
          // The worker is gone and with it the hash, which will be made again from the file; the slot is free.
          () => {},
        ),
      rewind: (size) => thread.tell({ op: 'rewind', stream, size }),
      async finish(size) {
        const finish = () => thread.call({ op: 'finish', stream, size })
        const { sha512, blockSums } = (await finish().catch((error) => {
          // The stream is known to the new worker, which makes the hash again from the file.
          if (error instanceof WorkerDied) return finish()
          throw error
        })) as ContentHash
        return { sha512, blockSums: Buffer.from(blockSums) }
      },
      close: () => thread.tell({ op: 'close', stream }),
    }
  }

  // Kept from the last digest that nobody reads any more: large pieces that come and go leave holes in the allocator's heap.
  let spareMemory: SharedArrayBuffer | undefined

  const digest = async (source: ByteSource, how: DigestOptions = {}): Promise<FileDigest> => {
    const thread = threadForDigest()
    thread.digests++
    const id = thread.number()
    const memory = spareMemory ?? sharedPageMemory(2 * slotSize)
    spareMemory = undefined
    const startedAt = performance.now()
    let fed: Promise<unknown> = thread.call({ op: 'digest-start', digest: id, memory })
    try {
      let position = 0
      for (let half = 0; position < source.size; half = 1 - half) {
        const target = new Uint8Array(memory, half * slotSize, Math.min(slotSize, source.size - position))
        // The worker hashes one half while the other is filled.
        const [length] = await Promise.all([source.read(target, position), fed])
        how.signal?.throwIfAborted()
        if (length === 0) break
        fed = thread.call({ op: 'digest-feed', digest: id, half, length })
        position += length
        how.onProgress?.(position)
        if (how.bytesPerSecond !== undefined)
          await sleepUntil(startedAt + (position / how.bytesPerSecond) * 1000, how.signal)
      }
      await fed
      const result = (await thread.call({ op: 'digest-end', digest: id })) as FileDigest
      spareMemory = memory
      return { ...result, blockSums: Buffer.from(result.blockSums) }
    } finally {
      fed.catch(() => {})
      thread.tell({ op: 'digest-drop', digest: id })
      thread.digests--
    }
  }

  return {
    slots,
    open,
    digest,
    async close() {
      await Promise.all(threads.map((thread) => thread.close()))
    },
  }
}

const sleepUntil = (at: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal!.reason)
    }
    const timer = setTimeout(
      () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      },
      Math.max(0, at - performance.now()),
    )
    signal?.addEventListener('abort', onAbort, { once: true })
  })
