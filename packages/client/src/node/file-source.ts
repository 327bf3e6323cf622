import type { BigIntStats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pageMemory } from '@holdfast/api/page-memory'
import { SourceChangedError } from '../errors.ts'
import type { PumpBody } from '../transport.ts'
import type { UploadSource } from '../uploads/source.ts'
import type { SourceIdentity } from '../uploads/state.ts'
import { type DigestMemory, type FileState, fileState } from './digest-memory.ts'
import { createFileHash, type FileHash } from './file-hash.ts'

const pieceBytes = 1024 * 1024

/**
 * A file by its path. The open file is read, so that a new file put under the same name changes nothing. Its digest is
 * kept in `digests`, if there is such a memory.
 */
export const openFileSource = async (path: string, digests?: DigestMemory): Promise<UploadSource> => {
  const handle = await open(path, 'r')
  try {
    const stat = await handle.stat({ bigint: true })
    if (!stat.isFile()) throw new TypeError(`${path} is not a regular file`)
    const identity = {
      id: `${stat.dev}:${stat.ino}`,
      size: Number(stat.size),
      mtime: mtimeOf(stat),
    }
    return new FileSource(handle, resolve(path), identity, { digests, state: fileState(stat) })
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** Milliseconds with their fraction, as `Stats.mtimeMs` has them. */
const mtimeOf = ({ mtimeNs }: BigIntStats): number => Number(mtimeNs) / 1e6

/** Where the file's digest is remembered, and for which state. */
interface Remembered {
  readonly digests: DigestMemory | undefined
  readonly state: FileState
}

class FileSource implements UploadSource {
  readonly repeatable = true
  readonly maxChunk = Number.POSITIVE_INFINITY
  readonly description: string
  readonly identity: SourceIdentity
  readonly #handle: FileHandle
  readonly #remembered: Remembered
  #hash: FileHash | undefined
  #closed = false
  /** Pumps under way: the file is closed after the last. */
  readonly #reads = new Set<Promise<unknown>>()

  constructor(handle: FileHandle, path: string, identity: SourceIdentity, remembered: Remembered) {
    this.#handle = handle
    this.#remembered = remembered
    this.description = path
    this.identity = identity
  }

  get size(): number {
    return this.identity.size
  }

  async prepare(offset: number, wanted: number): Promise<number> {
    return Math.max(0, Math.min(wanted, this.size - offset))
  }

  body(offset: number, length: number): PumpBody {
    return { size: length, pump: (write) => this.#pump(offset, length, write) }
  }

  acknowledge(): void {}

  async knownDigest(): Promise<string | undefined> {
    return await this.#remembered.digests?.recall(this.#remembered.state)
  }

  async hash(onProgress: (done: number) => void, signal: AbortSignal): Promise<string> {
    const startedAt = Date.now()
    const hash = createFileHash(this.size)
    this.#hash = hash
    hash.onProgress = onProgress
    const stop = () => hash.close()
    signal.addEventListener('abort', stop, { once: true })
    try {
      hash.advance(this.#handle.fd, this.size)
      const sha512 = await hash.digest()
      await this.#remember(sha512, startedAt)
      return sha512
    } finally {
      signal.removeEventListener('abort', stop)
      hash.close()
    }
  }

  /** Only if the file is still what it was, and nothing can have changed it unseen since the reading began. */
  async #remember(sha512: string, startedAt: number): Promise<void> {
    const { digests, state } = this.#remembered
    if (digests === undefined || startedAt < state.settledAt || this.#closed) return
    const { state: now } = fileState(await this.#handle.stat({ bigint: true }))
    if (now === state.state) await digests.remember(state, sha512)
  }

  async verify(): Promise<void> {
    const stat = await this.#handle.stat({ bigint: true })
    if (Number(stat.size) !== this.identity.size || mtimeOf(stat) !== this.identity.mtime) {
      throw new SourceChangedError(`${this.description} was changed while it was uploaded`)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#hash?.stop()
    await Promise.allSettled(this.#reads)
    await this.#handle.close()
  }

  /** Reads the next piece while the last one goes out, in two buffers that belong to this call alone. */
  async #pump(offset: number, length: number, write: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    const size = Math.min(pieceBytes, length)
    const buffers = [Buffer.from(pageMemory(size)), Buffer.from(pageMemory(size))] as const
    let writing: Promise<void> = Promise.resolve()
    for (let at = 0, turn = 0; at < length; turn ^= 1) {
      const buffer = buffers[turn as 0 | 1]
      const read = await this.#read(buffer, offset + at, Math.min(size, length - at))
      await writing
      writing = write(buffer.subarray(0, read))
      writing.catch(() => {}) // seen where it is awaited
      at += read
    }
    await writing
  }

  async #read(buffer: Buffer, position: number, length: number): Promise<number> {
    if (this.#closed) throw new Error('the file is closed')
    const reading = this.#handle.read(buffer, 0, length, position)
    this.#reads.add(reading)
    const { bytesRead } = await reading
      .catch((error: Error) => {
        // Without its code, which would make it look like a failure of the network
        throw new Error(`cannot read ${this.description}: ${error.message}`, { cause: error })
      })
      .finally(() => this.#reads.delete(reading))
    if (bytesRead === 0)
      throw new SourceChangedError(`${this.description} became shorter while it was uploaded`)
    return bytesRead
  }
}
