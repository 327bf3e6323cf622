/**
 * PostgreSQL as the database: for more than one machine, or for those who have one anyway.
 *
 * Reads run on any connection of a pool, outside of transactions. A write is a transaction of its own, some of them
 * at a time; `postgres-transaction.ts` says what keeps them apart and what is known when a commit fails.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError } from '@holdfast/api/errors'
import { type CompiledQuery, Kysely, type QueryResult, type Transaction } from 'kysely'
import { ConstraintError, type Database } from './database.ts'
import { driverOf, postgresDialect, runQuery } from './postgres-dialect.ts'
import { failureKind, toDatabaseError } from './postgres-errors.ts'
import { migratePostgres } from './postgres-migrate.ts'
import { type SessionOptions, Sessions } from './postgres-sessions.ts'
import { attempt, pruneMarks, type Turn, UndoneError } from './postgres-transaction.ts'
import { Turns } from './postgres-turns.ts'
import type { Schema } from './schema.ts'

export interface PostgresOptions extends SessionOptions {
  /** Write transactions of this process at a time. */
  readonly writers: number
  /** How long `close` waits for transactions already asked for, in milliseconds. */
  readonly closeTimeoutMs?: number
}

/** A query of `readAside` may look at every row of a large table. */
const asideTimeoutMs = 600_000
/** Lost conflicts after which a transaction gets a turn alone, and those after which it is given up. */
const aloneAfter = 4
const mostAttempts = 12
const pauseStepMs = 4
const forgetMarksEveryMs = 600_000

/**
 * Opens the database and brings it to this version's schema. Throws `NewerSchemaError` if it has a later one, and
 * `unavailable` with PostgreSQL's own words as cause when it cannot be reached in time.
 */
export async function openPostgres(options: PostgresOptions): Promise<Database> {
  const { log, closeTimeoutMs = 10_000 } = options
  const sessions = new Sessions(options)
  try {
    await migratePostgres(sessions)
  } catch (error) {
    await sessions.close()
    throw error
  }
  const turns = new Turns(options.writers)
  const insideWork = new AsyncLocalStorage<{ isRunning: boolean }>()
  const read = new Kysely<Schema>({
    dialect: postgresDialect(
      driverOf({ executeQuery: (query) => runRead(sessions, query) }, { ...noTransactions }),
    ),
  })
  const running = new Set<Promise<unknown>>()
  let lastAside: Promise<unknown> = Promise.resolve()
  let closed: Promise<void> | undefined
  const forgetting = setInterval(() => {
    pruneMarks(sessions).catch((error) => log?.warn({ err: error }, 'old commit marks were not removed'))
  }, forgetMarksEveryMs).unref()

  const track = <T>(promise: Promise<T>): Promise<T> => {
    running.add(promise)
    const forget = () => void running.delete(promise)
    promise.then(forget, forget)
    return promise
  }

  /** Marks what `work` does, so that a write inside a write is noticed. */
  const marked =
    <T>(work: (trx: Transaction<Schema>) => Promise<T>) =>
    async (trx: Transaction<Schema>): Promise<T> => {
      const scope = { isRunning: true }
      try {
        return await insideWork.run(scope, work, trx)
      } finally {
        scope.isRunning = false
      }
    }

  async function shutDown(): Promise<void> {
    clearInterval(forgetting)
    const timer = new AbortController()
    const isIdle = await Promise.race([
      Promise.allSettled(running).then(() => true),
      delay(closeTimeoutMs, false, { signal: timer.signal }).catch(() => false),
    ])
    timer.abort()
    if (!isIdle) log?.warn({ closeTimeoutMs }, 'closing the database over a transaction that does not end')
    const closing = sessions.close()
    // Without this, a connection that is never given back would be waited for.
    if (isIdle) await closing
  }

  return {
    read,

    readAside<R>(query: CompiledQuery<R>) {
      if (closed !== undefined) return Promise.reject(new HoldfastError('unavailable'))
      // One at a time: they are long, and connections are few.
      const result = lastAside.then(() => runAside<R>(sessions, query))
      lastAside = result.catch(() => {})
      return track(result)
    },

    write<T>(work: (trx: Transaction<Schema>) => Promise<T>) {
      if (insideWork.getStore()?.isRunning)
        return Promise.reject(new Error('a write inside the work of another write: use its trx instead'))
      if (closed !== undefined) return Promise.reject(new HoldfastError('unavailable'))
      return track(turns.run(() => writeUntilDone(sessions, marked(work))))
    },

    close() {
      closed ??= shutDown()
      return closed
    },
  }
}

const noTransactions = {
  beginTransaction: async () => {
    throw new Error('transactions are for Database.write; what must be read consistently goes into one query')
  },
  commitTransaction: async () => {},
  rollbackTransaction: async () => {},
}

/** Runs the transaction until it is committed or fails for reasons of its own. */
const writeUntilDone = async <T>(
  sessions: Sessions,
  work: (trx: Transaction<Schema>) => Promise<T>,
): Promise<T> => {
  let turn: Turn = 'shared'
  for (let count = 1; ; count++) {
    try {
      return await attempt(sessions, turn, work)
    } catch (error) {
      // What it looked for and did not find may have been committed since. Alone, the violation is its own doing.
      const isStale = turn === 'shared' && error instanceof ConstraintError && isAboutOthers(error)
      if (!isStale && !(error instanceof UndoneError)) throw error
      const isLost = error instanceof UndoneError && error.reason === 'lost'
      if (count >= mostAttempts || (isLost && sessions.isGivenUp))
        throw new HoldfastError('unavailable', { cause: error.cause })
      if (count >= aloneAfter) turn = 'alone'
      await delay(Math.random() * pauseStepMs * count)
    }
  }
}

/** Whether another transaction can have caused the violation. */
const isAboutOthers = ({ kind }: ConstraintError): boolean => kind === 'unique' || kind === 'foreign_key'

/** A read is run again when its connection was lost. */
const runRead = async <R>(sessions: Sessions, query: CompiledQuery): Promise<QueryResult<R>> => {
  for (let count = 1; ; count++) {
    const session = await sessions.acquire()
    try {
      return await runQuery<R>(session, query)
    } catch (error) {
      if (failureKind(error) !== 'lost' || count >= mostAttempts || sessions.isGivenUp)
        throw toDatabaseError(error, 'read')
    } finally {
      session.release()
    }
  }
}

const runAside = async <R>(
  sessions: Sessions,
  { sql, parameters }: CompiledQuery<R>,
): Promise<readonly R[]> => {
  const session = await sessions.acquire()
  try {
    await session.query(`BEGIN READ ONLY; SET LOCAL statement_timeout = ${asideTimeoutMs}`)
    const { rows } = await session.query(sql, [...parameters], asideTimeoutMs)
    await session.query('COMMIT')
    return rows as R[]
  } catch (error) {
    session.abandon()
    throw toDatabaseError(error, 'read')
  } finally {
    session.release()
  }
}
