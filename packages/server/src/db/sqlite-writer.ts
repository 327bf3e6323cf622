/** The main thread's end of the writing thread, and the Kysely driver that runs transactions on it. */
import { Worker } from 'node:worker_threads'
import { HoldfastError } from '@holdfast/api/errors'
import type { CompiledQuery, DatabaseConnection, Driver, QueryResult } from 'kysely'
import type { StatementResult } from './sqlite-connection.ts'
import { refuseStream, toQueryResult } from './sqlite-dialect.ts'
import { toDatabaseError } from './sqlite-errors.ts'
import type { WriterReply, WriterRequest, WriterTask } from './sqlite-worker.ts'

interface PendingTask {
  resolve(result: StatementResult): void
  reject(error: Error): void
}

/**
 * A connection that lives in a thread of its own. When the thread dies, every task under way and every later one is
 * refused with `unavailable`; none is left waiting.
 */
export class SqliteWriter {
  // Flags that the process was started with may not fit a thread's file (`--input-type`, say).
  readonly #worker = new Worker(new URL('./sqlite-worker.ts', import.meta.url), { execArgv: [] })
  readonly #pending = new Map<number, PendingTask>()
  #nextId = 1
  #death: HoldfastError | undefined

  private constructor(onDeath: (error: HoldfastError) => void) {
    const die = (reason: unknown) => {
      if (this.#death !== undefined) return
      this.#death = new HoldfastError('unavailable', { cause: reason })
      for (const task of this.#pending.values()) task.reject(this.#death)
      this.#pending.clear()
      onDeath(this.#death)
    }
    this.#worker.on('error', die)
    this.#worker.on('messageerror', die)
    this.#worker.on('exit', (code) =>
      die(new Error(`the database's writing thread ended (exit code ${code})`)),
    )
    this.#worker.on('message', (reply: WriterReply) => this.#settle(reply))
    // An idle writer keeps no process alive; a task under way does.
    this.#worker.unref()
  }

  /** Starts the thread and opens the file at `path`. `onDeath` is called once, when the thread ends for any reason. */
  static async open(path: string, onDeath: (error: HoldfastError) => void): Promise<SqliteWriter> {
    const writer = new SqliteWriter(onDeath)
    try {
      await writer.perform({ kind: 'open', path })
      return writer
    } catch (error) {
      await writer.terminate()
      throw error
    }
  }

  /** Has the thread do something; resolves when it has. Tasks are done in the order of the calls. */
  perform(task: WriterTask): Promise<StatementResult> {
    if (this.#death !== undefined) return Promise.reject(this.#death)
    return new Promise((resolve, reject) => {
      const id = this.#nextId++
      this.#worker.postMessage({ id, ...task } satisfies WriterRequest)
      this.#pending.set(id, { resolve, reject })
      if (this.#pending.size === 1) this.#worker.ref()
    })
  }

  /** Ends the thread at once; a transaction that has not been committed is undone. */
  async terminate(): Promise<void> {
    await this.#worker.terminate()
  }

  #settle({ id, result, failure }: WriterReply): void {
    const task = this.#pending.get(id)
    if (task === undefined) return
    this.#pending.delete(id)
    if (this.#pending.size === 0) this.#worker.unref()
    if (failure !== undefined) task.reject(toDatabaseError(failure, 'write'))
    else task.resolve(result!)
  }
}

/**
 * One transaction's view of the writer. Queries that come after its end are refused: by the thread while the commit or
 * rollback is under way, as it is then in no transaction, and by Kysely afterwards.
 */
class WriterTransaction implements DatabaseConnection {
  readonly #writer: SqliteWriter
  /** Why nothing more may run: the disk failed, or the writer is gone. A transaction does not survive either. */
  #doom: HoldfastError | undefined
  readonly streamQuery = refuseStream

  constructor(writer: SqliteWriter) {
    this.#writer = writer
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    return toQueryResult<R>(await this.#perform({ kind: 'run', sql, parameters: parameters.map(ownBytes) }))
  }

  async begin(): Promise<void> {
    await this.#perform({ kind: 'begin' })
  }

  async commit(): Promise<void> {
    await this.#perform({ kind: 'commit' })
  }

  async rollback(): Promise<void> {
    // Kysely would throw a failure of the rollback in place of its reason. SQLite undoes it without us as well.
    await this.#writer.perform({ kind: 'rollback' }).catch(() => {})
  }

  async #perform(task: WriterTask): Promise<StatementResult> {
    if (this.#doom !== undefined) throw this.#doom
    try {
      return await this.#writer.perform(task)
    } catch (error) {
      if (error instanceof HoldfastError) this.#doom = error
      throw error
    }
  }
}

/** To send a view is to send all the memory behind it, which for small buffers is a pool shared with others. */
const ownBytes = (value: unknown): unknown =>
  ArrayBuffer.isView(value) && value.byteLength !== value.buffer.byteLength
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice()
    : value

/**
 * Runs Kysely's transactions on the writer. It has one connection and no queue: `Database.write` calls it for one
 * transaction at a time. The writer stays its opener's to close.
 */
export class WriterDriver implements Driver {
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
    await connection.rollback()
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {}
}
