/**
 * What a backup looks like on the disk: docs/decisions/0017-backups.md says why.
 *
 * ```
 * <backup>/                  mode 0700
 *   backup.json              which database belongs to the newest finished backup; without it there is none
 *   unfinished.json          a backup has begun and not ended
 *   holdfast-<id>.db         metadata
 *   blobs/<xx>/<uuid>        the bytes of every blob that the database names
 *   token.key, system.key    as in the data directory, mode 0600
 * ```
 *
 * A repetition adds blobs and a database of its own beside the old one, then replaces `backup.json` in one step, and only
 * then removes what the new database does not name. So at every moment there is either no finished backup or a whole one.
 */
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type FileOps, realFiles } from '../blobs/files.ts'
import { dataPaths } from '../blobs/paths.ts'
import { unlinkIfThere } from '../blobs/whole-file.ts'

export const backupFormat = 1

/** A blob of which a backup has no good bytes. */
export interface DamagedBlob {
  readonly uuid: string
  readonly reason: string
}

/** The content of `backup.json`. */
export interface BackupManifest {
  readonly format: typeof backupFormat
  readonly id: string
  /** The store's own id: another store's backup is not overwritten. */
  readonly store: string
  readonly node: string
  /** When the database was copied, and when all was on stable storage; ms since 1970. */
  readonly started_at: number
  readonly ended_at: number
  /** File name, size and SHA-512 of the database. */
  readonly database: string
  readonly database_size: number
  readonly database_sha512: string
  readonly blobs: number
  readonly bytes: number
  readonly damaged_blobs: number
  /** The first of them. */
  readonly damaged: readonly DamagedBlob[]
}

/** Paths under a backup's directory. */
export const backupPaths = (directory: string) => {
  const { blobs, blob, blobDirectory, tokenKey, systemKey } = dataPaths(directory)
  return {
    manifest: join(directory, 'backup.json'),
    unfinished: join(directory, 'unfinished.json'),
    database: (id: string) => join(directory, `holdfast-${id}.db`),
    blobs,
    blob,
    blobDirectory,
    secrets: [tokenKey, systemKey],
  }
}

export const databaseName = /^holdfast-[0-9a-f-]{36}\.db$/

/** Something about a backup that a person has to change; the message says what. */
export class BackupError extends Error {
  override readonly name = 'BackupError'
}

/** The manifest in a directory; undefined without one. Throws `BackupError` for one that cannot be understood. */
export const readManifest = async (directory: string): Promise<BackupManifest | undefined> => {
  const { manifest } = backupPaths(directory)
  const text = await readIfThere(manifest)
  if (text === undefined) return undefined
  let found: Partial<BackupManifest>
  try {
    found = JSON.parse(text) as Partial<BackupManifest>
  } catch (error) {
    throw new BackupError(`${manifest} is damaged: it is not JSON`, { cause: error })
  }
  if (found.format !== backupFormat)
    throw new BackupError(`${manifest} is of format ${found.format}; this version knows ${backupFormat} only`)
  const isWhole =
    [found.id, found.store, found.database_sha512].every((value) => typeof value === 'string') &&
    [found.started_at, found.database_size, found.blobs].every((value) => Number.isSafeInteger(value)) &&
    typeof found.database === 'string' &&
    databaseName.test(found.database)
  if (!isWhole) throw new BackupError(`${manifest} is damaged: something is missing in it`)
  return found as BackupManifest
}

/** Text of a file, or undefined. */
export const readIfThere = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Removes a file durably; not an error when it is not there. */
export const removeDurably = async (path: string, files: FileOps = realFiles): Promise<void> => {
  await unlinkIfThere(files, path)
  await files.syncDirectory(dirname(path))
}
