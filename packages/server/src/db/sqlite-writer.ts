/**
 * Write transactions, one at a time in the order they were asked for, in the calling thread.
 *
 * A statement takes microseconds and `work` waits for nothing else, so a transaction runs through in one go; what waits
 * for the disk, the flush of the log, others wait for too (`LogFlush`), and the next transaction need not wait for it.
 * Many transactions in a row, or one of many statements, let the event loop turn every few milliseconds.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { HoldfastError } from '@holdfast/api/errors'
import type { QueryResult } from 'kysely'
import { type CompiledQuery, type DatabaseConnection, type Driver, Kysely, type Transaction } from 'kysely'
import type { Schema } from './schema.ts'
import { describeFailure, type SqliteConnection, type StatementResult } from './sqlite-connection.ts'
import { refuseStream, sqliteDialect, toQueryResult } from './sqlite-dialect.ts'
import { isBusy, toDatabaseError } from './sqlite-errors.ts'

/** Time after which others get their turn, in milliseconds. */
const turnMs = 4
/** Another process's transaction (an administrator's tool, say) is waited for so long, and asked after so often. */
const patienceMs = 10_000
const askAgainMs = 10

export interface WriterEvents {
  /** A transaction is about to be committed; throwing keeps it from that. */
  beforeCommit(): void
  /** It was, and changed so many rows. */
  committed(changes: number): void
  /** A transaction has ended, or others get their turn: what was committed should be flushed now. */
  pausing(): void
}

/** The one who writes. The connection stays its opener's to close. */
export class SqliteWriter {
  readonly #connection: SqliteConnection
  readonly #events: WriterEvents
  readonly #kysely: Kysely<Schema>
  readonly #queue: (() => Promise<void>)[] = []
  #running: Promise<void> | undefined
  #turnBegan = 0
  #end: HoldfastError | undefined

  constructor(connection: SqliteConnection, events: WriterEvents) {
    this.#connection = connection
    this.#events = events
    this.#kysely = new Kysely<Schema>({ dialect: sqliteDialect(new WriterDriver(this)) })
  }

  /** Runs `work` in a transaction; resolves when it is committed, which is not yet durable. */
  transact<T>(work: (trx: Transaction<Schema>) => Promise<T>): Promise<T> {
    return this.inTurn(() => this.#kysely.transaction().execute(work))
  }

  /** Runs something else when its turn has come, with no transaction under way. */
  inTurn<T>(task: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.#queue.push(() => task().then(resolve, reject))
    this.#running ??= this.#run()
    return promise
  }

  /** Resolves when nothing waits or is under way. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running
  }

  /** Undoes the transaction under way, and refuses it and all others with `reason`. */
  end(reason: HoldfastError): void {
    if (this.#end) return
    this.#end = reason
    this.#connection.rollback()
  }

  /** One statement of the transaction under way. */
  async run({ sql, parameters }: CompiledQuery): Promise<StatementResult> {
    await this.#yieldInTime()
    return this.#attempt(() => {
      // Outside a transaction each statement would commit by itself.
      if (!this.#connection.isInTransaction) throw new Error('the transaction has ended')
      return this.#connection.run(sql, parameters)
    })
  }

  async begin(): Promise<void> {
    const since = performance.now()
    for (;;) {
      try {
        if (this.#end) throw this.#end
        return this.#connection.begin()
      } catch (error) {
        if (!isBusy(describeFailure(error)) || performance.now() - since > patienceMs) throw toFailure(error)
      }
      this.#events.pausing()
      await sleep(askAgainMs)
      this.#turnBegan = performance.now()
    }
  }

  commit(changes: number): void {
    this.#attempt(() => {
      this.#events.beforeCommit()
      this.#connection.commit()
    })
    this.#events.committed(changes)
  }

  rollback(): void {
    try {
      this.#connection.rollback()
    } catch {
      // Kysely would throw this in place of the reason for the rollback. SQLite undoes it without us as well.
    }
  }

  #attempt<T>(act: () => T): T {
    if (this.#end) throw this.#end
    try {
      return act()
    } catch (error) {
      throw toFailure(error)
    }
  }

  async #run(): Promise<void> {
    // Those who ask in the same go are in the queue by then.
    await undefined
    this.#turnBegan = performance.now()
    for (let task = this.#queue.shift(); task; task = this.#queue.shift()) {
      await task()
      await this.#yieldInTime()
    }
    this.#running = undefined
    this.#events.pausing()
  }

  async #yieldInTime(): Promise<void> {
    if (performance.now() - this.#turnBegan < turnMs) return
    this.#events.pausing()
    await nextTurn()
    this.#turnBegan = performance.now()
  }
}

const toFailure = (error: unknown): Error =>
  error instanceof HoldfastError ? error : toDatabaseError(describeFailure(error), 'write')

/** One transaction's view of the writer: queries that come after its end are refused. */
class WriterTransaction implements DatabaseConnection {
  readonly #writer: SqliteWriter
  #changes = 0
  /** Whether it may have changed something; what only read needs no flush of its own. */
  #hasWritten = false
  #hasEnded = false
  /** Why nothing more may run: the disk failed, or the writer has ended. A transaction does not survive either. */
  #doom: HoldfastError | undefined
  readonly streamQuery = refuseStream

  constructor(writer: SqliteWriter) {
    this.#writer = writer
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    if (this.#hasEnded) throw new Error('the transaction has ended')
    return this.#unlessDoomed(async () => {
      if (query.query.kind !== 'SelectQueryNode') this.#hasWritten = true
      const result = await this.#writer.run(query)
      this.#changes += result.changes ?? 0
      return toQueryResult<R>(result)
    })
  }

  begin(): Promise<void> {
    return this.#writer.begin()
  }

  async commit(): Promise<void> {
    this.#hasEnded = true
    await this.#unlessDoomed(async () => {
      if (this.#hasWritten) this.#writer.commit(this.#changes)
      else this.#writer.rollback()
    })
  }

  rollback(): void {
    this.#hasEnded = true
    this.#writer.rollback()
  }

  async #unlessDoomed<T>(act: () => Promise<T>): Promise<T> {
    if (this.#doom !== undefined) throw this.#doom
    try {
      return await act()
    } catch (error) {
      if (error instanceof HoldfastError) this.#doom = error
      throw error
    }
  }
}

/** Runs Kysely's transactions on the writer, which calls for one at a time. */
class WriterDriver implements Driver {
  readonly #writer: SqliteWriter

  constructor(writer: SqliteWriter) {
    this.#writer = writer
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<WriterTransaction> {
    return new WriterTransaction(this.#writer)
  }

  async beginTransaction(connection: WriterTransaction): Promise<void> {
    await connection.begin()
  }

  async commitTransaction(connection: WriterTransaction): Promise<void> {
    await connection.commit()
  }

  async rollbackTransaction(connection: WriterTransaction): Promise<void> {
    connection.rollback()
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {}
}
