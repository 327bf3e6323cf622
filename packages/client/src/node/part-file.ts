/**
 * A file that is being downloaded: `NAME.part` with room for everything, and `NAME.part.json` that says which bytes are
 * there and of which blob. Both survive a restart; a state that does not belong to the blob wanted now is ignored, with
 * its bytes.
 *
 * The state may be ahead of the disk after a power loss. That is why the digest of the whole is checked in the end,
 * always from byte 0.
 */
import { constants } from 'node:fs'
import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Range, RangeSet } from '../downloads/range-set.ts'
import type { BlobFacts } from '../downloads/resolve.ts'
import { removeFile, replaceFile } from './atomic-file.ts'

interface PartState {
  readonly format: 1
  readonly blob: string
  readonly size: number
  readonly sha512: string | null
  readonly done: readonly Range[]
}

/** How much a killed program may have to fetch again. */
const saveEveryMs = 1000
const saveEveryBytes = 8 * 1024 * 1024
/** So much is written before the disk is told to begin with it, so that little is left to wait for in the end. */
const flushEveryBytes = 64 * 1024 * 1024

export class PartFile {
  readonly #path: string
  readonly #handle: FileHandle
  readonly #blob: BlobFacts
  readonly done: RangeSet
  #savedAt = performance.now()
  /** Bytes written since then. */
  #unsaved = 0
  #saving: Promise<void> = Promise.resolve()
  /** Bytes written since the last flush began. */
  #unflushed = 0
  #flushing: Promise<void> | undefined
  /** A flush tells of a failed write only once, so it must not get lost. */
  #flushFailure: { readonly error: unknown } | undefined

  private constructor(path: string, handle: FileHandle, blob: BlobFacts, done: RangeSet) {
    this.#path = path
    this.#handle = handle
    this.#blob = blob
    this.done = done
  }

  /** Opens the part of an earlier run, or a new one. */
  static async open(path: string, blob: BlobFacts): Promise<PartFile> {
    const handle = await open(partOf(path), constants.O_RDWR | constants.O_CREAT, 0o666)
    try {
      const done = await readState(path, blob)
      const { size } = await handle.stat()
      // Without our state the bytes could be anything; a shorter file is not the one the state speaks of
      const usable = done !== undefined && size === blob.size
      if (!usable) await handle.truncate(0)
      await handle.truncate(blob.size)
      return new PartFile(path, handle, blob, usable ? done : new RangeSet())
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  get fd(): number {
    return this.#handle.fd
  }

  /** Writes pieces that follow each other from `position`. */
  async write(pieces: Uint8Array[], position: number): Promise<void> {
    let at = position
    let left = pieces
    while (left.length > 0) {
      const { bytesWritten } = await this.#handle.writev(left, at)
      at += bytesWritten
      left = behind(left, bytesWritten)
    }
    this.done.add(position, at)
    this.#unsaved += at - position
    const due = performance.now() - this.#savedAt >= saveEveryMs
    if (due || this.#unsaved >= saveEveryBytes) void this.save().catch(() => {})
    this.#unflushed += at - position
    if (this.#unflushed >= flushEveryBytes) this.#flush()
  }

  /** Flushes beside the writing, once at a time. */
  #flush(): void {
    if (this.#flushing !== undefined) return
    this.#unflushed = 0
    this.#flushing = this.#handle
      .datasync()
      .catch((error: unknown) => {
        this.#flushFailure ??= { error }
      })
      .finally(() => {
        this.#flushing = undefined
      })
  }

  /** Notes what is there. One at a time. */
  save(): Promise<void> {
    this.#savedAt = performance.now()
    this.#unsaved = 0
    this.#saving = this.#saving
      .catch(() => {})
      .then(() => {
        const { uuid, size, sha512 = null } = this.#blob
        const state: PartState = { format: 1, blob: uuid, size, sha512, done: this.done.ranges }
        return replaceFile(stateOf(this.#path), JSON.stringify(state))
      })
    return this.#saving
  }

  /** Makes everything that is written durable. */
  async sync(): Promise<void> {
    await this.#flushing
    if (this.#flushFailure !== undefined) throw this.#flushFailure.error
    await this.#handle.sync()
  }

  async close(): Promise<void> {
    await this.#flushing
    await this.#handle.close()
  }

  /** Puts the file, which is whole, right and synced, under its name for good. */
  async finish(): Promise<void> {
    await this.#saving.catch(() => {})
    await rename(partOf(this.#path), this.#path)
    await removeFile(stateOf(this.#path))
    await syncDirectory(dirname(this.#path))
  }

  /** Removes what cannot be used. */
  async discard(): Promise<void> {
    await this.#saving.catch(() => {})
    await removeFile(stateOf(this.#path))
    await rm(partOf(this.#path), { force: true })
  }
}

const partOf = (path: string) => `${path}.part`
const stateOf = (path: string) => `${path}.part.json`

/** The pieces without their first `bytes`. */
const behind = (pieces: Uint8Array[], bytes: number): Uint8Array[] => {
  let skip = bytes
  let first = 0
  while (first < pieces.length && skip >= pieces[first]!.length) skip -= pieces[first++]!.length
  const rest = pieces.slice(first)
  if (skip > 0) rest[0] = rest[0]!.subarray(skip)
  return rest
}

const readState = async (path: string, blob: BlobFacts): Promise<RangeSet | undefined> => {
  try {
    const state = JSON.parse(await readFile(stateOf(path), 'utf8')) as PartState
    const same =
      state.format === 1 &&
      state.blob === blob.uuid &&
      state.size === blob.size &&
      state.sha512 === (blob.sha512 ?? null)
    if (!same) return undefined
    const sane = state.done.every(([start, end]) => 0 <= start && start < end && end <= blob.size)
    return sane ? new RangeSet(state.done) : undefined
  } catch {
    return undefined
  }
}

/** Makes a rename durable. Windows and some filesystems cannot, and do not need to. */
const syncDirectory = async (path: string): Promise<void> => {
  try {
    const handle = await open(path, 'r')
    await handle.sync().finally(() => handle.close())
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'EISDIR' && code !== 'EPERM' && code !== 'EINVAL' && code !== 'EACCES') throw error
  }
}
