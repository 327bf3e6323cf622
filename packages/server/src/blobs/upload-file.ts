import { HoldfastError } from '@holdfast/api/errors'
import type { FileOps, OpenFile } from './files.ts'
import { errnoOf } from './files.ts'
import { storageError } from './free-space.ts'
import type { HashPipeline, HashStream } from './hash-pipeline.ts'
import type { DataPaths } from './paths.ts'
import { SlotsUnderWay } from './slots-under-way.ts'
import { believableSize, decodeRecord, encodeRecord, recordSize, type UploadRecord } from './upload-state.ts'

/** Written bytes that may wait for their flush while one is under way, in times of `syncEvery`. */
const maxUnflushed = 2

/** What the two files of every upload need around them. */
export interface UploadFileContext {
  readonly files: FileOps
  readonly paths: DataPaths
  readonly hash: HashPipeline
  readonly bootId: Buffer
  readonly clock: { now(): number }
  /** Bytes after which written data is flushed in the background. */
  readonly syncEvery: number
  readonly warn: (message: string, facts: Record<string, unknown>) => void
  /** Where the bytes go meanwhile, if anywhere. */
  readonly ahead?: UploadAhead | undefined
}

/**
 * Somebody who brings the bytes of uploads elsewhere while they arrive, so that less is to be done when they become blobs.
 * No upload depends on it: `grown`, `cut` and `gone` neither wait nor throw.
 */
export interface UploadAhead {
  /** The file `path` of the upload has `size` written bytes, acknowledged or not. */
  grown(uuid: string, path: string, size: number): void
  /** Its bytes from `size` on do not count any more, and others may be written in their place from now on. */
  cut(uuid: string, size: number): void
  /**
   * The upload is about to go, and becomes no blob of its name. What a conversion that failed may have left under it is gone
   * afterwards. Throws when that cannot be done now; then the upload's files have to stay, so that somebody comes back to it.
   */
  settle(uuid: string): Promise<void>
  /** The upload is gone. */
  gone(uuid: string): Promise<void>
}

/** What was found when an upload's files were opened, and cut to what can be believed. */
export interface Settled {
  readonly size: number
  /** Length of the data file as found; more than `size` when bytes were cut off. */
  readonly foundSize: number
  readonly record: 'intact' | 'other boot' | 'garbled' | 'missing'
}

/**
 * The two files and the hash of one upload: what is written, what is acknowledged, what is durable.
 * It knows no locks: its owner sees to it that one request at a time changes it.
 *
 * Order of steps (a power cut may come between any two):
 * - append: data, then record. The record never counts bytes that are not written.
 * - flush: data synced, then the record says so. The record never calls bytes durable that are not.
 * - truncate: record, and if it called more bytes durable, synced; then data. Else new bytes at the old place could
 *   pass for the durable ones of the old record.
 */
export class UploadFile {
  readonly uuid: string
  readonly #context: UploadFileContext
  #size: number
  #syncedSize: number
  #lastDataAt: number
  #data: OpenFile | undefined
  #state: OpenFile | undefined
  #hash: HashStream | undefined
  #syncing: Promise<void> | undefined
  /** What was written when it was last told. */
  #reported = 0
  #syncError: unknown
  /** The files' names themselves are on stable storage. */
  #named = false
  /** Counts cuts: a flush that a cut overtook says nothing about the bytes written since. */
  #cuts = 0
  #recordTail: Promise<void> = Promise.resolve()
  /** The record on disk may be torn: it has to be written before anything else happens. */
  #recordDoubtful = false
  /**
   * A record on the disk may call more bytes durable than the newest one: that has to be flushed before data changes,
   * else bytes written in their place would pass for durable ones after a power cut.
   */
  #recordOwed = false
  /** The data file may be longer than what is acknowledged: it has to be cut before anything else happens. */
  #tailDoubtful = false

  private constructor(
    context: UploadFileContext,
    uuid: string,
    data: OpenFile,
    state: OpenFile,
    facts: Omit<UploadRecord, 'bootId'>,
  ) {
    this.#context = context
    this.uuid = uuid
    this.#data = data
    this.#state = state
    this.#size = facts.size
    this.#syncedSize = facts.durableSize
    this.#lastDataAt = facts.lastDataAt
  }

  /** Makes both files; throws and leaves nothing if that fails. */
  static async create(context: UploadFileContext, uuid: string): Promise<UploadFile> {
    const { files, paths } = context
    const opened: OpenFile[] = []
    try {
      opened.push(await files.open(paths.uploadData(uuid), 'create'))
      opened.push(await files.open(paths.uploadState(uuid), 'create'))
      const facts = { size: 0, durableSize: 0, lastDataAt: context.clock.now() }
      const file = new UploadFile(context, uuid, opened[0]!, opened[1]!, facts)
      await file.#saveRecord()
      return file
    } catch (error) {
      for (const file of opened) {
        await file.close()
        await files.unlink(file.path).catch(() => {})
      }
      throw storageError(error)
    }
  }

