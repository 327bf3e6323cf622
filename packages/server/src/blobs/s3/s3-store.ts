/**
 * Blobs as objects of an S3-compatible store. A blob is one object under its UUID; nothing is kept beside it: checksums and
 * digests are in SQL, as with blobs on disk.
 *
 * **Adopting** sends what part-sender.ts has not sent yet, and keeps the local file, under the name that `keptPath` gives,
 * until its owner removes it: so `giveBack`, after a conversion that failed at its end, costs nothing. Only a
 * file that is gone is fetched from the store.
 */
import { HoldfastError } from '@holdfast/api/errors'
import { blockSize } from '@holdfast/api/limits'
import type { BlobFacts, BlobReader, BlobStore } from '../blob-store.ts'
import { type FileOps, realFiles } from '../files.ts'
import { storageError } from '../free-space.ts'
import type { UploadAhead } from '../upload-file.ts'
import { unlinkIfThere } from '../whole-file.ts'
import { PartSender } from './part-sender.ts'
import type { S3Connection } from './s3-connection.ts'
import { isFromStore, isSumRefused, storeAway } from './s3-errors.ts'
import { s3Names } from './s3-names.ts'
import { findObject, listObjects, moveObject, type ObjectFacts, removeObject } from './s3-objects.ts'
import { s3Reader } from './s3-reader.ts'

export interface S3StoreOptions {
  readonly connection: S3Connection
  /** Before all names; empty, or ending in a slash. */
  readonly prefix: string
  readonly files?: FileOps | undefined
  readonly warn?: ((message: string, facts: Record<string, unknown>) => void) | undefined
}

export interface S3Store extends BlobStore {
  readonly parts: PartSender
  readonly ahead: UploadAhead
}

/** Where a local file is kept that has become a blob. */
export const keptPath = (path: string): string => `${path.replace(/\.data$/, '')}.sent`

/** Opens the store. Throws unless the bucket is there and can be written to. */
export const openS3Store = async (options: S3StoreOptions): Promise<S3Store> => {
  const { connection, files = realFiles, warn = () => {} } = options
  const names = s3Names(options.prefix)
  const sums = await findSums(connection, names.probe)
  const parts = new PartSender({ connection, names, files, sums, warn })

  /**
   * Adoptions that failed: the store may have the object nevertheless, of bytes that may have been cut since. It goes with the
   * next adoption, with the upload, or with the next start, which looks at every upload there is.
   */
  const unsettled = new Set<string>()

  const blobAt = (uuid: string) => findObject(connection, names.blob(uuid))
  const toFacts = (object: ObjectFacts): BlobFacts | undefined => {
    const uuid = names.uuidOf(object.key)
    return uuid === undefined ? undefined : { uuid, size: object.size, modifiedAt: object.modifiedAt }
  }
  async function* list(prefix: string): AsyncGenerator<BlobFacts> {
    for await (const object of listObjects(connection, prefix)) {
      const facts = toFacts(object)
      if (facts) yield facts
    }
  }

  const giveBack = async (uuid: string, path: string): Promise<void> => {
    const kept = keptPath(path)
    const [blob, file, keptFile] = await Promise.all([blobAt(uuid), files.stat(path), files.stat(kept)])
    if (blob && file) throw Object.assign(new Error(`both ${blob.key} and ${path} exist`), { code: 'EEXIST' })
    if (!blob && !file)
      throw Object.assign(new Error(`neither ${names.blob(uuid)} nor ${path} exists`), { code: 'ENOENT' })
    if (!blob) return
    if (keptFile?.size !== blob.size) await fetchTo(blob, uuid, kept)
    // Back first: after a crash between the two, the start finds both, and the bytes count that are here.
    await files.rename(kept, path)
    await removeObject(connection, blob.key).catch(async (error) => {
      await files.rename(path, kept)
      throw error
    })
  }

  const fetchTo = async (blob: ObjectFacts, uuid: string, path: string): Promise<void> => {
    const reader = s3Reader(connection, uuid, blob)
    await unlinkIfThere(files, path)
    const file = await files.open(path, 'create')
    try {
      const buffer = Buffer.allocUnsafe(blockSize)
      for (let at = 0; at < blob.size; ) {
        const count = await reader.read(buffer, at)
        await file.write(buffer.subarray(0, count), at)
        at += count
      }
      await file.sync()
    } finally {
      await file.close()
      await reader.close()
    }
  }

  const openObject = async (uuid: string, key: string): Promise<BlobReader> => {
    const object = await findObject(connection, key)
    if (object) return s3Reader(connection, uuid, object)
    throw new HoldfastError('blob_damaged', {
      detail: { blob_uuid: uuid },
      cause: new Error('the store has no such object'),
    })
  }

  const store: BlobStore = {
    async adopt(uuid, sourcePath, expected) {
      const [source, blob] = await Promise.all([files.stat(sourcePath), blobAt(uuid)])
      if (source && blob && !unsettled.has(uuid))
        throw Object.assign(new Error(`both ${sourcePath} and ${blob.key} exist`), { code: 'EEXIST' })
      if (!source && !blob)
        throw Object.assign(new Error(`neither ${sourcePath} nor the blob ${uuid} exists`), {
          code: 'ENOENT',
        })
      if (!source) return
      if (blob) await removeObject(connection, blob.key)
      unsettled.add(uuid)
      await parts.complete(uuid, sourcePath, source.size, expected)
      await files.rename(sourcePath, keptPath(sourcePath))
      unsettled.delete(uuid)
    },

    giveBack,

    async stat(uuid) {
      const blob = await blobAt(uuid)
      return blob && toFacts(blob)
    },

    open: async (uuid) => openObject(uuid, names.blob(uuid)),

    async remove(uuid) {
      unsettled.delete(uuid)
      await removeObject(connection, names.blob(uuid))
      await removeObject(connection, names.quarantined(uuid))
    },

    list: () => list(names.blobs),

    quarantine: async (uuid) => moveObject(connection, names.blob(uuid), names.quarantined(uuid)),

    async restore(uuid) {
      if (!(await blobAt(uuid))) await moveObject(connection, names.quarantined(uuid), names.blob(uuid))
    },

    dropQuarantined: async (uuid) => removeObject(connection, names.quarantined(uuid)),

    async statQuarantined(uuid) {
      const object = await findObject(connection, names.quarantined(uuid))
      return object && toFacts(object)
    },

    openQuarantined: async (uuid) => openObject(uuid, names.quarantined(uuid)),

    listQuarantined: () => list(names.quarantine),

    linkTo: async (uuid, seconds, disposition) => connection.linkTo(names.blob(uuid), seconds, disposition),

    sweep: (isKept) => parts.sweep(isKept),
  }
  const ahead: UploadAhead = {
    grown: (uuid, path, size) => parts.grown(uuid, path, size),
    cut: (uuid, size) => parts.cut(uuid, size),
    async settle(uuid) {
      if (!unsettled.has(uuid)) return
      await removeObject(connection, names.blob(uuid)).catch(say)
      unsettled.delete(uuid)
    },
    gone: (uuid) => parts.gone(uuid),
  }
  return { ...inWords(store), parts, ahead }
}

