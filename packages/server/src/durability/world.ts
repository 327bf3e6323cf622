/**
 * For tests only: the parts of a server on a given directory, on given files, in a given boot of the machine. All parts
 * are the real ones; the database tells of its commits and flushes.
 */
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import { openDiskStore } from '../blobs/disk-store.ts'
import { type FileOps, realFiles } from '../blobs/files.ts'
import type { HashPipeline } from '../blobs/hash-pipeline.ts'
import { createBlobSender } from '../blobs/read-blob.ts'
import { openUploadFiles } from '../blobs/upload-files.ts'
import { type Config, parseConfig } from '../config.ts'
import { openMigrated, openSqlite, type SqliteSteps } from '../db/sqlite.ts'
import { LocalAdmission } from '../domain/admission.ts'
import { createLogins } from '../domain/logins.ts'
import { aloneNode } from '../domain/nodes/nodes.ts'
import { RecentFailures } from '../domain/recent-failures.ts'
import { loadTokenKey } from '../domain/secrets.ts'
import { createMetrics } from '../metrics.ts'
import type { Clock, Parts } from '../parts.ts'
import type { Tree } from './recorded-files.ts'

export interface WorldOptions {
  readonly directory: string
  readonly hash: HashPipeline
  readonly clock: Clock
  readonly files?: FileOps
  /** What stands for the boot: another number means that the power failed in between. */
  readonly boot: number
  /** Called with the database's files after each commit, which is not durable yet. */
  readonly onCommit?: (database: DatabaseFiles) => void
  /** Called before each commit; throwing makes it fail. */
  readonly beforeCommit?: () => void
  /** Called in the place of each flush of the database. */
  readonly onFlush?: (flush: () => Promise<void>) => Promise<void>
  readonly settings?: Partial<Config>
  /** The database has the schema of this version already. */
  readonly isMigrated?: boolean
}

export interface World extends Parts {
  close(): Promise<void>
}

/** Bytes between flushes in the background: few, so that small uploads have some. */
export const syncEvery = 2048

/** Opens the parts. `recover` is the caller's to call. */
export const openWorld = async (options: WorldOptions): Promise<World> => {
  const { directory, hash, clock, files = realFiles, boot } = options
  const config: Config = {
    ...parseConfig({}),
    nodeName: 'node-1',
    dataDir: directory,
    freeSpaceReserve: 0,
    fetchAllow: ['127.0.0.1'],
    fetchAttempts: 3,
    fetchPause: 0.005,
    ...options.settings,
  }
  const database = { path: join(directory, databaseName), steps: stepsOf(options) }
  const db = options.isMigrated ? openMigrated(database) : await openSqlite(database)
  const uploadFiles = await openUploadFiles({
    dataDir: directory,
    hash,
    clock,
    files,
    freeSpaceReserveBytes: 0,
    stallTimeoutMs: 30_000,
    syncEvery,
    bootId: Buffer.alloc(16, boot),
  })
  return {
    config,
    db,
    blobs: await openDiskStore(directory, files),
    sender: createBlobSender(),
    hash,
    uploadFiles,
    clock,
    nodes: aloneNode({ name: config.nodeName, version: '0', clock }),
    log: pino({ level: 'silent' }),
    metrics: createMetrics(),
    tokenKey: await loadTokenKey(directory, files),
    logins: createLogins(),
    admission: new LocalAdmission(),
    failures: new RecentFailures(),
    async close() {
      await uploadFiles.close()
      await db.close()
    },
  }
}

const databaseName = 'holdfast.db'

const stepsOf = ({ directory, onCommit, onFlush, beforeCommit }: WorldOptions): SqliteSteps => ({
  ...(beforeCommit && { beforeCommit }),
  ...(onCommit && { committed: () => onCommit(readDatabase(directory)) }),
  ...(onFlush && { flush: onFlush }),
})

/** The bytes of a database at one moment: its file, and the log beside it. */
export interface DatabaseFiles {
  readonly main: Buffer
  readonly log: Buffer
}

/** What is in the database's files in this directory now; without a log an empty one. */
export const readDatabase = (directory: string): DatabaseFiles => {
  const log = join(directory, `${databaseName}-wal`)
  return {
    main: readFileSync(join(directory, databaseName)),
    log: existsSync(log) ? readFileSync(log) : Buffer.alloc(0),
  }
}

/** Puts a tree and a database into an empty directory. */
export const placeTree = async (directory: string, tree: Tree, database: DatabaseFiles): Promise<void> => {
  const directories = [...tree].filter(([, content]) => content === 'directory')
  for (const [path] of directories.sort(([a], [b]) => (a < b ? -1 : 1)))
    await mkdir(join(directory, path), { recursive: true })
  for (const [path, content] of tree)
    if (content !== 'directory') await writeFile(join(directory, path), content)
  await writeFile(join(directory, databaseName), database.main)
  if (database.log.length > 0) await writeFile(join(directory, `${databaseName}-wal`), database.log)
}

/** What is in a directory, the database apart. */
export const readTree = async (directory: string): Promise<Tree> => {
  const tree = new Map<string, Buffer | 'directory'>()
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name).slice(directory.length + 1)
    if (/^(holdfast|lock)\.db/.test(path)) continue
    tree.set(path, entry.isDirectory() ? 'directory' : await readFile(join(directory, path)))
  }
  return tree
}
