/**
 * The embedded database: one SQLite file, read and written in the main thread, flushed in the thread pool.
 *
 * A statement takes microseconds from a warm cache, less than a message to another thread would. What takes long is to
 * wait for the disk: a commit is made at once and becomes durable with others in one flush (`sqlite-log-flush.ts`),
 * and until then nobody sees it but later transactions (`sqlite-durable-reads.ts`), whose own commits are in the log
 * behind it. The log is brought into the database file by a thread of its own (`sqlite-checkpoints.ts`).
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { closeSync, fdatasync, fdatasyncSync, fsyncSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { HoldfastError } from '@holdfast/api/errors'
import { type CompiledQuery, Kysely } from 'kysely'
import type { Database } from './database.ts'
import { migrate } from './migrate.ts'
import { sqliteWords } from './migrations/0001-initial.ts'
import type { Schema } from './schema.ts'
import { Checkpoints } from './sqlite-checkpoints.ts'
import { SqliteConnection } from './sqlite-connection.ts'
import { DurableReads } from './sqlite-durable-reads.ts'
import { LogFlush } from './sqlite-log-flush.ts'
import { syncDialect } from './sqlite-sync-driver.ts'
import { SqliteWriter } from './sqlite-writer.ts'

/** Where the database tells of what an operator should know; a pino logger fits. */
export interface DatabaseLog {
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
}

export interface SqliteOptions {
  /** The database file; made when absent. Not `:memory:`, which several connections cannot share. */
  readonly path: string
  readonly log?: DatabaseLog
  /** How long `close` waits for transactions already asked for, in milliseconds. */
  readonly closeTimeoutMs?: number
  /** For tests: what stands in the place of steps, or beside them. */
  readonly steps?: SqliteSteps
}

/** The steps by which a transaction becomes durable, for tests that listen to them or make them fail. */
export interface SqliteSteps {
  /** Called before each commit; throwing makes it fail. */
  readonly beforeCommit?: () => void
  /** Called after each commit, which is not durable yet. */
  readonly committed?: () => void
  /** Called in the place of each flush; `flush` is the real one. */
  readonly flush?: (flush: () => Promise<void>) => Promise<void>
}

const syncData = promisify(fdatasync)

/** Opens the database and brings it to this version's schema. Throws `NewerSchemaError` if it has a later one. */
export async function openSqlite(options: SqliteOptions): Promise<Database> {
  await migrateFile(options.path)
  return openMigrated(options)
}

/** Opens a database that has this version's schema. */
export function openMigrated({ path, log, closeTimeoutMs = 10_000, steps = {} }: SqliteOptions): Database {
  const connection = SqliteConnection.openWriter(path, 'unflushed')
  const reads = new DurableReads(SqliteConnection.openReader(path), SqliteConnection.openReader(path))
  const logFile = openLog(path)
  const insideWork = new AsyncLocalStorage<{ isRunning: boolean }>()
  let lastAside: Promise<unknown> = Promise.resolve()
  let closed: Promise<void> | undefined

  const flushLog = () => syncData(logFile)
  const flush = new LogFlush(() => (steps.flush ? steps.flush(flushLog) : flushLog()), {
    begins: () => reads.prepare(),
    ended: (isAll) => reads.advance(isAll),
    failed(error) {
      log?.error({ err: error }, 'the database can no longer be written: restart the server')
      stopWriting(error)
    },
  })
  const writer = new SqliteWriter(connection, {
    beforeCommit() {
      reads.hold()
      steps.beforeCommit?.()
    },
    committed(changes) {
      flush.noteCommit()
      steps.committed?.()
      checkpoints.noteCommit(changes)
    },
    pausing() {
      // A commit that failed has held the reads for nothing.
      if (flush.isDurable) reads.release()
      flush.begin()
    },
  })
  const checkpoints = new Checkpoints({
    path,
    pause: (work) =>
      writer.inTurn(async () => {
        flush.begin()
        await flush.durable()
        await work()
      }),
    onFailure(error) {
      log?.warn({ err: error }, 'the log could not be brought into the database; it will be tried again')
      // If it was the log that could not be flushed, our own descriptor knows of it too.
      flush.check()
    },
  })

  /**
   * After a failed flush: what is in the log must not be brought into the database file, as parts of it may have been
   * lost; the next start keeps what is whole. SQLite does that when the last connection closes that can write, unless
   * others are open: the reads stay open, and the end of the process closes no connection that could.
   */
  function stopWriting(reason: HoldfastError): void {
    writer.end(reason)
    connection.close()
    void checkpoints.stop()
  }

  async function shutDown(): Promise<void> {
    const isIdle = await settlesWithin(writer.idle(), closeTimeoutMs)
    if (!isIdle) log?.warn({ closeTimeoutMs }, 'closing the database over a transaction that does not end')
    writer.end(new HoldfastError('unavailable'))
    flush.begin()
    await settlesWithin(
      flush.durable().catch(() => {}),
      closeTimeoutMs,
    )
    await settlesWithin(lastAside, closeTimeoutMs)
    await checkpoints.stop()
    reads.close()
    try {
      // Last of all connections, so that the log is merged into the database and removed.
      if (!flush.failure) {
        connection.optimize()
        connection.mergeLog()
        connection.close()
      }
    } catch (error) {
      log?.warn(
        { err: error },
        'the database was not closed in good order; the next start repairs what is needed',
      )
    } finally {
      closeSync(logFile)
    }
  }

  /** Resolves or rejects as `outcome`, when all that it may have seen is durable. */
  async function whenDurable<T>(outcome: Promise<T>): Promise<T> {
    try {
      return await outcome
    } finally {
      await flush.durable()
    }
  }

  return {
    read: new Kysely<Schema>({ dialect: syncDialect(reads) }),

    readAside<R>(query: CompiledQuery<R>) {
      if (closed !== undefined) return Promise.reject(new HoldfastError('unavailable'))
      const result = lastAside.then(() => whenDurable(runAside<R>(path, query)))
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
      return whenDurable(
        writer.transact(async (trx) => {
          const scope = { isRunning: true }
          try {
            return await insideWork.run(scope, work, trx)
          } finally {
            scope.isRunning = false
          }
        }),
      )
    },

    async backupTo(target) {
      const worker = new Worker(new URL('./sqlite-backup-worker.ts', import.meta.url), {
        workerData: { from: path, to: target },
        execArgv: [],
      })
      await whenDurable(
        new Promise<void>((resolve, reject) => {
          worker.once('error', reject)
          worker.once('exit', (code) =>
            code === 0 ? resolve() : reject(new Error(`the backup ended with ${code}`)),
          )
        }),
      )
    },

    close() {
      closed ??= shutDown()
      return closed
    },
  }
}

/**
 * A descriptor of the log, which SQLite makes with the first connection and which then stays the same file. What a killed
 * process has left in it, and everybody sees now, is durable afterwards.
 */
function openLog(path: string): number {
  const directory = openSync(dirname(path), 'r')
  try {
    // Its name, too, has to outlast a power cut.
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
  const log = openSync(`${path}-wal`, 'r+')
  fdatasyncSync(log)
  return log
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
  const connection = SqliteConnection.openWriter(path, 'flushed')
  try {
    connection.begin()
    await migrate(new Kysely<unknown>({ dialect: syncDialect(connection) }), sqliteWords)
    connection.commit()
    connection.optimize()
  } catch (error) {
    connection.rollback()
    throw error
  } finally {
    connection.close()
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
