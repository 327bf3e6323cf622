/**
 * The thread that hashes. It serves uploads (bytes arrive in shared memory while they are being written to the file)
 * and digests of whole blobs (all algorithms, for verification and look-ups).
 *
 * **An upload's hash may be behind its file.** That is so after a restart, after its state was dropped to save
 * memory, and after a truncation between two checkpoints. Two numbers tell what to do: `hash.size`, how far the hash
 * is, and `safe`, how far the file is known to be written. A slot that continues the hash is hashed where it lies.
 * A slot further on is given back unread: it will be read from the file once it is safe. A loop in the background
 * reads the file from `hash.size` to `safe`, never beyond.
 *
 * **Rewinding.** Bytes below the size given to `rewind` do not change; those above may be replaced at any time after
 * the message was sent. Whatever the loop has read of them before it saw the message is forgotten with the
 * checkpoints above that size, and a read under way at that moment is thrown away (`generation`).
 */
import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { createXXHash128 } from 'hash-wasm'
import { BlockHash, type ContentHash } from './block-hash.ts'
import { slotSize } from './slot-pool.ts'

/** What every digest of a blob is called on the wire, in lower-case hex, and its block sums. */
export interface FileDigest extends ContentHash {
  readonly size: number
  readonly sha256: string
  readonly sha1: string
  readonly xxh128: string
}

/** Messages to the worker. Those with a `job` are answered by a `HashReply` with the same number. */
export type HashRequest =
  | { op: 'open'; stream: number; path: string }
  /** A slot's first `length` bytes belong at `offset`; `start`: an append begins here. Answered when the slot is free. */
  | {
      op: 'append'
      job: number
      stream: number
      slot: number
      length: number
      offset: number
      safe: number
      start: boolean
    }
  | { op: 'rewind'; stream: number; size: number }
  /** The file has exactly `size` bytes; answered with their ContentHash. The stream goes on afterwards. */
  | { op: 'finish'; job: number; stream: number; size: number }
  | { op: 'close'; stream: number }
  /** A digest fed with buffers of its own: two halves of `memory` in turn. */
  | { op: 'digest-start'; job: number; digest: number; memory: SharedArrayBuffer }
  | { op: 'digest-feed'; job: number; digest: number; half: number; length: number }
  | { op: 'digest-end'; job: number; digest: number }
  | { op: 'digest-drop'; digest: number }

export interface HashReply {
  readonly job: number
  readonly result?: ContentHash | FileDigest | undefined
  readonly error?: Error
}

/** A gap this small is read on the spot, so that the stream hashes from slots again. */
const smallGap = 4 * slotSize

const port = parentPort!
const { slots } = workerData as { slots: SharedArrayBuffer }
const streams = new Map<number, Stream>()
const digests = new Map<number, Digest>()
const reply = (job: number, result?: HashReply['result']) => port.postMessage({ job, result })
const fail = (job: number, error: unknown) =>
  port.postMessage({ job, error: error instanceof Error ? error : new Error(String(error)) })

class Stream {
  readonly #path: string
  readonly #hash = new BlockHash()
  #safe = 0
  #generation = 0
  /** The generation in which the loop last read. */
  #readGeneration = 0
  #reading = false
  #closed = false
  #finish: { job: number; size: number } | undefined

  constructor(path: string) {
    this.#path = path
  }

