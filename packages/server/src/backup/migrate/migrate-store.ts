/**
 * Moves a store at rest to another database, another blob store, or both: from SQLite and files to PostgreSQL and S3, back, or
 * only one of the two. Always to a new data directory.
 *
 * **The order of steps**, and what a kill after each leaves:
 * 1. Both ends are opened. The old one as every start opens it: brought up to date, what a crash left finished. After that it is
 *    only read, but for its mark. The new one has to be empty.
 * 2. The old store's mark, `leaving`: from here on no server starts on it, so what is copied does not change any more.
 * 3. The new store's mark, `arriving`: no server starts there either. Nothing else is in it yet.
 * 4. Blobs, each whole and compared with its digest before it has its name (copy-blobs.ts).
 * 5. Rows, in the order of their keys (copy-tables.ts); files of uploads; secrets.
 * 6. Every table is read at both ends and compared.
 * 7. In one transaction of the new store: blobs without good bytes go to quarantine, its history says where it came from, and its mark
 *    becomes `arrived`. **This commit is the moment from which the new store is the store.**
 * 8. The old store's mark becomes `left`.
 *
 * A repetition finds by the marks what it has to go on with, and skips what is there. At no moment can both be started, and
 * neither only between 2 and 7: then the same command goes on, or `--reopen` gives the migration up.
 */
import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import type { Logger } from 'pino'
import type { Config } from '../../config.ts'
import { hasOwnServer } from '../../db/open-database.ts'
import { recordEvents } from '../../domain/events.ts'
import { askedAt } from '../../domain/jobs/verify-blobs.ts'
import { recover } from '../../domain/recover.ts'
import { systemNamespace } from '../../domain/visibility.ts'
import type { Parts } from '../../parts.ts'
import { openParts } from '../../start.ts'
import { isSharedStore } from '../../store-node.ts'
import { BackupError, type DamagedBlob } from '../format.ts'
import { quarantineMissing } from '../quarantine-missing.ts'
import { writeSetting } from '../store-settings.ts'
import { compareTables, type TableDigest } from './compare-tables.ts'
import { type CopiedBlobs, copyBlobs } from './copy-blobs.ts'
import { copyTables, type TableEnd } from './copy-tables.ts'
import { type CopiedUpload, copySecrets, copyUploads, requireOwnUploads } from './copy-uploads.ts'
import { describeStore } from './describe-store.ts'
import { type Mark, readMark, removeMark, writeMark } from './marks.ts'
import { openTarget, requireNoServers, type Target } from './open-target.ts'
import { peekDatabase } from './peek.ts'
import type { Progress } from './progress.ts'
import type { TableName } from './table-pages.ts'
import { tableNames } from './tables.ts'

export interface MigrateOptions {
  /** The settings of the store as it is, and those with which it will be started. */
  readonly from: Config
  readonly to: Config
  /** Completes although some blobs are damaged; they will be in quarantine. */
  readonly allowDamage: boolean
  /** Leaves unfinished uploads behind. */
  readonly dropUploads: boolean
  readonly signal: AbortSignal
  readonly log: Logger
  readonly progress: Progress
}

export interface MigrateReport extends CopiedBlobs {
  readonly rows: number
  readonly tables: ReadonlyMap<TableName, TableDigest>
  readonly uploads: number
}

/** Moves the store. Throws `BackupError` for what a person has to decide or mend. Undefined when an earlier run had done it. */
export const migrateStore = async (options: MigrateOptions): Promise<MigrateReport | undefined> => {
  const { from, to, log } = options
  const releases: (() => unknown)[] = []
  try {
    const source = await openSource(from, log, releases)
    const place = await describeStore(to)
    const begun = goOn(await readMark(source.db.read), place)
    const glimpse = await peekDatabase(to)
    if (begun && glimpse.mark?.state === 'arrived' && glimpse.mark.id === begun.id) {
      // The server may be at work there already.
      if (begun.state === 'leaving') await writeMarkTo(source, { ...begun, state: 'left', at: Date.now() })
      return undefined
    }
    const target = await openTarget({ config: to, source, glimpse, id: begun?.id, log }, releases)
    if (begun?.state === 'left')
      throw new BackupError(`the old store says that all of it was moved to ${place}, where only a part is`)
    if (!options.dropUploads) await requireOwnUploads(source, to)

    const id = begun?.id ?? randomUUID()
    const at = Date.now()
    if (!begun) await writeMarkTo(source, { state: 'leaving', id, other: place, at })
    if (!target.mark)
      await writeMarkTo(target, { state: 'arriving', id, other: await describeStore(from), at })
    return await move(options, source, target, { id, place })
  } finally {
    for (const release of releases.reverse()) await release()
  }
}

