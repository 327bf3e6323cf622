/**
 * Connections to PostgreSQL: a pool of them, how each is set up, and what happens while the database is away.
 *
 * A restart of the database takes seconds. Who asks for a connection meanwhile waits, but not longer than the database has
 * been away for `patienceMs`; from then on everybody is refused at once, and each request tries to connect once.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError } from '@holdfast/api/errors'
import { type ClientBase, Pool, type PoolClient, type QueryResult } from 'pg'
import { failureKind, toDatabaseError } from './postgres-errors.ts'
import { valueTypes } from './postgres-values.ts'
import type { DatabaseLog } from './sqlite.ts'

export interface SessionOptions {
  /** `postgres://user:password@host:port/database?...`; what it leaves out comes from PG* variables and the password file. */
  readonly url: string
  /** How this process calls itself in `pg_stat_activity`. */
  readonly applicationName: string
  /** Most connections at a time. */
  readonly connections: number
  /** A statement that runs longer is ended. */
  readonly statementTimeoutMs: number
  /** Who waits longer for a lock gives up. */
  readonly lockTimeoutMs: number
  /** How long the database may be away before requests are refused. */
  readonly patienceMs: number
  readonly log?: DatabaseLog | undefined
}

/** A transaction that has been silent for this long belongs to a process that is frozen or cut off. */
const idleInTransactionMs = 15_000
/** Ours is later than the server's, which ends the statement and not the connection. */
const clientGraceMs = 5_000
const connectTimeoutMs = 5_000
const firstPauseMs = 50
const longestPauseMs = 500

/** A connection on loan. Give it back with `release`. */
export class Session {
  readonly #client: PoolClient
  #isBroken = false

  constructor(client: PoolClient) {
    this.#client = client
  }

  /** Runs a statement, or without values several of them; rejects with what `pg` rejects with. */
  async query(text: string, values?: unknown[], timeoutMs?: number): Promise<QueryResult> {
    try {
      const timeout = timeoutMs === undefined ? {} : { query_timeout: timeoutMs + clientGraceMs }
      return await this.#client.query({ text, ...(values && { values }), ...timeout })
    } catch (error) {
      if (failureKind(error) === 'lost') this.#isBroken = true
      throw error
    }
  }

  /** The connection is in a state that nobody should inherit. */
  abandon(): void {
    this.#isBroken = true
  }

  /** Gives the connection back, or closes it when it is broken. */
  release(): void {
    this.#client.release(this.#isBroken)
  }
}

/** The pool. */
export class Sessions {
  readonly #pool: Pool
  readonly #options: SessionOptions
  /** By `performance.now()`; undefined while the database answers. */
  #awaySince: number | undefined
  #isClosed = false
  #hasWarned = false

  constructor(options: SessionOptions) {
    const { url, applicationName, connections, statementTimeoutMs, lockTimeoutMs } = options
    this.#options = options
    this.#pool = new Pool({
      connectionString: url,
      application_name: applicationName,
      max: connections,
      types: valueTypes,
      keepAlive: true,
      connectionTimeoutMillis: connectTimeoutMs,
      statement_timeout: statementTimeoutMs,
      lock_timeout: lockTimeoutMs,
      idle_in_transaction_session_timeout: idleInTransactionMs,
      query_timeout: statementTimeoutMs + clientGraceMs,
      onConnect: (client) => this.#setUp(client),
    })
    // Each is told to whoever runs a query; an idle connection that breaks is nobody's.
    this.#pool.on('connect', (client) => void client.on('error', () => {}))
    this.#pool.on('error', () => {})
  }

  /** Lends a connection. Rejects with `unavailable` when there is none in time. */
  async acquire(): Promise<Session> {
    for (let pause = firstPauseMs; ; pause = Math.min(pause * 2, longestPauseMs)) {
      if (this.#isClosed) throw new HoldfastError('unavailable')
      try {
        const client = await this.#pool.connect()
        this.#noteAnswer()
        return new Session(client)
      } catch (error) {
        const refusal = toDatabaseError(error, 'write')
        // All of our own connections are busy: the database is not away.
        const isCrowded = this.#pool.idleCount === 0 && this.#pool.totalCount >= this.#options.connections
        if (failureKind(error) !== 'lost' || isCrowded) throw refusal
        if (this.#noteSilence(error) > this.#options.patienceMs) throw refusal
        await delay(pause * (0.5 + Math.random() / 2))
      }
    }
  }

  /** Whether the database has been away for so long that waiting is over. */
  get isGivenUp(): boolean {
    return this.#awaySince !== undefined && performance.now() - this.#awaySince > this.#options.patienceMs
  }

  /** Closes all connections, those on loan when they come back. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#pool.end()
  }

  /**
   * Reads are not to write by mistake. A commit is to be on the disk when it is acknowledged: `synchronous_commit` is the
   * one setting that a role or a database may have changed without an error anywhere, so it is put right here.
   */
  async #setUp(client: ClientBase): Promise<void> {
    // One after the other: a batch would be one transaction, in which settings are read as they were.
    const { rows } = await client.query(
      `SELECT current_setting('synchronous_commit') AS commits, current_setting('fsync') AS fsync,
              current_setting('full_page_writes') AS pages, current_setting('server_encoding') AS encoding`,
    )
    const { commits, fsync, pages, encoding } = rows[0] as Record<string, string>
    if (encoding !== 'UTF8')
      throw new HoldfastError('unavailable', {
        message: `the database has the encoding ${encoding}; Holdfast needs UTF8`,
      })
    const isLazy = commits === 'off'
    await client.query(
      `SET default_transaction_read_only = on; SET client_min_messages = warning${isLazy ? '; SET synchronous_commit = on' : ''}`,
    )
    if (this.#hasWarned) return
    this.#hasWarned = true
    const { log } = this.#options
    if (isLazy) log?.warn({}, 'the database has synchronous_commit off: Holdfast turns it on for itself')
    if (fsync === 'off' || pages === 'off')
      log?.warn(
        { fsync, full_page_writes: pages },
        'a power failure can destroy this database: turn fsync and full_page_writes on',
      )
  }

  #noteAnswer(): void {
    if (this.#awaySince === undefined) return
    const seconds = (performance.now() - this.#awaySince) / 1000
    this.#awaySince = undefined
    this.#options.log?.warn({ seconds }, 'the database answers again')
  }

  /** Tells for how long it has been silent. */
  #noteSilence(error: unknown): number {
    const now = performance.now()
    if (this.#awaySince === undefined) {
      this.#awaySince = now
      this.#options.log?.error({ err: toDatabaseError(error, 'read').cause }, 'the database does not answer')
    }
    return now - this.#awaySince
  }
}
