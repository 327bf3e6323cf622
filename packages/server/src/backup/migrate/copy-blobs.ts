/**
 * Copies the bytes of blobs, several at a time. Each is read once for its digest; what is right, and only that, gets its name
 * in the new store: so what has its name and its size there need not be looked at again by a later run.
 *
 * From disk to disk of one file system the file gets a second name, as in backups: a blob's file never changes, and what
 * heals one is another file. To S3 the store's own file is sent as it is, with the checksums of the blocks that had the
 * right digest. In every other case the bytes are written to a file of the new data directory while they are read.
 */
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isHoldfastError } from '@holdfast/api/errors'
import type { BlobReader } from '../../blobs/blob-store.ts'
import { realFiles } from '../../blobs/files.ts'
import type { ByteSource, FileDigest } from '../../blobs/hash-pipeline.ts'
import { dataPaths } from '../../blobs/paths.ts'
import { hasOwnBlobStore } from '../../config.ts'
import { deleted } from '../../db/database.ts'
import type { Row } from '../../db/schema.ts'
import { damageOf } from '../../domain/verify-blob.ts'
import type { Parts } from '../../parts.ts'
import type { DamagedBlob } from '../format.ts'
import { linkFile } from '../place-file.ts'
import type { Target } from './open-target.ts'
import type { Progress } from './progress.ts'

/** Blobs at a time: enough that small ones need not wait for the network one by one. */
const atOnce = 8
const pageSize = 200

export interface CopyBlobsOptions {
  readonly source: Parts
  readonly target: Target
  /** Whether an earlier run may have left some. */
  readonly isRepeated: boolean
  readonly signal: AbortSignal
  readonly progress: Progress
}

type BlobRow = Row<'blobs'>

export interface CopiedBlobs {
  /** That are in the new store now, and their bytes. */
  blobs: number
  bytes: number
  readonly damaged: DamagedBlob[]
}

/** Copies what is missing. Those whose bytes are not right are told of, and not copied. */
export const copyBlobs = async (options: CopyBlobsOptions): Promise<CopiedBlobs> => {
  const { source, signal, progress } = options
  const result: CopiedBlobs = { blobs: 0, bytes: 0, damaged: [] }
  const { total } = await source.db.read
    .selectFrom('blobs')
    .select(({ fn }) => fn.sum<number | null>('size').as('total'))
    .where('state', '<>', deleted)
    .executeTakeFirstOrThrow()
  progress.begin('blobs', 'bytes', Number(total ?? 0))
  await eachAtOnce(blobsOf(source), signal, async (blob) => {
    if (blob.state === 'quarantined') return copyAside(options, blob)
    const damage = await copyBlob(options, blob)
    if (damage === undefined) {
      result.blobs++
      result.bytes += blob.size
      return
    }
    result.damaged.push({ uuid: blob.uuid, reason: damage })
    progress.note(`${blob.uuid} is damaged and was not copied: ${damage}`)
  })
  progress.end()
  return result
}

async function* blobsOf({ db }: Parts): AsyncGenerator<BlobRow> {
  for (let after = ''; ; ) {
    const page = await db.read
      .selectFrom('blobs')
      .selectAll()
      .where('uuid', '>', after)
      .where('state', '<>', deleted)
      .orderBy('uuid')
      .limit(pageSize)
      .execute()
    yield* page
    if (page.length === 0) return
    after = page.at(-1)!.uuid
  }
}

/** Runs `work` for each item, a bounded number at a time. After a failure nothing new begins, and it is thrown when all have ended. */
const eachAtOnce = async <T>(
  items: AsyncGenerator<T>,
  signal: AbortSignal,
  work: (item: T) => Promise<void>,
): Promise<void> => {
  let hasFailed = false
  const run = async () => {
    for (;;) {
      signal.throwIfAborted()
      if (hasFailed) return
      const next = await items.next()
      if (next.done) return
      await work(next.value).catch((error) => {
        hasFailed = true
        throw error
      })
    }
  }
  const results = await Promise.allSettled(Array.from({ length: atOnce }, run))
  const failure = results.find((result) => result.status === 'rejected')
  if (failure) throw failure.reason
}

