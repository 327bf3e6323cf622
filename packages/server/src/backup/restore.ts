/**
 * Brings a backup back, into a data directory of its own that holds nothing yet.
 *
 * The order of steps: a marker, `restoring.json`, with which no server starts; blobs and secrets; last the database, under
 * its name in one step; then the marker goes. What is interrupted can be repeated, and keeps what is there already.
 * Nothing is ever written to the backup.
 */
import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { realFiles } from '../blobs/files.ts'
import { dataPaths } from '../blobs/paths.ts'
import { writeWhole } from '../blobs/whole-file.ts'
import type { Config } from '../config.ts'
import { lockDataDirectory } from '../db/lock.ts'
import { type CopiedBlob, type CopiedDatabase, openCopiedDatabase } from './copied-database.ts'
import {
  BackupError,
  type BackupManifest,
  backupPaths,
  type DamagedBlob,
  readIfThere,
  readManifest,
  removeDurably,
} from './format.ts'
import { copyDurably, SourceError } from './place-file.ts'
import { settleRestored } from './settle-restored.ts'
import { restoringFile } from './unfinished-restore.ts'

export interface RestoreOptions {
  readonly backup: string
  readonly config: Config
  readonly dataDir: string
  /** Compares every blob with its digest. Sizes, and the digest of the database, are always compared. */
  readonly verify: boolean
  /** Goes on although some blobs are damaged or missing; they will be in quarantine. */
  readonly allowDamage: boolean
  readonly signal: AbortSignal
  /** Words for people, now and then. */
  say(text: string): void
}

export interface RestoreReport {
  readonly manifest: BackupManifest
  readonly blobs: number
  readonly bytes: number
  readonly damaged: readonly DamagedBlob[]
}

/** Restores the newest finished backup. Throws `BackupError` for what a person has to decide or mend. */
export const restoreBackup = async (options: RestoreOptions): Promise<RestoreReport> => {
  const { backup, dataDir, say } = options
  const manifest = await findManifest(options)
  const database = backupPaths(backup).database(manifest.id)
  await checkDatabase(database, manifest)
  const copied = openCopiedDatabase(database)
  try {
    const faults = copied.faults()
    if (faults.length > 0)
      throw new BackupError(`the database of the backup is damaged: ${faults.join('; ')}`)
    const damaged = await checkSizes(options, copied)
    await checkTarget(dataDir, manifest)
    const lock = lockDataDirectory(dataDir)
    try {
      const marker = join(dataDir, restoringFile)
      await writeWhole(marker, Buffer.from(`${JSON.stringify({ backup: manifest.id })}\n`))
      const broken = new Map(damaged.map((blob) => [blob.uuid, blob.reason]))
      const totals = await restoreBlobs(options, copied, broken)
      await restoreSecrets(options)
      // Whoever renewed the backup meanwhile has removed blobs that this one names.
      if ((await readManifest(backup))?.id !== manifest.id)
        throw new BackupError('the backup was renewed while it was being restored: begin again')
      say('restoring the database')
      const list = [...broken].map(([uuid, reason]) => ({ uuid, reason }))
      await restoreDatabase(options, manifest, list)
      await removeDurably(marker)
      return { manifest, ...totals, damaged: list }
    } finally {
      lock.release()
    }
  } finally {
    copied.close()
  }
}

const findManifest = async ({ backup, say }: RestoreOptions): Promise<BackupManifest> => {
  const paths = backupPaths(backup)
  const manifest = await readManifest(backup)
  const unfinished = await readIfThere(paths.unfinished)
  if (!manifest) {
    throw new BackupError(
      unfinished === undefined
        ? `${backup} is not a backup: it has no backup.json`
        : `${backup} is a backup that was never finished`,
    )
  }
  if (unfinished !== undefined)
    say(`A later backup here was not finished; this is the one of ${timeOf(manifest.started_at)}.`)
  return manifest
}

const timeOf = (ms: number): string => new Date(ms).toISOString()

const checkDatabase = async (path: string, manifest: BackupManifest): Promise<void> => {
  const file = await realFiles.open(path, 'read').catch((error) => {
    throw new BackupError(`the backup's database cannot be opened: ${error.message}`)
  })
  try {
    const hash = createHash('sha512')
    const buffer = Buffer.allocUnsafe(1024 * 1024)
    let size = 0
    for (let count = -1; count !== 0; size += count) {
      count = await file.read(buffer, size)
      hash.update(buffer.subarray(0, count))
    }
    if (size !== manifest.database_size || hash.digest('hex') !== manifest.database_sha512)
      throw new BackupError(
        'the database of the backup is not the one that was written: the backup is damaged',
      )
  } finally {
    await file.close()
  }
}

function* allBlobs(database: CopiedDatabase): Generator<CopiedBlob> {
  for (let after = ''; ; ) {
    const page = database.blobsAfter(after, 500)
    yield* page
    if (page.length === 0) return
    after = page.at(-1)!.uuid
  }
}

