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
import type { Body } from './body-writer.ts'
import { type FileOps, realFiles } from './files.ts'
import type { ContentHash, HashPipeline } from './hash-pipeline.ts'
import { dataPaths } from './paths.ts'
import { UploadDirectory } from './upload-directory.ts'
import type { Settled, UploadAhead } from './upload-file.ts'
import { readBootId } from './upload-state.ts'

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
  /** Told of the bytes as they arrive, when blobs are kept elsewhere. */
  readonly ahead?: UploadAhead | undefined
  /** For tests: what stands for this boot of the machine, 16 bytes. */
  readonly bootId?: Buffer | undefined
}

export interface UploadStatus {
  /** Where the next append goes on. Smaller than what was acknowledged only after a flush has failed. */
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
  /** Fills `target` from `position`; fewer bytes only at the end. */
  read(target: Uint8Array, position: number): Promise<number>
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
  /** Uploads that have other files but no data: converted, or lost with the directory entry. The caller decides. */
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
   * `offset`), `body_incomplete`, `upload_busy`, `storage_full`, `file_too_large`, and when plain `upload_damaged`; the
   * detail's `offset` is then the size that is left. Refusals that can be known beforehand come before the body is read. The body is neither
   * drained nor destroyed on failure.
   */
  append(uuid: string, body: Body, options: AppendOptions): Promise<{ size: number }>
  /** Cuts to `size`. Throws `upload_not_found`, or `truncate_out_of_range` (detail `size`). */
  truncate(uuid: string, size: number): Promise<void>
  /** Throws `upload_not_found`, or `upload_damaged` (detail `offset`) after a failed flush. See Sealed. */
  seal(uuid: string): Promise<Sealed>
  /**
   * Nothing of the upload is left afterwards; not an error when nothing was. Throws `blob_store_unavailable`, and leaves the files,
   * when a conversion that failed may have left something in a store that cannot be asked now.
   */
  remove(uuid: string): Promise<void>
  /**
   * Removes the upload if it has had no data since `idleSince` (ms since the epoch) and nobody is changing it or
   * waits to; tells whether it did. Throws as `remove` does.
   */
  removeIdle(uuid: string, idleSince: number): Promise<boolean>
  /** All uploads that have a data file. Costs one small read for each. */
  list(): Promise<({ uuid: string } & UploadStatus)[]>
  /** Settles what a crash left. To be called once, before anything else. */
  recover(): Promise<Recovery>
  /** Ends nothing, waits for nothing: closes the files of idle uploads. After the last request. */
  close(): Promise<void>
}

/** Opens the uploads of a data directory. `recover` must run before it is used after a crash. */
export const openUploadFiles = async (options: UploadFilesOptions): Promise<UploadFiles> => {
  const files = options.files ?? realFiles
  const paths = dataPaths(options.dataDir)
  await files.makeDirectory(paths.uploads)
  await files.syncDirectory(paths.root)
  const context = {
    files,
    paths,
    hash: options.hash,
    bootId: options.bootId ?? readBootId(),
    clock: options.clock,
    syncEvery: options.syncEvery ?? 16 * 1024 * 1024,
    warn: options.onWarning ?? (() => {}),
    ahead: options.ahead,
  }
  return new UploadDirectory(context, options)
}
