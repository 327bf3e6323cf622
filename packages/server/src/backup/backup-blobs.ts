/**
 * The blobs of a backup: what its database names is brought there, what it does not name is removed.
 */
import { join } from 'node:path'
import type { FileOps } from '../blobs/files.ts'
import { dataPaths, isFileUuid } from '../blobs/paths.ts'
import { unlinkIfThere } from '../blobs/whole-file.ts'
import { exclusively } from '../domain/quarantine.ts'
import type { RemovalHold } from '../domain/removal-hold.ts'
import type { Parts } from '../parts.ts'
import type { CopiedBlob, CopiedDatabase } from './copied-database.ts'
import { backupPaths, type DamagedBlob } from './format.ts'
import { copyDurably, linkFile, SourceError } from './place-file.ts'

/** Figures of a backup, growing while it runs. */
export interface BackupFigures {
  blobs_total: number
  bytes_total: number
  blobs_done: number
  bytes_done: number
  linked_blobs: number
  copied_blobs: number
  /** Written by copying. */
  copied_bytes: number
  /** Were there already. */
  kept_blobs: number
  removed_blobs: number
  damaged_blobs: number
  /** The first of them. */
  damaged: DamagedBlob[]
}

export const noFigures = (): BackupFigures => ({
  blobs_total: 0,
  bytes_total: 0,
  blobs_done: 0,
  bytes_done: 0,
  linked_blobs: 0,
  copied_blobs: 0,
  copied_bytes: 0,
  kept_blobs: 0,
  removed_blobs: 0,
  damaged_blobs: 0,
  damaged: [],
})

/** Blobs whose files are looked at together: their directories are synced after each lot. */
const lotSize = 256
/** Files at work at once: the thread pool has few threads, and others need it too. */
const atOnce = 3
const maxTold = 100

export interface BlobsToPlace {
  readonly parts: Parts
  readonly directory: string
  readonly files: FileOps
  readonly database: CopiedDatabase
  readonly hold: RemovalHold
  /** When the newest finished backup here copied its database; 0 without one. Later healings replaced bytes. */
  readonly previousAt: number
  readonly figures: BackupFigures
  readonly signal: AbortSignal
}

/** Brings every blob that the database names to the backup. They are durable there when it resolves. */
export const placeBlobs = async (work: BlobsToPlace): Promise<void> => {
  const { directory, files, database, hold, figures, signal } = work
  const paths = backupPaths(directory)
  Object.assign(figures, prefixed(await database.totals()))
  await files.makeDirectory(paths.blobs)
  const made = new Set<string>()
  for (let lot = database.blobsAfter('', lotSize); lot.length > 0; ) {
    const touched = new Set<string>()
    const place = async (blob: CopiedBlob) => {
      const blobDirectory = paths.blobDirectory(blob.uuid)
      if (!made.has(blobDirectory)) await files.makeDirectory(blobDirectory)
      made.add(blobDirectory)
      if (await placeBlob(work, blob)) touched.add(blobDirectory)
    }
    for (let start = 0; start < lot.length; start += atOnce) {
      signal.throwIfAborted()
      await allOf(lot.slice(start, start + atOnce).map(place))
    }
    // Together: the file system then writes its journal once for many of them.
    await allOf([...touched].map((each) => files.syncDirectory(each)))
    const last = lot.at(-1)!.uuid
    hold.advance(last)
    lot = database.blobsAfter(last, lotSize)
  }
  await files.syncDirectory(paths.blobs)
}

/** Like `Promise.all`, but nothing is still at work when it rejects. */
const allOf = async (work: readonly Promise<void>[]): Promise<void> => {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason
}

const prefixed = ({ blobs, bytes }: { blobs: number; bytes: number }) => ({
  blobs_total: blobs,
  bytes_total: bytes,
})

/** Tells whether a name was added or replaced. */
const placeBlob = async (work: BlobsToPlace, blob: CopiedBlob): Promise<boolean> => {
  const { directory, files, previousAt, figures } = work
  const target = backupPaths(directory).blob(blob.uuid)
  const isThere = (await files.stat(target))?.size === blob.size
  // What was taken before its healing may share its bytes with the damaged file.
  const isOld = blob.healed_at !== null && blob.healed_at >= previousAt
  let placed = false
  if (isThere && (blob.state === 'quarantined' || !isOld)) {
    figures.kept_blobs++
  } else if (blob.state === 'quarantined') {
    noteDamaged(figures, blob.uuid, 'it was in quarantine')
  } else {
    try {
      // Nobody sets the file aside or replaces it meanwhile.
      await exclusively(work.parts, blob.uuid, () => takeFile(work, blob, target))
      placed = true
    } catch (error) {
      if (!(error instanceof SourceError)) throw error
      noteDamaged(figures, blob.uuid, error.message)
    }
  }
  figures.blobs_done++
  if (!placed) figures.bytes_done += blob.size
  return placed
}

const takeFile = async (
  { parts, files, figures, signal }: BlobsToPlace,
  { uuid, size }: CopiedBlob,
  target: string,
): Promise<void> => {
  const source = dataPaths(parts.config.dataDir).blob(uuid)
  const found = await files.stat(source)
  if (found?.size !== size)
    throw new SourceError(
      found ? `its file has ${found.size} bytes instead of ${size}` : 'its file is missing',
    )
  if (await linkFile(source, target, files)) {
    figures.linked_blobs++
    figures.bytes_done += size
    return
  }
  const before = figures.bytes_done
  try {
    await copyDurably(source, target, { size, signal, onBytes: (count) => (figures.bytes_done += count) })
  } catch (error) {
    figures.bytes_done = before
    throw error
  }
  figures.copied_blobs++
  figures.copied_bytes += size
}

const noteDamaged = (figures: BackupFigures, uuid: string, reason: string): void => {
  figures.damaged_blobs++
  if (figures.damaged.length < maxTold) figures.damaged.push({ uuid, reason })
}

/** Removes what the database does not name, and what interrupted backups left; tells how many blobs went. */
export const pruneBlobs = async (
  directory: string,
  database: CopiedDatabase,
  signal: AbortSignal,
  files: FileOps,
): Promise<number> => {
  const { blobs } = backupPaths(directory)
  let removed = 0
  for (const prefix of await files.list(blobs)) {
    if (!/^[0-9a-f]{2}$/.test(prefix)) continue
    for (const name of await files.list(join(blobs, prefix))) {
      signal.throwIfAborted()
      const isBlob = isFileUuid(name) && name.startsWith(prefix)
      const isLeftover = name.endsWith('.new') && isFileUuid(name.slice(0, -4))
      if (isLeftover || (isBlob && !database.has(name))) {
        await unlinkIfThere(files, join(blobs, prefix, name))
        if (isBlob) removed++
      }
    }
  }
  return removed
}
