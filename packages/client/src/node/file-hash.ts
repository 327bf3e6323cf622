/** The SHA-512 of a file: in a thread, or without one where starting it would take longer than the hash. */
import { createHash } from 'node:crypto'
import { read } from 'node:fs'
import { promisify } from 'node:util'
import { pageMemory } from '@holdfast/api/page-memory'
import { fileTooShort, HashThread, unreadableFile } from './hash-thread.ts'

/** A SHA-512 that follows the front of an open file. */
export interface FileHash {
  /** Told how many bytes are hashed. */
  onProgress: (done: number) => void
  /** The hash is to go on up to an offset. The file must stay open until `digest` or `stop` is done. */
  advance(fd: number, upTo: number): void
  /** Lower-case hex of everything up to the last offset. */
  digest(): Promise<string>
  /** Gives up; may come at any time, more than once. */
  close(): void
  /** `close`, done when nothing touches the file any more. */
  stop(): Promise<void>
}

/** A thread takes as long to start as tens of MiB take to hash. */
const threadFrom = 8 * 1024 * 1024
/** About a millisecond of the main thread. */
const pieceBytes = 1024 * 1024

/** Makes a hash for a file of a size. */
export const createFileHash = (size: number): FileHash =>
  size < threadFrom ? new ShortFileHash() : new HashThread()

const readFrom = promisify(read)

/** Reads and hashes everything at the end, a piece at a time. */
class ShortFileHash implements FileHash {
  #fd = -1
  #upTo = 0
  #closed = false
  #digest: Promise<string> | undefined
  onProgress: (done: number) => void = () => {}

  advance(fd: number, upTo: number): void {
    this.#fd = fd
    this.#upTo = upTo
  }

  digest(): Promise<string> {
    this.#digest ??= this.#readAll()
    return this.#digest
  }

  close(): void {
    this.#closed = true
  }

  async stop(): Promise<void> {
    this.#closed = true
    await this.#digest?.catch(() => {})
  }

  async #readAll(): Promise<string> {
    const hash = createHash('sha512')
    const buffer = Buffer.from(pageMemory(Math.min(this.#upTo, pieceBytes)))
    for (let at = 0; at < this.#upTo; ) {
      if (this.#closed) throw new Error('the hash was closed')
      const wanted = Math.min(buffer.length, this.#upTo - at)
      const { bytesRead } = await readFrom(this.#fd, buffer, 0, wanted, at).catch((error: Error) => {
        throw unreadableFile(error.message)
      })
      if (bytesRead === 0) throw fileTooShort(at)
      hash.update(buffer.subarray(0, bytesRead))
      at += bytesRead
      this.onProgress(at)
    }
    return hash.digest('hex')
  }
}
