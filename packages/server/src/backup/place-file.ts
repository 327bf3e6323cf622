/**
 * Brings one immutable file to another place: under its name there it is either whole and durable, or not there.
 */
import type { Hash } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, type FileHandle, open, rename, rm } from 'node:fs/promises'
import { errnoOf, type FileOps, realFiles } from '../blobs/files.ts'
import { unlinkIfThere } from '../blobs/whole-file.ts'

const bufferSize = 4 * 1024 * 1024

/** The file to be copied is missing, has another size, or cannot be read: the target is not to blame. */
export class SourceError extends Error {
  override readonly name = 'SourceError'
}

/**
 * Gives the file a second name at `to`, replacing what is there. False where the file system cannot (another one,
 * too many names, no such thing). The name is durable after its directory was synced.
 */
export const linkFile = async (from: string, to: string, files: FileOps = realFiles): Promise<boolean> => {
  const temporary = `${to}.new`
  await unlinkIfThere(files, temporary)
  try {
    await files.link(from, temporary)
  } catch (error) {
    if (['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(errnoOf(error) ?? ''))
      return false
    if (errnoOf(error) === 'ENOENT') throw new SourceError(`${from} is missing`, { cause: error })
    throw error
  }
  await files.rename(temporary, to)
  // To rename one name of a file over another one of the same file does nothing.
  await unlinkIfThere(files, temporary)
  return true
}

export interface CopyOptions {
  /** What the file must have; another size is a `SourceError`. */
  readonly size: number
  readonly signal: AbortSignal
  /** Told of every so many bytes written. */
  readonly onBytes?: ((count: number) => void) | undefined
  /** Is given the bytes; called again, what it has got before counts no more. */
  readonly hash?: Hash | undefined
  /** Looks at the copy before it gets its name; throwing leaves nothing. */
  readonly accept?: (() => void) | undefined
}

/**
 * Copies a file, replacing what is at `to`; its bytes are on stable storage before it has that name. The name is durable
 * after its directory was synced. File systems that can share blocks do.
 */
export const copyDurably = async (from: string, to: string, options: CopyOptions): Promise<void> => {
  const temporary = `${to}.new`
  await rm(temporary, { force: true })
  try {
    const source = await open(from, 'r').catch((error) => {
      throw new SourceError(`${from} cannot be opened`, { cause: error })
    })
    try {
      const { size } = await source.stat()
      if (size !== options.size) throw new SourceError(`${from} has ${size} bytes instead of ${options.size}`)
      const isShared = options.hash === undefined && (await shareBlocks(from, temporary))
      const target = await open(temporary, isShared ? 'r+' : 'wx', 0o600)
      try {
        if (isShared) await target.chmod(0o600)
        else await copyBytes(source, target, options)
        await target.sync()
      } finally {
        await target.close()
      }
      if (isShared) options.onBytes?.(size)
    } finally {
      await source.close()
    }
    options.accept?.()
    await rename(temporary, to)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

const shareBlocks = async (from: string, to: string): Promise<boolean> => {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL)
    return true
  } catch {
    await rm(to, { force: true })
    return false
  }
}

const copyBytes = async (
  source: FileHandle,
  target: FileHandle,
  { size, signal, onBytes, hash }: CopyOptions,
): Promise<void> => {
  const buffer = Buffer.allocUnsafe(Math.min(bufferSize, Math.max(size, 1)))
  for (let position = 0; position < size; ) {
    signal.throwIfAborted()
    const { bytesRead } = await source.read(buffer, 0, buffer.length, position).catch((error) => {
      throw new SourceError(`${error.message}`, { cause: error })
    })
    if (bytesRead === 0) throw new SourceError(`the file ends after ${position} of ${size} bytes`)
    const bytes = buffer.subarray(0, bytesRead)
    hash?.update(bytes)
    for (let written = 0; written < bytesRead; )
      written += (await target.write(bytes, written, bytesRead - written, position + written)).bytesWritten
    position += bytesRead
    onBytes?.(bytesRead)
  }
}
