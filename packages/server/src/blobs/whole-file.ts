import { dirname } from 'node:path'
import { errnoOf, type FileOps, realFiles } from './files.ts'

/**
 * Makes or replaces a small file, readable by its owner only, and puts it on stable storage. Readers find the old
 * content or the new, and so does whoever comes after a crash or a power cut: the bytes are durable before they get
 * the name. On failure the old file is as it was.
 */
export const writeWhole = async (
  path: string,
  content: Uint8Array,
  files: FileOps = realFiles,
): Promise<void> => {
  const temporary = unfinished(path)
  await dropUnfinished(path, files)
  try {
    const file = await files.open(temporary, 'create')
    try {
      await file.write(content, 0)
      await file.sync()
    } finally {
      await file.close()
    }
    await files.rename(temporary, path)
  } catch (error) {
    await files.unlink(temporary).catch(() => {})
    throw error
  }
  await files.syncDirectory(dirname(path))
}

/** Removes what a crash may have left of an attempt to write `path`; not an error when there is nothing. */
export const dropUnfinished = (path: string, files: FileOps = realFiles): Promise<void> =>
  unlinkIfThere(files, unfinished(path))

/** Where `writeWhole` writes before it has all. */
export const unfinished = (path: string): string => `${path}.new`

/** Removes a name; not an error when it is gone. Durable only after `syncDirectory` of the parent. */
export const unlinkIfThere = async (files: FileOps, path: string): Promise<void> => {
  try {
    await files.unlink(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}
