/**
 * For tests only: the parts of a server on a given directory, on given files, in a given boot of the machine. All parts
 * are the real ones but the database's thread: transactions run in this one, through the same connection, so that the
 * moment of a commit is known and opening costs little.
 */
import { readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  type QueryResult,
  type Transaction,
} from 'kysely'
import { pino } from 'pino'
import { openDiskStore } from '../blobs/disk-store.ts'
import { type FileOps, realFiles } from '../blobs/files.ts'
import type { HashPipeline } from '../blobs/hash-pipeline.ts'
import { createBlobSender } from '../blobs/read-blob.ts'
import { openUploadFiles } from '../blobs/upload-files.ts'
import { type Config, parseConfig } from '../config.ts'
import type { Database } from '../db/database.ts'
import { migrate } from '../db/migrate.ts'
import { sqliteWords } from '../db/migrations/0001-initial.ts'
import type { Schema } from '../db/schema.ts'
import { describeFailure, SqliteConnection } from '../db/sqlite-connection.ts'
import { refuseStream, sqliteDialect, toQueryResult } from '../db/sqlite-dialect.ts'
import { toDatabaseError } from '../db/sqlite-errors.ts'
import { SyncDriver } from '../db/sqlite-sync-driver.ts'
import { Admission } from '../domain/admission.ts'
import { createLogins } from '../domain/logins.ts'
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
  /** Called with the whole database after each commit. */
  readonly onCommit?: (database: Buffer) => void
  /** Called before each commit; throwing makes it fail. */
  readonly beforeCommit?: () => void
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
    ...options.settings,
  }
  const db = await openInThread(join(directory, 'holdfast.db'), options)
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
    log: pino({ level: 'silent' }),
    metrics: createMetrics(),
    tokenKey: await loadTokenKey(directory, files),
    logins: createLogins(),
    admission: new Admission(),
    async close() {
      await uploadFiles.close()
      await db.close()
    },
  }
}

type DatabaseOptions = Pick<WorldOptions, 'onCommit' | 'beforeCommit' | 'isMigrated'>

const openInThread = async (
  path: string,
  { onCommit, beforeCommit, isMigrated }: DatabaseOptions,
): Promise<Database> => {
  const writer = SqliteConnection.openWriter(path)
  if (!isMigrated) {
    writer.begin()
    await migrate(new Kysely<unknown>({ dialect: sqliteDialect(new SyncDriver(writer)) }), sqliteWords)
    writer.commit()
  }
  const reader = SqliteConnection.openReader(path)
  const commit = () => {
    beforeCommit?.()
    writer.commit()
    if (!onCommit) return
    writer.checkpoint()
    onCommit(readFileSync(path))
  }
  const writing = new Kysely<Schema>({ dialect: sqliteDialect(new ThreadDriver(writer, commit)) })
  let last: Promise<unknown> = Promise.resolve()
  return {
    read: new Kysely<Schema>({ dialect: sqliteDialect(new SyncDriver(reader)) }),
    readAside: async <R>({ sql, parameters }: CompiledQuery<R>) => reader.run(sql, parameters).rows as R[],
    write<T>(work: (trx: Transaction<Schema>) => Promise<T>): Promise<T> {
      const result = last.then(() => writing.transaction().execute(work))
      last = result.catch(() => {})
      return result
    },
    async close() {
      await last
      reader.close()
      writer.close()
    },
  }
}

class ThreadDriver implements Driver {
  readonly #connection: SqliteConnection
  readonly #commit: () => void
  readonly #face: DatabaseConnection

  constructor(connection: SqliteConnection, commit: () => void) {
    this.#connection = connection
    this.#commit = commit
    this.#face = {
      async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
        try {
          return toQueryResult<R>(connection.run(sql, parameters))
        } catch (error) {
          throw toDatabaseError(describeFailure(error), 'write')
        }
      },
      streamQuery: refuseStream,
    }
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    return this.#face
  }

  async beginTransaction(): Promise<void> {
    this.#connection.begin()
  }

  async commitTransaction(): Promise<void> {
    this.#commit()
  }

  async rollbackTransaction(): Promise<void> {
    this.#connection.rollback()
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {}
}

/** Puts a tree and a database into an empty directory. */
export const placeTree = async (directory: string, tree: Tree, database: Buffer): Promise<void> => {
  const directories = [...tree].filter(([, content]) => content === 'directory')
  for (const [path] of directories.sort(([a], [b]) => (a < b ? -1 : 1)))
    await mkdir(join(directory, path), { recursive: true })
  for (const [path, content] of tree)
    if (content !== 'directory') await writeFile(join(directory, path), content)
  await writeFile(join(directory, 'holdfast.db'), database)
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
