import { dirname, join, relative } from 'node:path'
import { HoldfastError } from '@holdfast/api/errors'
import type { BlobFacts, BlobReader, BlobStore } from './blob-store.ts'
import { sumBlocks } from './block-crcs.ts'
import type { BlockReader, SharedBytes } from './block-reader.ts'
import { errnoOf, type FileOps, type OpenFile, realFiles } from './files.ts'
import { storageError } from './free-space.ts'
import { dataPaths, isFileUuid } from './paths.ts'
import { unlinkIfThere } from './whole-file.ts'

const asStorageError = (error: unknown): never => {
  throw storageError(error)
}

/**
 * Blobs as files under the data directory (paths.ts), on the same filesystem as the uploads. With `blocks`, reads that want a
 * checksum are left to its threads.
 */
export const openDiskStore = async (
  dataDir: string,
  files: FileOps = realFiles,
  blocks?: BlockReader,
): Promise<BlobStore> => {
  const paths = dataPaths(dataDir)
  await files.makeDirectory(paths.quarantine)
  await files.makeDirectory(paths.blobs)
  await files.syncDirectory(paths.root)

  const made = new Map<string, Promise<void>>()
  /** Makes the directory of a blob, once; on stable storage before a blob may lie in it. */
  const makeBlobDirectory = (uuid: string): Promise<void> => {
    const directory = paths.blobDirectory(uuid)
    const make = async () => {
      await files.makeDirectory(directory)
      await files.syncDirectory(paths.blobs)
    }
    const making = made.get(directory) ?? make()
    made.set(directory, making)
    // The next blob tries again.
    making.catch(() => made.delete(directory))
    return making
  }

  /**
   * Moves a file durably; the new name is on stable storage before the old one is let go. When that fails the file
   * goes back, so that its owner finds it where it was.
   */
  const move = async (from: string, to: string): Promise<void> => {
    await files.rename(from, to).catch(async (error) => {
      // A failure may come after the deed, but not this one.
      if (errnoOf(error) !== 'ENOENT' && !(await files.stat(from)) && (await files.stat(to)))
        await files.rename(to, from).catch(asStorageError)
      throw storageError(error)
    })
    try {
      await files.syncDirectory(dirname(to))
      await files.syncDirectory(dirname(from))
    } catch (error) {
      await files.rename(to, from).catch(asStorageError)
      throw storageError(error)
    }
  }

  /** Moves `from` to `to` unless that was done before; see the contract of `adopt` for what else may be found. */
  const moveOnce = async (from: string, to: string): Promise<void> => {
    const [source, target] = await Promise.all([files.stat(from), files.stat(to)])
    if (source && target) throw Object.assign(new Error(`both ${from} and ${to} exist`), { code: 'EEXIST' })
    if (!source && !target)
      throw Object.assign(new Error(`neither ${from} nor ${to} exists`), { code: 'ENOENT' })
    if (source) return move(from, to)
    // The rename was done before, but perhaps a crash or an error came between it and these.
    await files.syncDirectory(dirname(to))
    await files.syncDirectory(dirname(from))
  }

  const syncFile = async (path: string): Promise<void> => {
    const file = await files.open(path, 'write')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
  }

  /**
   * Also when the name is gone already: an earlier try may have removed it and not come to the flush, and the file
   * would be back after a power cut, when nobody looks for it any more.
   */
  const removeFile = async (path: string): Promise<void> => {
    await unlinkIfThere(files, path).catch(asStorageError)
    try {
      await files.syncDirectory(dirname(path))
    } catch (error) {
      // The directory of a blob that never was.
      if (errnoOf(error) !== 'ENOENT') throw storageError(error)
    }
  }

  const factsOf = async (uuid: string): Promise<BlobFacts | undefined> => {
    const facts = await files.stat(paths.blob(uuid))
    return facts && { uuid, ...facts }
  }

  const openFile = async (uuid: string, path: string): Promise<BlobReader> => {
    const file = await files.open(path, 'read').catch((error) => {
      throw readFailure(uuid, error)
    })
    try {
      return blobReader(uuid, file, await file.size(), blocks)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  return {
    async adopt(uuid, sourcePath) {
      const target = paths.blob(uuid)
      await makeBlobDirectory(uuid).catch(asStorageError)
      if (await files.stat(sourcePath)) await syncFile(sourcePath).catch(asStorageError)
      await moveOnce(sourcePath, target)
    },

    giveBack: async (uuid, path) => moveOnce(paths.blob(uuid), path),

    stat: factsOf,

    open: async (uuid) => openFile(uuid, paths.blob(uuid)),

    async remove(uuid) {
      await removeFile(paths.blob(uuid))
      await removeFile(paths.quarantined(uuid))
    },

    async *list() {
      for (const prefix of (await files.list(paths.blobs)).sort()) {
        if (!/^[0-9a-f]{2}$/.test(prefix)) continue
        for (const name of await files.list(join(paths.blobs, prefix))) {
          const facts = isFileUuid(name) && name.startsWith(prefix) ? await factsOf(name) : undefined
          if (facts) yield facts
        }
      }
    },

    async quarantine(uuid) {
      try {
        await move(paths.blob(uuid), paths.quarantined(uuid))
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error
      }
    },

    async restore(uuid) {
      const [blob, aside] = await Promise.all([paths.blob(uuid), paths.quarantined(uuid)].map(files.stat))
      if (aside && !blob) await move(paths.quarantined(uuid), paths.blob(uuid))
    },

    dropQuarantined: async (uuid) => removeFile(paths.quarantined(uuid)),

    async statQuarantined(uuid) {
      const facts = await files.stat(paths.quarantined(uuid))
      return facts && { uuid, ...facts }
    },

    openQuarantined: async (uuid) => openFile(uuid, paths.quarantined(uuid)),

    async *listQuarantined() {
      for (const uuid of await files.list(paths.quarantine)) {
        const facts = isFileUuid(uuid) && (await files.stat(paths.quarantined(uuid)))
        if (facts) yield { uuid, ...facts }
      }
    },

    pathOf: (uuid) => relative(paths.blobs, paths.blob(uuid)),

    // A file becomes a blob in one step.
    sweep: async () => 0,
  }
}

/** What the process or the machine is short of says nothing about the file. */
const shortages: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EINTR'])

const readFailure = (uuid: string, error: unknown): unknown =>
  shortages.has(errnoOf(error))
    ? error
    : new HoldfastError('blob_damaged', { detail: { blob_uuid: uuid }, cause: error })

const isShared = (bytes: Uint8Array): bytes is SharedBytes => bytes.buffer instanceof SharedArrayBuffer

const blobReader = (uuid: string, file: OpenFile, size: number, blocks?: BlockReader): BlobReader => {
  let closed: Promise<void> | undefined
  const read = async (target: Uint8Array, position: number): Promise<number> => {
    try {
      return await file.read(target, position)
    } catch (error) {
      throw readFailure(uuid, error)
    }
  }
  return {
    uuid,
    size,
    read,
    async readSummed(target, position) {
      const byThread =
        file.fd !== undefined && isShared(target)
          ? // What the thread could not read is read again here, where failures are told apart.
            await blocks?.read(file.fd, target, position).catch(() => undefined)
          : undefined
      if (byThread) return byThread
      return sumBlocks(target.subarray(0, await read(target, position)))
    },
    close() {
      closed ??= file.close()
      return closed
    },
  }
}
