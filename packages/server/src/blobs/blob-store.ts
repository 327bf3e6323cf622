import type { SummedBytes } from './block-crcs.ts'

/**
 * Where the bytes of blobs lie. A backend stores bytes under UUIDs and knows nothing of namespaces, digests,
 * artifacts or SQL; hashing and naming stay above it, retries, metrics and faults wrap it.
 *
 * Every backend passes `blob-store.suite.ts`. UUIDs are canonical lower-case ones; anything else is a bug of the
 * caller and throws a RangeError. All methods may be called concurrently, for one UUID too; who wins a race between
 * `adopt`, `giveBack`, `remove` and `quarantine` of the same UUID is the caller's concern, but whole blobs only are
 * ever seen.
 */
export interface BlobStore {
  /**
   * Takes the local file `sourcePath` over as the blob `uuid`. After it the bytes and their name are on stable
   * storage and the source is gone. On failure the source is where it was. A backend that reads the bytes again compares
   * them with `expected`.
   * Repeating it after success (source gone, blob there) does nothing; a blob is never overwritten (EEXIST);
   * neither source nor blob: ENOENT.
   */
  adopt(uuid: string, sourcePath: string, expected?: ExpectedContent): Promise<void>
  /**
   * Undoes `adopt`: the bytes are the local file `path` again, where they were before, durably, and the blob is gone. Repeating it after
   * success does nothing; never overwrites (EEXIST); neither blob nor file: ENOENT.
   */
  giveBack(uuid: string, path: string): Promise<void>
  /** Undefined when there is no such blob. */
  stat(uuid: string): Promise<BlobFacts | undefined>
  /** Opens a blob for reading; the caller closes it. `blob_damaged` when there is none: who asks expects it. */
  open(uuid: string): Promise<BlobReader>
  /**
   * Durably gone afterwards, with what was set aside under its UUID; not an error when it was not there. Open readers
   * may go on or fail.
   */
  remove(uuid: string): Promise<void>
  /** All blobs, in no order, without holding them all in memory. May miss or show what changes meanwhile. */
  list(): AsyncIterable<BlobFacts>
  /**
   * Sets a damaged blob aside for people to look at: no longer a blob for any other method, and its UUID is free
   * for `adopt`. One set aside earlier under this UUID is replaced. Not an error when there is no such blob.
   */
  quarantine(uuid: string): Promise<void>
  /** Undoes `quarantine`, unless there is a blob in that place; not an error when nothing was set aside. */
  restore(uuid: string): Promise<void>
  /** What was set aside under this UUID, if anything, is durably gone afterwards. */
  dropQuarantined(uuid: string): Promise<void>
  /** What was set aside under this UUID, if anything. */
  statQuarantined(uuid: string): Promise<BlobFacts | undefined>
  /** Opens what was set aside, as `open` does. */
  openQuarantined(uuid: string): Promise<BlobReader>
  /** All that was set aside; otherwise as `list`. */
  listQuarantined(): AsyncIterable<BlobFacts>
  /**
   * A URL from which anybody who knows it can read the blob for `seconds`, as a file of the name that `disposition` (a
   * Content-Disposition) gives. Absent where blobs cannot be reached but through this server.
   */
  linkTo?(uuid: string, seconds: number, disposition: string): Promise<string>
  /** Where a blob's file lies below the directory of blobs. Absent where blobs are no files. */
  pathOf?(uuid: string): string
  /**
   * Removes what a crash has left of blobs that were being sent somewhere ahead of their adoption, unless they are to be kept.
   * Resolves with how many that were.
   */
  sweep(isKept: (uuid: string) => Promise<boolean>): Promise<number>
}

/** What is known of a blob's bytes since they arrived. */
export interface ExpectedContent {
  /** CRC-32 of every block, 4 bytes big endian each. */
  readonly blockSums: Uint8Array
}

export interface BlobFacts {
  readonly uuid: string
  readonly size: number
  /** Time of the last write, ms since the epoch. */
  readonly modifiedAt: number
}

/** An open blob. Reads may be under way at the same time; none may be when it is closed. */
export interface BlobReader {
  readonly uuid: string
  /** Size when it was opened. */
  readonly size: number
  /**
   * Fills `target` from `position` on and tells how many bytes that were: fewer only at the end, 0 past it.
   * `blob_damaged` when the medium fails.
   */
  read(target: Uint8Array, position: number): Promise<number>
  /** The same, with checksums: those of blocks when `position` is where one begins. Absent where they can be had no better than by the caller. */
  readSummed?(target: Uint8Array, position: number): Promise<SummedBytes>
  /** May be repeated. */
  close(): Promise<void>
}
