/**
 * Uploads: growing files that lossy clients send in pieces, over connections that die without telling anybody.
 *
 * **What an upload is.** A data file and a record of how much of it counts (upload-file.ts). The size that clients
 * see is always the acknowledged one. There is no SQL in here: who owns an upload and whether it should exist is
 * the caller's business.
 *
 * **Two kinds of append.** A *plain* one is applied whole or not at all. It has to be: the official client re-sends
 * a cut one blindly, without truncating and without asking for the size. A *conditional* one names the offset it
 * continues at, is refused when that is not the size, and keeps whatever arrived before a cut, acknowledged piece
 * by piece while it arrives.
 *
 * **One writer, and who may take over from whom.** Requests for one upload get turns in the order they come.
 * - A plain append waits for the one before it: when the client re-sends, the server may still be busy with the
 *   first copy, and both orders of "roll back the first, then apply the second" must end with the bytes once. But a
 *   first copy whose connection died silently would hold the upload for ever, so once it has not had a byte for
 *   `stallTimeoutMs` while somebody waits, it is ended and rolled back. Time in which it waits for the disk does
 *   not count.
 * - A conditional append, a truncation or a removal shows that the client has given up everything it sent before.
 *   It ends the current append at once (plain: rolled back, conditional: kept) and all that still wait, and only
 *   then looks at the size. The offset check makes that safe: nothing can be applied twice.
 * - A seal (conversion) waits like a plain append, and is never ended by others.
 * What was ended answers `upload_busy`, which a client may repeat.
 *
 * **What may be repeated.** remove and a seal's release and discard, without effect the second time; truncate, with
 * the same effect; a conditional append, which is refused with the true offset if it was applied already. A plain
 * append whose *reply* was lost cannot be told from a new one; the client sees that in the total of the next reply.
 *
 * **After a crash** `recover` cuts every upload to what its record allows: acknowledged bytes after a kill, durable
 * ones after a reboot.
 */
import { HoldfastError } from '@holdfast/api/errors'
import { type Body, BodyWriter } from './body-writer.ts'
import { errnoOf, type FileOps, realFiles } from './files.ts'
import { watchFreeSpace } from './free-space.ts'
import type { ContentHash, HashPipeline } from './hash-pipeline.ts'
import { dataPaths, isFileUuid } from './paths.ts'
import { type Settled, UploadFile, type UploadFileContext } from './upload-file.ts'
import { readBootId } from './upload-state.ts'
import { type Turn, Turns } from './upload-turns.ts'

export type { Body } from './body-writer.ts'

export interface UploadFilesOptions {
  /** The data directory; its `uploads` directory is made if missing. */
  readonly dataDir: string
  readonly hash: HashPipeline
  readonly clock: { now(): number }
  /** Free bytes that uploads must leave on the filesystem. */
  readonly freeSpaceReserveBytes: number
  /** Silence after which an append loses the upload to one that waits. */
  readonly stallTimeoutMs: number
  /** Told about what no request can be told about. */
  readonly onWarning?: ((message: string, facts: Record<string, unknown>) => void) | undefined
  readonly files?: FileOps | undefined
  /** Bytes between flushes in the background. */
  readonly syncEvery?: number | undefined
  /** Idle uploads that keep their descriptors open. */
  readonly maxOpen?: number | undefined
  /** Idle uploads that keep the state of their hash. */
  readonly maxKnown?: number | undefined
  /** For tests: what stands for this boot of the machine, 16 bytes. */
  readonly bootId?: Buffer | undefined
}

export interface UploadStatus {
  readonly size: number
  /** Bytes of `size` that survive a power cut already. */
  readonly durableSize: number
  /** Time of the newest data, ms since the epoch; of the creation when there is none. */
  readonly lastDataAt: number
}

export interface AppendOptions {
  readonly mode: 'plain' | 'conditional'
  /** Required by `conditional`. */
  readonly expectedOffset?: number | undefined
  readonly contentLength?: number | undefined
  /** Largest size the whole upload may reach. */
  readonly maxSize?: number | undefined
  /** What to throw beyond `maxSize`; `file_too_large` unless given. */
  readonly tooLarge?: (() => Error) | undefined
  readonly signal?: AbortSignal | undefined
}