  append(bytes: Uint8Array, offset: number, safe: number, start: boolean): void {
    this.#safe = Math.max(this.#safe, safe)
    const gap = offset - this.#hash.size
    if (gap > 0 && gap <= smallGap && safe === offset && !this.#reading) this.#readGap(offset)
    if (this.#hash.size === offset) {
      if (start) this.#hash.checkpoint()
      this.#hash.update(bytes)
    } else {
      this.#catchUp()
    }
  }

  rewind(size: number): void {
    this.#generation++
    this.#hash.rewind(size)
    this.#safe = size
    this.#catchUp()
  }

  finish(job: number, size: number): void {
    this.#hash.rewind(size)
    this.#safe = size
    this.#finish = { job, size }
    this.#answerFinish()
    this.#catchUp()
  }

  close(): void {
    this.#closed = true
    this.#generation++
  }

  #answerFinish(): void {
    if (!this.#finish || this.#hash.size !== this.#finish.size) return
    reply(this.#finish.job, this.#hash.digest())
    this.#finish = undefined
  }

  #readGap(end: number): void {
    const file = openSync(this.#path, 'r')
    try {
      const bytes = Buffer.allocUnsafe(Math.min(slotSize, end - this.#hash.size))
      while (this.#hash.size < end) {
        const count = readSync(file, bytes, 0, Math.min(bytes.length, end - this.#hash.size), this.#hash.size)
        if (count === 0) return
        this.#hash.update(bytes.subarray(0, count))
      }
    } finally {
      closeSync(file)
    }
  }

  #catchUp(): void {
    if (this.#reading || this.#closed || this.#hash.size >= this.#safe) return
    this.#reading = true
    this.#readOn().then(
      () => {
        this.#reading = false
        // More may have become safe after the last look, while the file was being closed.
        this.#catchUp()
      },
      (error) => {
        this.#reading = false
        // The file may have been cut while it was read, and the message about it have come since.
        if (this.#readGeneration !== this.#generation) {
          this.#catchUp()
          return
        }
        // Without a finish waiting nobody needs to know: the next message tries again.
        if (this.#finish) fail(this.#finish.job, error)
        this.#finish = undefined
      },
    )
  }

  async #readOn(): Promise<void> {
    let file: FileHandle | undefined
    try {
      this.#readGeneration = this.#generation
      file = await open(this.#path, 'r')
      const bytes = Buffer.allocUnsafe(slotSize)
      while (!this.#closed && this.#hash.size < this.#safe) {
        this.#readGeneration = this.#generation
        const wanted = Math.min(slotSize, this.#safe - this.#hash.size)
        const { bytesRead } = await file.read(bytes, 0, wanted, this.#hash.size)
        if (this.#readGeneration !== this.#generation) continue
        if (bytesRead === 0) throw new Error('the upload file is shorter than its acknowledged size')
        this.#hash.update(bytes.subarray(0, bytesRead))
      }
      this.#answerFinish()
    } finally {
      await file?.close()
    }
  }
}

class Digest {
  readonly memory: SharedArrayBuffer
  readonly #blocks = new BlockHash()
  readonly #sha256 = createHash('sha256')
  readonly #sha1 = createHash('sha1')
  readonly #xxh128: Awaited<ReturnType<typeof createXXHash128>>

  private constructor(memory: SharedArrayBuffer, xxh128: Awaited<ReturnType<typeof createXXHash128>>) {
    this.memory = memory
    this.#xxh128 = xxh128
  }

  static async start(memory: SharedArrayBuffer): Promise<Digest> {
    return new Digest(memory, (await createXXHash128()).init())
  }

  update(bytes: Uint8Array): void {
    this.#blocks.update(bytes)
    this.#sha256.update(bytes)
    this.#sha1.update(bytes)
    this.#xxh128.update(bytes)
  }

  end(): FileDigest {
    return {
      size: this.#blocks.size,
      ...this.#blocks.digest(),
      sha256: this.#sha256.digest('hex'),
      sha1: this.#sha1.digest('hex'),
      xxh128: this.#xxh128.digest('hex'),
    }
  }
}

const handle = async (request: HashRequest): Promise<void> => {
  switch (request.op) {
    case 'open':
      streams.set(request.stream, new Stream(request.path))
      return
    case 'append': {
      const bytes = new Uint8Array(slots, request.slot * slotSize, request.length)
      streams.get(request.stream)?.append(bytes, request.offset, request.safe, request.start)
      return reply(request.job)
    }
    case 'rewind':
      return streams.get(request.stream)?.rewind(request.size)
    case 'finish':
      return streams.get(request.stream)!.finish(request.job, request.size)
    case 'close':
      streams.get(request.stream)?.close()
      streams.delete(request.stream)
      return
    case 'digest-start':
      digests.set(request.digest, await Digest.start(request.memory))
      return reply(request.job)
    case 'digest-feed': {
      const digest = digests.get(request.digest)!
      digest.update(new Uint8Array(digest.memory, request.half * slotSize, request.length))
      return reply(request.job)
    }
    case 'digest-end':
      return reply(request.job, digests.get(request.digest)!.end())
    case 'digest-drop':
      digests.delete(request.digest)
  }
}

port.on('message', (request: HashRequest) => {
  handle(request).catch((error) => {
    if ('job' in request) fail(request.job, error)
  })
})