/** Before anything is written: are all blobs there? */
const checkSizes = async (
  { backup, allowDamage }: RestoreOptions,
  database: CopiedDatabase,
): Promise<DamagedBlob[]> => {
  const paths = backupPaths(backup)
  const damaged: DamagedBlob[] = []
  for (const { uuid, size, state } of allBlobs(database)) {
    if (state === 'quarantined') continue
    const found = await realFiles.stat(paths.blob(uuid))
    if (found?.size === size) continue
    const reason = found ? `it has ${found.size} bytes instead of ${size}` : 'it is missing'
    damaged.push({ uuid, reason })
  }
  if (damaged.length > 0 && !allowDamage) throw damageError(damaged)
  return damaged
}

const damageError = (damaged: readonly DamagedBlob[]): BackupError =>
  new BackupError(
    [
      `${damaged.length} of the backup's blobs are damaged or missing. Look for another backup, or add --allow-damage to ` +
        'restore all others; these will be in quarantine until the same content is uploaded again:',
      ...damaged.slice(0, 20).map(({ uuid, reason }) => `  ${uuid}: ${reason}`),
      ...(damaged.length > 20 ? ['  ...'] : []),
    ].join('\n'),
  )

/** It has to be absent, or empty, or hold what an earlier restore of the same backup left. */
const checkTarget = async (dataDir: string, manifest: BackupManifest): Promise<void> => {
  const names = await readdir(dataDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const marker = await readIfThere(join(dataDir, restoringFile))
  if (marker !== undefined) {
    if (marker.includes(manifest.id)) return
    throw new BackupError(
      `${dataDir} holds what a restore of another backup left: repeat that one, or take another directory`,
    )
  }
  if (names.some((name) => name !== 'lock.db'))
    throw new BackupError(`${dataDir} is not empty: a backup is restored to a directory of its own`)
}

const restoreBlobs = async (
  options: RestoreOptions,
  database: CopiedDatabase,
  damaged: Map<string, string>,
): Promise<{ blobs: number; bytes: number }> => {
  const { backup, dataDir, signal, verify, allowDamage, say } = options
  const from = backupPaths(backup)
  const to = dataPaths(dataDir)
  const total = await database.totals()
  const done = { blobs: 0, bytes: 0 }
  let toldAt = performance.now()
  for (const directory of [to.blobs, to.quarantine, to.uploads]) await realFiles.makeDirectory(directory)
  let directory: string | undefined
  for (const blob of allBlobs(database)) {
    signal.throwIfAborted()
    if (damaged.has(blob.uuid)) continue
    const source = from.blob(blob.uuid)
    if (blob.state === 'quarantined' && (await realFiles.stat(source))?.size !== blob.size) continue
    const own = to.blobDirectory(blob.uuid)
    if (own !== directory) {
      if (directory !== undefined) await realFiles.syncDirectory(directory)
      await realFiles.makeDirectory(own)
      directory = own
    }
    const reason = await restoreBlob(blob, source, to.blob(blob.uuid), { verify, signal })
    if (reason !== undefined) {
      if (blob.state === 'quarantined') continue
      damaged.set(blob.uuid, reason)
      if (!allowDamage) throw damageError([{ uuid: blob.uuid, reason }])
      continue
    }
    done.blobs++
    done.bytes += blob.size
    if (performance.now() - toldAt < 5000) continue
    toldAt = performance.now()
    say(`${done.blobs} of ${total.blobs} blobs, ${done.bytes} of ${total.bytes} bytes`)
  }
  if (directory !== undefined) await realFiles.syncDirectory(directory)
  await realFiles.syncDirectory(to.blobs)
  return done
}

/** Why the blob is not good, or undefined when it has been restored. */
const restoreBlob = async (
  { uuid, size, sha512 }: CopiedBlob,
  from: string,
  to: string,
  { verify, signal }: Pick<RestoreOptions, 'verify' | 'signal'>,
): Promise<string | undefined> => {
  // From an earlier run: it has its name only if it is whole.
  if ((await realFiles.stat(to))?.size === size && !verify) return undefined
  const hash = verify ? createHash('sha512') : undefined
  const accept = () => {
    if (hash !== undefined && hash.digest('hex') !== sha512)
      throw new SourceError(`${uuid} has another sha512 than it should`)
  }
  try {
    await copyDurably(from, to, { size, signal, hash, accept })
    return undefined
  } catch (error) {
    if (error instanceof SourceError) return error.message
    throw error
  }
}

const restoreSecrets = async ({ backup, dataDir, signal }: RestoreOptions): Promise<void> => {
  for (const from of backupPaths(backup).secrets) {
    const found = await realFiles.stat(from)
    if (found) await copyDurably(from, join(dataDir, basename(from)), { size: found.size, signal })
  }
  await realFiles.syncDirectory(dataDir)
}

/** Under a name of its own first, so that what it says can be brought in line with what was restored. */
const restoreDatabase = async (
  { backup, dataDir, config, signal }: RestoreOptions,
  manifest: BackupManifest,
  damaged: readonly DamagedBlob[],
): Promise<void> => {
  const { database } = dataPaths(dataDir)
  const temporary = `${database}.restoring`
  for (const suffix of ['', '-wal', '-shm']) await removeDurably(`${temporary}${suffix}`)
  await copyDurably(backupPaths(backup).database(manifest.id), temporary, {
    size: manifest.database_size,
    signal,
  })
  await settleRestored(temporary, config, manifest, damaged)
  await realFiles.rename(temporary, database)
  await realFiles.syncDirectory(dataDir)
}
