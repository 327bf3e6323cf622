/**
 * The embedded database: one SQLite file, read in the main thread, written in a thread of its own.
 *
 * Reads take microseconds from a warm cache, less than a message to another thread would. A commit waits for the
 * disk, for milliseconds and sometimes much longer; nothing else must wait with it. SQLite's write-ahead log lets
 * readers go on while the writer works, and a reader sees a commit as soon as it is made, because each query here is
 * a read transaction of its own.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { HoldfastError } from '@holdfast/api/errors'
import { type CompiledQuery, Kysely, type Transaction } from 'kysely'
import type { Database } from './database.ts'
import { migrate } from './migrate.ts'
import { sqliteWords } from './migrations/0001-initial.ts'
import type { Schema } from './schema.ts'
import { SqliteConnection } from './sqlite-connection.ts'
import { sqliteDialect } from './sqlite-dialect.ts'
import { SyncDriver } from './sqlite-sync-driver.ts'
import { SqliteWriter, WriterDriver } from './sqlite-writer.ts'

/** Where the database tells of what an operator should know; a pino logger fits. */
export interface DatabaseLog {
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
}

export interface SqliteOptions {
  /** The database file; made when absent. Not `:memory:`, which two threads cannot share. */
  readonly path: string
  readonly log?: DatabaseLog
  /** How long `close` waits for transactions already asked for, in milliseconds. */
  readonly closeTimeoutMs?: number
}

/** Opens the database and brings it to this version's schema. Throws `NewerSchemaError` if it has a later one. */
export async function openSqlite({ path, log, closeTimeoutMs = 10_000 }: SqliteOptions): Promise<Database> {
  await migrateFile(path)
  const state = { isClosing: false }
  const writer = await SqliteWriter.open(path, (error) => {
    if (!state.isClosing)
      log?.error({ err: error }, 'the database can no longer be written: restart the server')
  })
  const writing = new Kysely<Schema>({ dialect: sqliteDialect(new WriterDriver(writer)) })
  const reader = await openReader(path, writer)
  const read = new Kysely<Schema>({ dialect: sqliteDialect(new SyncDriver(reader)) })
  const insideWork = new AsyncLocalStorage<{ isRunning: boolean }>()
  let lastWrite: Promise<unknown> = Promise.resolve()
  let lastAside: Promise<unknown> = Promise.resolve()
  let closed: Promise<void> | undefined

  async function transact<T>(work: (trx: Transaction<Schema>) => Promise<T>): Promise<T> {
    const scope = { isRunning: true }
    try {
      return await writing.transaction().execute((trx) => insideWork.run(scope, work, trx))
    } finally {
      scope.isRunning = false
    }
  }

  async function shutDown(): Promise<void> {
    const isIdle = await settlesWithin(lastWrite, closeTimeoutMs)
    state.isClosing = true
    if (!isIdle) log?.warn({ closeTimeoutMs }, 'closing the database over a transaction that does not end')
    await settlesWithin(lastAside, closeTimeoutMs)
    await read.destroy()
    reader.close()
    try {
      // Last of all connections, so that the log is merged into the database and removed.
      if (isIdle) await settlesWithin(writer.perform({ kind: 'close' }), closeTimeoutMs)
    } catch (error) {
      log?.warn(
        { err: error },
        'the database was not closed in good order; the next start repairs what is needed',
      )
    } finally {
      await writer.terminate()
    }
  }

  return {
    read,

    readAside<R>(query: CompiledQuery<R>) {
      if (closed !== undefined) return Promise.reject(new HoldfastError('unavailable'))
      const result = lastAside.then(() => runAside<R>(path, query))
      lastAside = result.catch(() => {})
      return result
    },

    write(work) {
      if (insideWork.getStore()?.isRunning) {
        return Promise.reject(
          new Error('write called inside the work of another write: it would wait for itself'),
        )
      }
      if (closed !== undefined) return Promise.reject(new HoldfastError('unavailable'))
      const result = lastWrite.then(() => transact(work))
      lastWrite = result.catch(() => {})
      return result
    },

    async backupTo(target) {
      const worker = new Worker(new URL('./sqlite-backup-worker.ts', import.meta.url), {
        workerData: { from: path, to: target },
        execArgv: [],
      })
      await new Promise<void>((resolve, reject) => {
        worker.once('error', reject)
        worker.once('exit', (code) =>
          code === 0 ? resolve() : reject(new Error(`the backup ended with ${code}`)),
        )
      })
    },

    close() {
      closed ??= shutDown()
      return closed
    },
  }
}

/** Runs a query in a thread of its own. */
function runAside<R>(path: string, { sql, parameters }: CompiledQuery): Promise<readonly R[]> {
  const worker = new Worker(new URL('./sqlite-aside-worker.ts', import.meta.url), {
    workerData: { path, sql, parameters },
    execArgv: [],
  })
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', (code) => reject(new Error(`a query's thread ended with ${code}`)))
  })
}

/** Migrates within one write transaction: another process waits, and a migration that fails leaves no trace. */
async function migrateFile(path: string): Promise<void> {
  const connection = SqliteConnection.openWriter(path)
  try {
    connection.begin()
    await migrate(new Kysely<unknown>({ dialect: sqliteDialect(new SyncDriver(connection)) }), sqliteWords)
    connection.commit()
    connection.optimize()
  } catch (error) {
    connection.rollback()
    throw error
  } finally {
    connection.close()
  }
}

async function openReader(path: string, writer: SqliteWriter): Promise<SqliteConnection> {
  try {
    return SqliteConnection.openReader(path)
  } catch (error) {
    await writer.terminate()
    throw error
  }
}

/** Whether `promise` settles in time; rejects if it does so by rejecting. */
async function settlesWithin(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const timer = new AbortController()
  try {
    return await Promise.race([promise.then(() => true), delay(timeoutMs, false, { signal: timer.signal })])
  } finally {
    timer.abort()
  }
}