/** Copies one blob; answers what is wrong with its bytes, if anything. */
const copyBlob = async (
  { source, target, isRepeated, signal, progress }: CopyBlobsOptions,
  blob: BlobRow,
): Promise<string | undefined> => {
  if (isRepeated && (await target.store.blobs.stat(blob.uuid))?.size === blob.size) {
    progress.add(blob.size)
    return undefined
  }
  let reader: BlobReader
  try {
    reader = await source.blobs.open(blob.uuid)
  } catch (error) {
    return damageIn(error)
  }
  const file = await localFile(source, target, blob.uuid)
  let counted = 0
  try {
    const digest = await source.hash.digest(await file.fill(reader), {
      signal,
      onProgress(bytes) {
        progress.add(bytes - counted)
        counted = bytes
      },
    })
    const damage = damageOf(blob, digest)
    if (damage !== undefined) return damage
    await file.finish()
    await put(target, blob, file, digest)
    return undefined
  } catch (error) {
    return damageIn(error)
  } finally {
    await reader.close()
    await file.drop()
  }
}

/** What the store says of damaged bytes; anything else is no damage, and is thrown. */
const damageIn = (error: unknown): string => {
  if (isHoldfastError(error, 'blob_damaged')) return 'its file is missing or cannot be read'
  throw error
}

/** The bytes of a blob as a local file, for the time of its copying. */
interface LocalFile {
  readonly path: string
  /** What has to be read to the end before the file is good. */
  fill(reader: BlobReader): Promise<ByteSource>
  /** All has been read: the file is on stable storage. */
  finish(): Promise<void>
  /** Removes it, unless it is the old store's or has become a blob. */
  drop(): Promise<void>
}

const localFile = async (source: Parts, target: Target, uuid: string): Promise<LocalFile> => {
  const isOnDisk = !hasOwnBlobStore(source.config)
  const original = dataPaths(source.config.dataDir).blob(uuid)
  const nothing = async () => {}
  if (isOnDisk && target.store.send)
    return { path: original, fill: async (reader) => reader, finish: nothing, drop: nothing }

  const path = join(target.arriving, uuid)
  const drop = () => rm(path, { force: true })
  await drop()
  if (isOnDisk && (await linkFile(original, path)))
    return { path, fill: async (reader) => reader, finish: nothing, drop }

  const file = await realFiles.open(path, 'create')
  return {
    path,
    fill: async (reader) => ({
      size: reader.size,
      async read(bytes, position) {
        const count = await reader.read(bytes, position)
        await file.write(bytes.subarray(0, count), position)
        return count
      },
    }),
    finish: () => file.sync(),
    async drop() {
      await file.close()
      await drop()
    },
  }
}

const put = async (
  { store }: Target,
  { uuid, size }: BlobRow,
  { path }: LocalFile,
  { blockSums }: FileDigest,
): Promise<void> => {
  if (store.send) return store.send(uuid, path, size, { blockSums })
  await store.blobs.adopt(uuid, path, { blockSums })
}

/** The bytes of a blob in quarantine, if the old store still has them: for people to look at. */
const copyAside = async (
  { source, target, signal, progress }: CopyBlobsOptions,
  { uuid, size }: BlobRow,
): Promise<void> => {
  progress.add(size)
  if (await target.store.blobs.statQuarantined(uuid)) return
  const aside = await source.blobs.statQuarantined(uuid)
  if (!aside) return
  const reader = await source.blobs.openQuarantined(uuid)
  const path = join(target.arriving, uuid)
  await rm(path, { force: true })
  const file = await realFiles.open(path, 'create')
  try {
    const buffer = Buffer.allocUnsafe(1024 * 1024)
    for (let at = 0; at < reader.size; ) {
      signal.throwIfAborted()
      const count = await reader.read(buffer, at)
      if (count === 0) break
      await file.write(buffer.subarray(0, count), at)
      at += count
    }
    await file.sync()
    const copied = await file.size()
    // An earlier run may have come as far as this.
    await target.store.blobs.remove(uuid)
    if (target.store.send) await target.store.send(uuid, path, copied)
    else await target.store.blobs.adopt(uuid, path)
    await target.store.blobs.quarantine(uuid)
  } catch (error) {
    if (!isHoldfastError(error, 'blob_damaged')) throw error
    progress.note(`${uuid}, which is in quarantine, cannot be read: its bytes were not copied`)
  } finally {
    await reader.close()
    await file.close()
    await rm(path, { force: true })
  }
}

/** The directory for files that are on their way; on the file system of the blobs. */
export const makeArriving = async (dataDir: string): Promise<string> => {
  const path = join(dataPaths(dataDir).uploads, 'arriving')
  await rm(path, { recursive: true, force: true })
  await realFiles.makeDirectory(path)
  await realFiles.syncDirectory(dirname(path))
  return path
}
