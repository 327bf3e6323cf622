import { HoldfastError } from '@holdfast/api/errors'
import { type Body, BodyWriter } from './body-writer.ts'
import { storageError, watchFreeSpace } from './free-space.ts'
import { isFileUuid } from './paths.ts'
import { UploadFile, type UploadFileContext } from './upload-file.ts'
import type {
  AppendOptions,
  Recovery,
  Sealed,
  UploadFiles,
  UploadFilesOptions,
  UploadStatus,
} from './upload-files.ts'
import { type Turn, Turns } from './upload-turns.ts'
import { unlinkIfThere } from './whole-file.ts'

interface Entry {
  readonly turns: Turns
  file?: UploadFile | undefined
}

/** The uploads of one directory: gives out turns, and lets go of what has not been used for long. */
export class UploadDirectory implements UploadFiles {
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
    if (expectedSize > 0) (await this.#space.claim(expectedSize)).release()
    else await this.#space.requireReserve()
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
    return { size: known.soundSize, durableSize: known.durableSize, lastDataAt: known.lastDataAt }
  }

  async append(uuid: string, body: Body, options: AppendOptions): Promise<{ size: number }> {
    const conditional = options.mode === 'conditional'
    return this.#inTurn(uuid, 'append', conditional, async (file, turn) => {
      if (turn.stopped) throw turn.stopped
      // A client that names its offset is told of a smaller one; to any other the bytes would be in the wrong place.
      if (conditional) await file.makeSound()
      else file.assertSound()
      if (conditional && options.expectedOffset !== file.size)
        throw new HoldfastError('offset_mismatch', { detail: { offset: file.size } })
      const maxSize = options.maxSize ?? Number.MAX_SAFE_INTEGER
      const tooLarge =
        options.tooLarge ?? (() => new HoldfastError('file_too_large', { detail: { max_size: maxSize } }))
      if (file.size + (options.contentLength ?? 0) > maxSize) throw tooLarge()
      if (options.contentLength === undefined) await this.#space.requireReserve()
      const claim = options.contentLength ? await this.#space.claim(options.contentLength) : undefined
      const writer = new BodyWriter({
        file,
        turn,
        slots: this.#context.hash.slots,
        space: this.#space,
        claim,
        keepPart: conditional,
        contentLength: options.contentLength,
        maxSize,
        tooLarge,
        signal: options.signal,
      })
      try {
        return { size: await writer.run(body) }
      } finally {
        claim?.release()
      }
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
        read: (target, position) => file.read(target, position),
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
      const isOwn = isFileUuid(uuid) && more === undefined
      if (isOwn && kind === 'data') found.data.add(uuid)
      else if (isOwn && (kind === 'state' || kind === 'sent')) found.state.add(uuid)
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
    } catch (error) {
      throw storageError(error)
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
      throw storageError(error)
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
    const { files, paths, ahead } = this.#context
    await ahead?.settle(uuid)
    const entry = this.#entries.get(uuid)
    const file = entry?.file
    if (entry) entry.file = undefined
    this.#open.delete(uuid)
    await file?.close()
    // Not flushed: should a power cut bring them back, the start finds them without a row and removes them again.
    for (const path of [paths.uploadData(uuid), paths.uploadState(uuid)]) await unlinkIfThere(files, path)
    if (!ahead) return
    await unlinkIfThere(files, paths.uploadSent(uuid))
    void ahead.gone(uuid)
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