  /**
   * Opens the files and brings them to a state that can be believed: data beyond it is cut off, the record of an
   * earlier boot or an unreadable one is replaced. Undefined when there is no data file.
   */
  static async load(
    context: UploadFileContext,
    uuid: string,
  ): Promise<{ file: UploadFile; settled: Settled } | undefined> {
    const { files, paths, bootId } = context
    const data = await openIfThere(files, paths.uploadData(uuid))
    if (!data) return undefined
    let state: OpenFile | undefined
    try {
      state = await openIfThere(files, paths.uploadState(uuid))
      const found = state && (await readRecord(state))
      const foundSize = await data.size()
      const { size, durableSize } = believableSize(found, foundSize, bootId)
      const record = !state
        ? 'missing'
        : !found
          ? 'garbled'
          : found.bootId.equals(bootId)
            ? 'intact'
            : 'other boot'
      // It may be a truncation that was killed before its record was flushed.
      if (state && foundSize > size) await state.sync()
      if (foundSize > size) await data.truncate(size)
      const lastDataAt = found?.lastDataAt ?? (await files.stat(data.path))?.modifiedAt ?? context.clock.now()
      state ??= await files.open(paths.uploadState(uuid), 'create')
      const file = new UploadFile(context, uuid, data, state, { size, durableSize, lastDataAt })
      if (record !== 'intact' || found?.size !== size) await file.#saveRecord()
      return { file, settled: { size, foundSize, record } }
    } catch (error) {
      await data.close()
      await state?.close()
      throw error
    }
  }

  /** What `load` would find, without opening the upload for good or changing anything. */
  static async peek(
    context: UploadFileContext,
    uuid: string,
  ): Promise<Omit<UploadRecord, 'bootId'> | undefined> {
    const { files, paths, bootId } = context
    const data = await files.stat(paths.uploadData(uuid))
    if (!data) return undefined
    const state = await openIfThere(files, paths.uploadState(uuid), 'read')
    try {
      const found = state && (await readRecord(state))
      return {
        ...believableSize(found, data.size, bootId),
        lastDataAt: found?.lastDataAt ?? data.modifiedAt,
      }
    } finally {
      await state?.close()
    }
  }

  /** Acknowledged bytes. */
  get size(): number {
    return this.#size
  }

  /** The acknowledged bytes that can be continued: all of them unless a flush has failed, then the durable ones. */
  get soundSize(): number {
    return this.#syncError === undefined ? this.#size : this.durableSize
  }

