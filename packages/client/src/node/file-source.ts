import { type FileHandle, open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { SourceChangedError } from '../errors.ts'
import type { PumpBody } from '../transport.ts'
import type { UploadSource } from '../uploads/source.ts'
import type { SourceIdentity } from '../uploads/state.ts'
import { HashThread } from './hash-thread.ts'

const pieceBytes = 1024 * 1024

/** A file by its path. The open file is read, so that a new file put under the same name changes nothing. */
export const openFileSource = async (path: string): Promise<UploadSource> => {
  const handle = await open(path, 'r')
  try {
    const stat = await handle.stat()
    if (!stat.isFile()) throw new TypeError(`${path} is not a regular file`)
    return new FileSource(handle, resolve(path), {
      id: `${stat.dev}:${stat.ino}`,
      size: stat.size,
      mtime: stat.mtimeMs,
    })
  } catch (error) {
    await handle.close()
    throw error
  }
}

class FileSource implements UploadSource {
  readonly repeatable = true
  readonly maxChunk = Number.POSITIVE_INFINITY
  readonly description: string
  readonly identity: SourceIdentity
  readonly #handle: FileHandle
  #hash: HashThread | undefined
  #closed = false
  /** Pumps under way: the file is closed after the last. */
  readonly #reads = new Set<Promise<unknown>>()

  constructor(handle: FileHandle, path: string, identity: SourceIdentity) {
    this.#handle = handle
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

  async hash(onProgress: (done: number) => void, signal: AbortSignal): Promise<string> {
    const hash = new HashThread()
    this.#hash = hash
    hash.onProgress = onProgress
    const stop = () => hash.close()
    signal.addEventListener('abort', stop, { once: true })
    try {
      hash.advance(this.#handle.fd, this.size)
      return await hash.digest()
    } finally {
      signal.removeEventListener('abort', stop)
      hash.close()
    }
  }

  async verify(): Promise<void> {
    const stat = await this.#handle.stat()
    if (stat.size !== this.identity.size || stat.mtimeMs !== this.identity.mtime) {
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
    const buffers = [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)] as const
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