/** An upload held still: nobody else can change it until `release` or `discard`, of which only the first counts. */
export interface Sealed extends ContentHash {
  /** The data file; all its bytes are on stable storage. It may be renamed away, and back before `release`. */
  readonly path: string
  readonly size: number
  /** Gives the upload back as it was. */
  release(): Promise<void>
  /** The bytes live elsewhere now: removes what is left of the upload. */
  discard(): Promise<void>
}

export interface Recovery {
  /** Uploads found, cut where needed. */
  readonly settled: readonly ({ uuid: string } & Settled)[]
  /** Uploads that have a record but no data: converted, or lost with the directory entry. The caller decides. */
  readonly missing: readonly string[]
  /** Uploads whose files could not be read; left alone, warned about. */
  readonly unreadable: readonly string[]
  /** Names in the directory that belong to no upload; left alone. */
  readonly strays: readonly string[]
}

export interface UploadFiles {
  /** Makes an empty upload. Throws `storage_full` unless `expectedSize` bytes would fit, or EEXIST for a UUID in use. */
  create(uuid: string, expectedSize?: number): Promise<void>
  status(uuid: string): Promise<UploadStatus | undefined>
  /**
   * Adds the body's bytes at the end and tells the new size. Throws `upload_not_found`, `offset_mismatch` (detail
   * `offset`), `body_incomplete`, `upload_busy`, `storage_full`, `file_too_large`; the detail's `offset` is then
   * the size that is left. Refusals that can be known beforehand come before the body is read. The body is neither
   * drained nor destroyed on failure.
   */
  append(uuid: string, body: Body, options: AppendOptions): Promise<{ size: number }>
  /** Cuts to `size`. Throws `upload_not_found`, or `truncate_out_of_range` (detail `size`). */
  truncate(uuid: string, size: number): Promise<void>
  /** Throws `upload_not_found`. See Sealed. */
  seal(uuid: string): Promise<Sealed>
  /** Nothing of the upload is left afterwards; not an error when nothing was. */
  remove(uuid: string): Promise<void>
  /**
   * Removes the upload if it has had no data since `idleSince` (ms since the epoch) and nobody is changing it or
   * waits to; tells whether it did.
   */
  removeIdle(uuid: string, idleSince: number): Promise<boolean>
  /** All uploads that have a data file. Costs one small read for each. */
  list(): Promise<({ uuid: string } & UploadStatus)[]>
  /** Settles what a crash left. To be called once, before anything else. */
  recover(): Promise<Recovery>
  /** Ends nothing, waits for nothing: closes the files of idle uploads. After the last request. */
  close(): Promise<void>
}

interface Entry {
  readonly turns: Turns
  file?: UploadFile | undefined
}

/** Opens the uploads of a data directory. `recover` must run before it is used after a crash. */
export const openUploadFiles = async (options: UploadFilesOptions): Promise<UploadFiles> => {
  const files = options.files ?? realFiles
  const paths = dataPaths(options.dataDir)
  await files.makeDirectory(paths.uploads)
  const context: UploadFileContext = {
    files,
    paths,
    hash: options.hash,
    bootId: options.bootId ?? readBootId(),
    clock: options.clock,
    syncEvery: options.syncEvery ?? 64 * 1024 * 1024,
    warn: options.onWarning ?? (() => {}),
  }
  return new UploadDirectory(context, options)
}

class UploadDirectory implements UploadFiles {
  readonly #context: UploadFileContext
  readonly #options: UploadFilesOptions
  readonly #space: ReturnType<typeof watchFreeSpace>
  /** Uploads in use or recently used, the longest unused first. */
  readonly #entries = new Map<string, Entry>()
  /** Those of them with open descriptors. */
  readonly #open = new Set<string>()

  constructor(context: UploadFileContext, options: UploadFilesOptions) {
    this.#context = context
    this.#options = options
    this.#space = watchFreeSpace(context.files, context.paths.uploads, options.freeSpaceReserveBytes)
  }

