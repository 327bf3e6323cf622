/**
 * A consistent copy of the store, made while it works.
 *
 * **Why it is consistent.** The database is copied first, in one read transaction. Every blob that the copy names was
 * committed before, so its file has been there since before that commit. Blobs are immutable, and one may only go when its
 * row has been marked deleted; collection is kept from unlinking any of them (removal-hold.ts) from before the database
 * is copied until the blob has been taken. What is stored later is not in the copy, and not in the backup.
 *
 * **The order of steps**, and what a crash after each leaves:
 * 1. `unfinished.json`: a backup has begun. The one before is untouched until step 5.
 * 2. the database under a name of its own; a stray file, which the next backup here removes.
 * 3. blobs, each whole and durable before it has its name; directories synced. Blobs too many, which the next one keeps.
 * 4. the secrets, replaced one by one: they are the same ones, unless somebody had them made anew.
 * 5. `backup.json`, in one step: **from here on this backup is the one that is restored**.
 * 6. blobs and databases that it does not name go; then `unfinished.json`. Strays, which the next one removes.
 *
 * Unfinished uploads are not in a backup: their clients still have the bytes and begin anew.
 */
import { randomUUID } from 'node:crypto'
import { lstat, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type FileOps, realFiles } from '../blobs/files.ts'
import { dataPaths } from '../blobs/paths.ts'
import { unfinished, unlinkIfThere, writeWhole } from '../blobs/whole-file.ts'
import { holdRemovals } from '../domain/removal-hold.ts'
import type { Parts } from '../parts.ts'
import { type BackupFigures, placeBlobs, pruneBlobs } from './backup-blobs.ts'
import { openCopiedDatabase } from './copied-database.ts'
import {
  BackupError,
  type BackupManifest,
  backupFormat,
  backupPaths,
  databaseName,
  readIfThere,
  readManifest,
  removeDurably,
} from './format.ts'

export type BackupPhase = 'database' | 'blobs' | 'finishing'

export interface BackupWork {
  /** Made when absent; else it has to be a backup of this store. */
  readonly directory: string
  readonly storeId: string
  readonly figures: BackupFigures
  readonly signal: AbortSignal
  /** For tests that listen to its steps. */
  readonly files?: FileOps
  onPhase(phase: BackupPhase): void
}

/** Makes or renews a backup. Throws `BackupError` when the directory holds something else. */
export const makeBackup = async (parts: Parts, work: BackupWork): Promise<BackupManifest> => {
  const { directory, storeId, figures, signal, files = realFiles } = work
  const paths = backupPaths(directory)
  const previous = await prepareDirectory(files, directory, storeId)
  const id = randomUUID()
  const startedAt = parts.clock.now()
  await writeWhole(paths.unfinished, describe({ id, store: storeId, started_at: startedAt }), files)
  await removeDatabases(files, directory, previous?.database)

  const hold = holdRemovals(parts)
  let database: ReturnType<typeof openCopiedDatabase> | undefined
  try {
    work.onPhase('database')
    await parts.db.backupTo!(paths.database(id))
    database = openCopiedDatabase(paths.database(id))
    work.onPhase('blobs')
    await placeBlobs({
      parts,
      directory,
      files,
      database,
      hold,
      previousAt: previous?.started_at ?? 0,
      figures,
      signal,
    })
    hold.release()

    work.onPhase('finishing')
    await copySecrets(files, parts, directory)
    const { size, sha512 } = await digestOf(parts, paths.database(id), signal)
    const manifest: BackupManifest = {
      format: backupFormat,
      id,
      store: storeId,
      node: parts.config.nodeName,
      started_at: startedAt,
      ended_at: parts.clock.now(),
      database: basename(paths.database(id)),
      database_size: size,
      database_sha512: sha512,
      blobs: figures.blobs_total,
      bytes: figures.bytes_total,
      damaged_blobs: figures.damaged_blobs,
      damaged: figures.damaged,
    }
    await writeWhole(paths.manifest, describe(manifest), files)
    figures.removed_blobs = await pruneBlobs(directory, database, signal, files)
    await removeDatabases(files, directory, manifest.database)
    await removeDurably(paths.unfinished, files)
    return manifest
  } finally {
    hold.release()
    database?.close()
  }
}

const describe = (content: object): Buffer => Buffer.from(`${JSON.stringify(content, null, 2)}\n`)

/** The newest finished backup in the directory, if it is one of this store. */
const prepareDirectory = async (
  files: FileOps,
  directory: string,
  storeId: string,
): Promise<BackupManifest | undefined> => {
  // A link could lead anywhere.
  const found = await lstat(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (!found) {
    await files.makeDirectory(directory)
    await files.syncDirectory(dirname(directory))
    return undefined
  }
  if (!found.isDirectory()) throw new BackupError(`${directory} is not a directory`)
  const previous = await readManifest(directory)
  // All that there is when a first backup was cut short in its first step.
  const firstFile = basename(unfinished(backupPaths(directory).unfinished))
  const store = previous?.store ?? (await storeOfUnfinished(directory))
  if (store === undefined && (await files.list(directory)).some((name) => name !== firstFile))
    throw new BackupError(`${directory} holds something that is not a backup`)
  if (store !== undefined && store !== storeId)
    throw new BackupError(`${directory} holds the backup of another store`)
  return previous
}

const storeOfUnfinished = async (directory: string): Promise<string | undefined> => {
  const text = await readIfThere(backupPaths(directory).unfinished)
  try {
    return text === undefined ? undefined : (JSON.parse(text) as { store?: string }).store
  } catch {
    return undefined
  }
}

/** Removes databases that no finished backup needs, but for one. */
const removeDatabases = async (
  files: FileOps,
  directory: string,
  except: string | undefined,
): Promise<void> => {
  for (const name of await files.list(directory))
    if (name !== except && (databaseName.test(name) || name.endsWith('.new')))
      await unlinkIfThere(files, join(directory, name))
}

/** Without them every token would be void, and `system` would get another first key. */
const copySecrets = async (files: FileOps, parts: Parts, directory: string): Promise<void> => {
  const { tokenKey, systemKey } = dataPaths(parts.config.dataDir)
  for (const from of [tokenKey, systemKey]) {
    const content = await readFile(from).catch((error: NodeJS.ErrnoException) => {
      // Absent when the settings name the key.
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    const to = join(directory, basename(from))
    if (content !== undefined) await writeWhole(to, content, files)
    else await removeDurably(to, files)
  }
}

const digestOf = async (
  parts: Parts,
  path: string,
  signal: AbortSignal,
): Promise<{ size: number; sha512: string }> => {
  const file = await realFiles.open(path, 'read')
  try {
    const size = await file.size()
    return await parts.hash.digest({ size, read: (target, at) => file.read(target, at) }, { signal })
  } finally {
    await file.close()
  }
}