/**
 * What the store compares bodies with. A wrong CRC-32 that goes unnoticed means that it knows none of the newer checksums;
 * all know MD5.
 */
const findSums = ({ bucket: Bucket, call }: S3Connection, Key: string): Promise<'crc32' | 'md5'> =>
  call(async (s3, options) => {
    const Body = Buffer.from('Holdfast asks whether this store compares checksums.\n')
    try {
      await s3.putObject({ Bucket, Key, Body, ChecksumCRC32: 'AAAAAA==' }, options)
      return 'md5'
    } catch (error) {
      if (isSumRefused(error)) return 'crc32'
      throw error
    }
  })

/** Throws an error that callers know: those of the interface, and `blob_store_unavailable`. */
const say = (error: unknown): never => {
  throw isFromStore(error) ? storeAway(error) : storageError(error)
}

/** The same store, of which all errors are such. */
const inWords = (store: BlobStore): BlobStore => {
  async function* listInWords(facts: AsyncIterable<BlobFacts>) {
    try {
      yield* facts
    } catch (error) {
      say(error)
    }
  }
  return {
    adopt: (uuid, path, expected) => store.adopt(uuid, path, expected).catch(say),
    giveBack: (uuid, path) => store.giveBack(uuid, path).catch(say),
    stat: (uuid) => store.stat(uuid).catch(say),
    open: (uuid) => store.open(uuid).catch(say),
    remove: (uuid) => store.remove(uuid).catch(say),
    list: () => listInWords(store.list()),
    quarantine: async (uuid) => store.quarantine(uuid).catch(say),
    restore: (uuid) => store.restore(uuid).catch(say),
    dropQuarantined: (uuid) => store.dropQuarantined(uuid).catch(say),
    statQuarantined: (uuid) => store.statQuarantined(uuid).catch(say),
    openQuarantined: (uuid) => store.openQuarantined(uuid).catch(say),
    listQuarantined: () => listInWords(store.listQuarantined()),
    linkTo: (uuid, seconds, disposition) => store.linkTo!(uuid, seconds, disposition).catch(say),
    sweep: (isKept) => store.sweep(isKept).catch(say),
  }
}