  async create(uuid: string, expectedSize = 0): Promise<void> {
    await this.#space.require(expectedSize)
    const entry = this.#entry(uuid)
    const turn = await entry.turns.take('exclusive', false)
    try {
      entry.file = await UploadFile.create(this.#context, uuid)
      this.#open.add(uuid)
    } finally {
      await this.#leave(uuid, turn)
    }
  }

  async status(uuid: string): Promise<UploadStatus | undefined> {
    if (!isFileUuid(uuid)) return undefined
    const known = this.#entries.get(uuid)?.file
    if (!known) return UploadFile.peek(this.#context, uuid)
    return { size: known.size, durableSize: known.durableSize, lastDataAt: known.lastDataAt }
  }

  async append(uuid: string, body: Body, options: AppendOptions): Promise<{ size: number }> {
    const conditional = options.mode === 'conditional'
    return this.#inTurn(uuid, 'append', conditional, async (file, turn) => {
      if (turn.stopped) throw turn.stopped
      file.assertSound()
      if (conditional && options.expectedOffset !== file.size)
        throw new HoldfastError('offset_mismatch', { detail: { offset: file.size } })
      const maxSize = options.maxSize ?? Number.MAX_SAFE_INTEGER
      const tooLarge =
        options.tooLarge ?? (() => new HoldfastError('file_too_large', { detail: { max_size: maxSize } }))
      if (file.size + (options.contentLength ?? 0) > maxSize) throw tooLarge()
      await this.#space.require(options.contentLength ?? 0)
      const writer = new BodyWriter({
        file,
        turn,
        slots: this.#context.hash.slots,
        space: this.#space,
        keepPart: conditional,
        contentLength: options.contentLength,
        maxSize,
        tooLarge,
        signal: options.signal,
      })
      return { size: await writer.run(body) }
    })
  }

