/**
 * Opens the place that a store is moved to. It has to be new: a data directory, a database and a bucket (or a prefix in it) that hold
 * nothing, or what an earlier run of the same migration has left there. Anything else is refused and not touched.
 */
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import type { Logger } from 'pino'
import { type Config, hasOwnBlobStore } from '../../config.ts'
import type { Database } from '../../db/database.ts'
import { lockDataDirectory } from '../../db/lock.ts'
import { hasOwnServer, openDatabase, serverName } from '../../db/open-database.ts'
import { blobStoreSetting, type OpenBlobs, openBlobs } from '../../open-blobs.ts'
import type { Parts } from '../../parts.ts'
import { bindDataDirectory } from '../../store-directory.ts'
import { BackupError } from '../format.ts'
import { readSetting, writeSetting } from '../store-settings.ts'
import { refuseUnfinishedRestore } from '../unfinished-restore.ts'
import { makeArriving } from './copy-blobs.ts'
import type { TableEnd } from './copy-tables.ts'
import { type Mark, readMark } from './marks.ts'
import type { Glimpse } from './peek.ts'
import { lastRow } from './table-pages.ts'
import { tableNames } from './tables.ts'

export interface Target extends TableEnd {
  readonly config: Config
  readonly store: OpenBlobs
  /** The blobs stay where they are: it is the old store's bucket. */
  readonly keepsBlobs: boolean
  /** Where files lie that are on their way. */
  readonly arriving: string
  /** What an earlier run has left. */
  readonly mark: Mark | undefined
}

/** What opening makes in a data directory. */
const madeByOpening = /^(lock\.db|holdfast\.db|directory\.id)/

export interface OpenTargetOptions {
  readonly config: Config
  readonly source: Parts
  /** What has been seen of the database. */
  readonly glimpse: Glimpse
  /** Of the migration, if it has begun. */
  readonly id: string | undefined
  readonly log: Logger
}

/** Opens it; `releases` learns how to close it. */
export const openTarget = async (
  { config, source, glimpse, id, log }: OpenTargetOptions,
  releases: (() => unknown)[],
): Promise<Target> => {
  const { dataDir } = config
  const isKnown = isOurs(glimpse, id, config)
  const keepsBlobs = isSameBucket(source.config, config)
  if (!isKnown) await requireEmptyDirectory(dataDir)
  const lock = lockDataDirectory(dataDir)
  releases.push(() => lock.release())
  refuseUnfinishedRestore(dataDir)
  const isPostgres = hasOwnServer(config)
  const db = await openDatabase(config, log, 'holdfast-migrate')
  releases.push(() => db.close())
  if (isPostgres) await requireNoServers(db)
  const mark = await readMark(db.read)
  if (!isKnown) await requireEmptyTables(db)
  if (isPostgres) await bindDataDirectory(db, dataDir)
  if (keepsBlobs) await shareBlobs(source.db, db)
  const store = await openBlobs(config, db, log)
  releases.push(store.close)
  if (!isKnown && !keepsBlobs)
    for await (const { uuid } of store.blobs.list())
      throw new BackupError(`${config.blobStore} is not empty: it has the blob ${uuid}`)
  // What an earlier run has begun to send is not known any more.
  await store.blobs.sweep(async () => false)
  return { config, db, isPostgres, store, keepsBlobs, arriving: await makeArriving(dataDir), mark }
}

/** Then only the metadata move. */
const isSameBucket = (old: Config, config: Config): boolean =>
  hasOwnBlobStore(config) && old.blobStore === config.blobStore && old.s3Endpoint === config.s3Endpoint

/** Lets the new database know the place in the bucket that the old one knows. */
const shareBlobs = async (old: Database, db: Database): Promise<void> => {
  const id = await readSetting(old.read, blobStoreSetting)
  if (id !== undefined) await db.write((trx) => writeSetting(trx, blobStoreSetting, id))
}

/** Whether there is something, and it is of this migration. Throws for what is somebody else's. */
const isOurs = ({ mark, isStore }: Glimpse, id: string | undefined, config: Config): boolean => {
  if (mark === undefined && !isStore) return false
  if (mark?.state === 'arriving' && mark.id === id) return true
  const place = hasOwnServer(config) ? 'the database' : config.dataDir
  if (mark?.state === 'arriving')
    throw new BackupError(
      `${place} holds a part of a store that was being moved there from ${mark.other}, not by this migration. If ` +
        'that one was given up, empty the place: the database, the data directory, the bucket or its prefix.',
    )
  throw new BackupError(`${place} holds a store already: a store is moved to a place of its own`)
}

const requireEmptyDirectory = async (dataDir: string): Promise<void> => {
  if (!existsSync(dataDir)) return
  for (const entry of await readdir(dataDir, { recursive: true, withFileTypes: true }))
    if (!entry.isDirectory() && !(entry.parentPath === dataDir && madeByOpening.test(entry.name)))
      throw new BackupError(
        `${dataDir} is not empty (${join(entry.parentPath, entry.name)}): a store is moved to a new data directory`,
      )
}

const requireEmptyTables = async (db: Database): Promise<void> => {
  for (const table of tableNames)
    if ((await lastRow(db.read, table)) !== undefined)
      throw new BackupError(`the new database is not empty: its table ${table} has rows`)
}

/** Other nodes have data directories of their own, which lock nothing here. Throws while one of them is there. */
export const requireNoServers = async (db: Database): Promise<void> => {
  const { rows } = await sql<{ name: string }>`
    SELECT application_name AS name FROM pg_stat_activity
    WHERE datname = current_database() AND starts_with(application_name, ${serverName})`.execute(db.read)
  if (rows[0])
    throw new BackupError(
      `a server is at work with the database (${rows[0].name.slice(serverName.length)}): stop all nodes first`,
    )
}