  /** Acknowledged bytes that survive a power cut. */
  get durableSize(): number {
    return Math.min(this.#size, this.#syncedSize)
  }

  get lastDataAt(): number {
    return this.#lastDataAt
  }

  /** Of all its requests: a reply does not wait for the hash, so the next request may find it behind. */
  readonly slotsUnderWay = new SlotsUnderWay()

  /** Made when first used; bytes that are already there are then read in the background. */
  get hash(): HashStream {
    this.#hash ??= this.#context.hash.open(this.#context.paths.uploadData(this.uuid))
    return this.#hash
  }

  /** It is at rest, and nothing would be lost but time if this object were dropped and loaded again. */
  get forgettable(): boolean {
    const isDoubtful = this.#recordDoubtful || this.#recordOwed || this.#tailDoubtful
    return !this.#syncing && this.#syncError === undefined && !isDoubtful
  }

  /** Opens the files again if they were closed, and repairs what an earlier failure left. Before every change. */
  async ready(): Promise<void> {
    const { files, paths } = this.#context
    this.#data ??= await files.open(paths.uploadData(this.uuid), 'write')
    this.#state ??= await files.open(paths.uploadState(this.uuid), 'write')
    if (this.#recordDoubtful) await this.#saveRecord()
    await this.#payRecord()
    if (this.#tailDoubtful) await this.#cutData()
  }

  /**
   * Throws `upload_damaged` (detail `offset`: the durable size) if a flush has failed: the system may have dropped those
   * pages while reads still show them, so nothing beyond the durable size can be trusted until the upload is truncated to it.
   */
  assertSound(): void {
    if (this.#syncError !== undefined)
      throw new HoldfastError('upload_damaged', {
        detail: { offset: this.durableSize },
        cause: this.#syncError,
      })
  }

  /** Cuts off what a failed flush has put in doubt. */
  async makeSound(): Promise<void> {
    if (this.#syncError !== undefined) await this.truncate(this.durableSize)
  }

  /** Fills `target` from `position`; fewer bytes only at the end. */
  read(target: Uint8Array, position: number): Promise<number> {
    return this.#data!.read(target, position)
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return this.#data!.write(bytes, position)
  }

  /** Bytes up to `size` are written: from now on they count, whatever happens to this process. */
  async acknowledge(size: number): Promise<void> {
    this.#lastDataAt = this.#context.clock.now()
    await this.#saveRecord(size)
  }

  /**
   * Resolves when more may be written: a source faster than the disk would leave ever more to be flushed at the
   * conversion, whose time must not depend on the size. Never rejects.
   */
  async flushKeepsUp(): Promise<void> {
    while (this.#syncing && this.#reported - this.#syncedSize >= maxUnflushed * this.#context.syncEvery)
      await this.#syncing
  }

  /** Tells that so much is written; starts a flush if enough was written since the last one and none is under way. */
  flushInBackground(written: number): void {
    this.#context.ahead?.grown(this.uuid, this.#data!.path, written)
    this.#reported = written
    if (this.#syncing || this.#syncError !== undefined) return
    if (written - this.#syncedSize < this.#context.syncEvery) return
    this.#syncing = this.#flush(written)
      .catch((error) => {
        this.#syncError = error
        this.#context.warn('flushing an upload failed', { upload: this.uuid, error })
      })
      .finally(() => {
        this.#syncing = undefined
      })
  }

  async #flush(written: number): Promise<void> {
    const cuts = this.#cuts
    await this.#data!.sync()
    if (!this.#named) await this.#context.files.syncDirectory(this.#context.paths.uploads)
    this.#named = true
    if (cuts !== this.#cuts) return
    this.#syncedSize = written
    await this.#saveRecord()
    await this.#state!.sync()
  }

  /** Everything acknowledged is on stable storage after it (under whatever name the file has then). */
  async sync(): Promise<void> {
    await this.#syncing
    this.assertSound()
    const found = await this.#data!.size()
    if (found !== this.#size) throw new Error(`the data file has ${found} bytes instead of ${this.#size}`)
    if (this.#syncedSize >= found) return
    const cuts = this.#cuts
    try {
      await this.#data!.sync()
    } catch (error) {
      this.#syncError = error
      throw storageError(error)
    }
    if (cuts === this.#cuts) this.#syncedSize = found
  }

  /** Takes back what was written beyond the acknowledged size. */
  async rollBack(): Promise<void> {
    this.#cuts++
    this.#syncedSize = Math.min(this.#syncedSize, this.#size)
    await this.#cutData()
  }

  /** Cuts the upload to `size`, which is at most its own. When it fails after the record, `ready` finishes it. */
  async truncate(size: number): Promise<void> {
    const wasDurable = this.durableSize
    this.#cuts++
    this.#syncedSize = Math.min(this.#syncedSize, size)
    this.#recordOwed ||= size < wasDurable
    this.#tailDoubtful = true
    await this.#saveRecord(size)
    await this.#payRecord()
    await this.#cutData()
    if (size <= wasDurable) this.#syncError = undefined
  }

  async #payRecord(): Promise<void> {
    if (!this.#recordOwed) return
    await this.#state!.sync()
    this.#recordOwed = false
  }

  async #cutData(): Promise<void> {
    this.#tailDoubtful = true
    this.#context.ahead?.cut(this.uuid, this.#size)
    this.#hash?.rewind(this.#size)
    await this.#data!.truncate(this.#size)
    this.#tailDoubtful = false
  }

  /** Lets go of the descriptors; the hash stays. Not while anything is being written. */
  async closeFiles(): Promise<void> {
    await this.#syncing
    await this.#recordTail.catch(() => {})
    const open = [this.#data, this.#state]
    this.#data = undefined
    this.#state = undefined
    for (const file of open) await file?.close()
  }

  /** Lets go of everything. */
  async close(): Promise<void> {
    await this.closeFiles()
    this.#hash?.close()
    this.#hash = undefined
  }

  /** Records are written one after the other, each with the newest facts; `size` counts once it is recorded. */
  #saveRecord(size?: number): Promise<void> {
    const save = async () => {
      const next = size ?? this.#size
      const record = {
        size: next,
        durableSize: Math.min(next, this.#syncedSize),
        lastDataAt: this.#lastDataAt,
        bootId: this.#context.bootId,
      }
      this.#recordDoubtful = true
      await this.#state!.write(encodeRecord(record), 0)
      this.#recordDoubtful = false
      this.#size = next
    }
    this.#recordTail = this.#recordTail.then(save, save)
    return this.#recordTail
  }
}

const openIfThere = async (
  files: FileOps,
  path: string,
  how: 'read' | 'write' = 'write',
): Promise<OpenFile | undefined> => {
  try {
    return await files.open(path, how)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

const readRecord = async (state: OpenFile): Promise<UploadRecord | undefined> => {
  const read = async () => {
    const bytes = Buffer.alloc(recordSize)
    return decodeRecord(bytes.subarray(0, await state.read(bytes, 0)))
  }
  // Without a record all data is given up: a medium that answers wrongly once must not be enough for that.
  return (await read()) ?? read()
}