  async truncate(uuid: string, size: number): Promise<void> {
    await this.#inTurn(uuid, 'exclusive', true, async (file) => {
      if (size > file.size) throw new HoldfastError('truncate_out_of_range', { detail: { size: file.size } })
      if (size < file.size) await file.truncate(size)
    })
  }

  async seal(uuid: string): Promise<Sealed> {
    const { turn, file } = await this.#take(uuid, 'exclusive', false)
    let open = true
    const once = (end: () => Promise<void>) => async () => {
      if (!open) return
      open = false
      await end()
    }
    const release = once(() => this.#leave(uuid, turn))
    try {
      file.assertSound()
      const [content] = await Promise.all([file.hash.finish(file.size), file.sync()])
      return {
        path: this.#context.paths.uploadData(uuid),
        size: file.size,
        ...content,
        release,
        discard: once(() => this.#erase(uuid).finally(() => this.#leave(uuid, turn))),
      }
    } catch (error) {
      await release()
      throw error
    }
  }

  async remove(uuid: string): Promise<void> {
    if (!isFileUuid(uuid)) return
    const turn = await this.#entry(uuid).turns.take('exclusive', true)
    try {
      await this.#erase(uuid)
    } finally {
      await this.#leave(uuid, turn)
    }
  }

  async removeIdle(uuid: string, idleSince: number): Promise<boolean> {
    const { turns } = this.#entry(uuid)
    if (!turns.idle) return false
    const turn = await turns.take('exclusive', false)
    try {
      const status = await this.status(uuid)
      if (!status || status.lastDataAt > idleSince) return false
      await this.#erase(uuid)
      return true
    } finally {
      await this.#leave(uuid, turn)
    }
  }

  async list(): Promise<({ uuid: string } & UploadStatus)[]> {
    const { data } = await this.#scan()
    const found = []
    for (const uuid of data) {
      const status = await this.status(uuid)
      if (status) found.push({ uuid, ...status })
    }
    return found
  }

  async recover(): Promise<Recovery> {
    const { data, state, strays } = await this.#scan()
    const settled = []
    const unreadable = []
    for (const uuid of data) {
      try {
        const loaded = await UploadFile.load(this.#context, uuid)
        await loaded?.file.close()
        if (loaded) settled.push({ uuid, ...loaded.settled })
      } catch (error) {
        this.#context.warn('an upload could not be recovered', { upload: uuid, error })
        unreadable.push(uuid)
      }
    }
    return { settled, missing: [...state].filter((uuid) => !data.has(uuid)), unreadable, strays }
  }

  async close(): Promise<void> {
    for (const [uuid, entry] of this.#entries) {
      if (!entry.turns.idle) continue
      this.#entries.delete(uuid)
      await entry.file?.close()
    }
    this.#open.clear()
  }

  async #scan(): Promise<{ data: Set<string>; state: Set<string>; strays: string[] }> {
    const found = { data: new Set<string>(), state: new Set<string>(), strays: [] as string[] }
    for (const name of await this.#context.files.list(this.#context.paths.uploads)) {
      const [uuid = '', kind, more] = name.split('.')
      if (isFileUuid(uuid) && (kind === 'data' || kind === 'state') && more === undefined)
        found[kind].add(uuid)
      else found.strays.push(name)
    }
    return found
  }

  async #inTurn<T>(
    uuid: string,
    kind: Turn['kind'],
    takeOver: boolean,
    change: (file: UploadFile, turn: Turn) => Promise<T>,
  ): Promise<T> {
    const { turn, file } = await this.#take(uuid, kind, takeOver)
    try {
      return await change(file, turn)
    } finally {
      await this.#leave(uuid, turn)
    }
  }

  /** The turn and the opened upload, or `upload_not_found`. To be followed by `#leave`. */
  async #take(
    uuid: string,
    kind: Turn['kind'],
    takeOver: boolean,
  ): Promise<{ turn: Turn; file: UploadFile }> {
    if (!isFileUuid(uuid)) throw new HoldfastError('upload_not_found')
    const entry = this.#entry(uuid)
    const turn = await entry.turns.take(kind, takeOver)
    try {
      entry.file ??= (await UploadFile.load(this.#context, uuid))?.file
      if (!entry.file) throw new HoldfastError('upload_not_found')
      await entry.file.ready()
      this.#open.delete(uuid)
      this.#open.add(uuid)
      return { turn, file: entry.file }
    } catch (error) {
      await this.#leave(uuid, turn)
      throw error
    }
  }

  async #leave(uuid: string, turn: Turn): Promise<void> {
    const entry = this.#entries.get(uuid)!
    entry.turns.release(turn)
    if (entry.turns.idle && !entry.file) this.#entries.delete(uuid)
    await this.#trim()
  }

  /** The upload's entry, made the most recently used one. */
  #entry(uuid: string): Entry {
    const entry = this.#entries.get(uuid) ?? { turns: new Turns(this.#options.stallTimeoutMs) }
    this.#entries.delete(uuid)
    this.#entries.set(uuid, entry)
    return entry
  }

  /** Removes what there is of the upload's files; whoever waits for it will find nothing. */
  async #erase(uuid: string): Promise<void> {
    const { files, paths } = this.#context
    const entry = this.#entries.get(uuid)
    const file = entry?.file
    if (entry) entry.file = undefined
    this.#open.delete(uuid)
    await file?.close()
    for (const path of [paths.uploadData(uuid), paths.uploadState(uuid)]) {
      await files.unlink(path).catch((error) => {
        if (errnoOf(error) !== 'ENOENT') throw error
      })
    }
  }

  /** Lets go of descriptors, and then of everything, of those unused for longest, beyond the bounds. */
  async #trim(): Promise<void> {
    const { maxOpen = 128, maxKnown = 1024 } = this.#options
    await this.#retire(this.#open, this.#open.size - maxOpen, (file) => file.closeFiles())
    await this.#retire(this.#entries.keys(), this.#entries.size - maxKnown, async (file, entry) => {
      entry.file = undefined
      await file.close()
    })
  }

  /** Retires the first `count` of `uuids` that are at rest; each under a turn, so that no request meets it half-way. */
  async #retire(
    uuids: Iterable<string>,
    count: number,
    end: (file: UploadFile, entry: Entry) => Promise<void>,
  ): Promise<void> {
    if (count <= 0) return
    const resting = []
    for (const uuid of uuids) {
      const entry = this.#entries.get(uuid)
      if (entry?.turns.idle && entry.file?.forgettable) resting.push({ uuid, entry, file: entry.file })
      if (resting.length === count) break
    }
    // All turns are taken before the first wait: an idle upload gives its turn at once.
    const turns = resting.map(({ entry }) => entry.turns.take('exclusive', false))
    for (const [i, { uuid, entry, file }] of resting.entries()) {
      const turn = await turns[i]!
      try {
        this.#open.delete(uuid)
        await end(file, entry)
      } finally {
        entry.turns.release(turn)
        if (entry.turns.idle && !entry.file) this.#entries.delete(uuid)
      }
    }
  }
}