/** Gives a migration up, or goes back to the store as it was before one: takes its mark away. Undefined when there is none. */
export const reopenStore = async (config: Config, log: Logger): Promise<Mark | undefined> => {
  const releases: (() => unknown)[] = []
  try {
    const { db } = await openParts(config, log, releases, { isMigrating: true })
    const mark = await readMark(db.read)
    if (mark === undefined || mark.state === 'arrived') return undefined
    if (mark.state === 'arriving')
      throw new BackupError(
        'this is only a part of a store; it is the one it comes from that can be opened again',
      )
    await db.write((trx) => removeMark(trx))
    return mark
  } finally {
    for (const release of releases.reverse()) await release()
  }
}

const openSource = async (config: Config, log: Logger, releases: (() => unknown)[]): Promise<Parts> => {
  const source = await openParts(config, log, releases, { isMigrating: true })
  if (hasOwnServer(config)) await requireNoServers(source.db)
  await recover(source)
  return source
}

/** The mark of the old store, if this migration has begun. */
const goOn = (mark: Mark | undefined, place: string): Mark | undefined => {
  if (mark === undefined || mark.state === 'arrived') return undefined
  if (mark.state === 'arriving') throw new BackupError('this is only a part of a store: it cannot be moved')
  if (mark.other === place) return mark
  throw new BackupError(
    `this store ${mark.state === 'left' ? 'was moved' : 'is being moved'} to ${mark.other}, not to ${place}. ` +
      'To move it elsewhere: holdfast-server migrate --reopen first.',
  )
}

const writeMarkTo = ({ db }: Pick<TableEnd, 'db'>, mark: Mark): Promise<void> =>
  db.write((trx) => writeMark(trx, mark))

const move = async (
  options: MigrateOptions,
  source: Parts,
  target: Target,
  { id, place }: { id: string; place: string },
): Promise<MigrateReport> => {
  const { from, to, allowDamage, dropUploads, signal, progress } = options
  const copied = target.keepsBlobs
    ? { blobs: 0, bytes: 0, damaged: [] }
    : await copyBlobs({ source, target, isRepeated: target.mark !== undefined, signal, progress })

  const tables = dropUploads ? tableNames.filter((name) => name !== 'uploads') : tableNames
  const old: TableEnd = { db: source.db, isPostgres: hasOwnServer(from) }
  const ends = {
    from: old,
    to: target,
    tables,
    signal,
    onRows: (_: TableName, rows: number) => progress.add(rows),
  }
  progress.begin('rows', 'rows')
  await copyTables(ends)
  progress.end()

  const uploads = dropUploads ? [] : await copyUploads(source, to.dataDir, signal)
  await copySecrets(source, target)

  progress.begin('comparing', 'rows')
  const digests = await compareTables(ends)
  progress.end()
  if (copied.damaged.length > 0 && !allowDamage) throw damageError(copied.damaged)

  await rm(target.arriving, { recursive: true })
  await settle(source, target, { id, damaged: copied.damaged, uploads })
  await writeMarkTo(source, { state: 'left', id, other: place, at: Date.now() })
  const rows = [...digests.values()].reduce((sum, table) => sum + table.rows, 0)
  return { ...copied, rows, tables: digests, uploads: uploads.length }
}

const damageError = (damaged: readonly DamagedBlob[]): BackupError =>
  new BackupError(
    `${damaged.length} blobs are damaged or missing; everything else has been copied. Bring their files back and repeat, or add ` +
      '--allow-damage: they will be in quarantine in the new store, until the same content is uploaded again.',
  )

interface Settling {
  readonly id: string
  readonly damaged: readonly DamagedBlob[]
  readonly uploads: readonly CopiedUpload[]
}

/** Makes a store of what has been copied. */
const settle = async (
  source: Parts,
  { db, config }: Target,
  { id, damaged, uploads }: Settling,
): Promise<void> => {
  const { clock } = source
  const other = await describeStore(source.config)
  await db.write(async (trx) => {
    // Other nodes cannot look at the files.
    if (isSharedStore(config))
      for (const { uuid, size } of uploads)
        await trx.updateTable('uploads').set({ counted_bytes: size }).where('uuid', '=', uuid).execute()
    await quarantineMissing(trx, { clock, config }, damaged, 'in the store that was moved here')
    await recordEvents(trx, { clock, config }, [
      {
        objectType: 'namespace',
        objectUuid: systemNamespace,
        namespace: systemNamespace,
        type: 'audit',
        message: 'moved here by a migration',
        extra: { from: other, damaged_blobs: damaged.length },
      },
    ])
    // What was written has not been read back yet.
    await writeSetting(trx, askedAt, String(clock.now()))
    await writeMark(trx, { state: 'arrived', id, other, at: clock.now() })
  })
}
