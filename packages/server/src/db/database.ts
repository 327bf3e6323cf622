/**
 * What the rest of the server knows of SQL: where to read, how to write, and how to stop.
 * `sqlite.ts` has the embedded implementation, `postgres.ts` the one for PostgreSQL.
 */
import { HoldfastError } from '@holdfast/api/errors'
import { type CompiledQuery, type Kysely, sql, type Transaction } from 'kysely'
import type { Schema } from './schema.ts'

export interface Database {
  /**
   * For queries outside write transactions. Each query sees everything committed before it began, above all what
   * this process wrote: once a `write` has resolved, its effects are visible here. Two queries may see two states;
   * what must be consistent goes into one query. Writing through it fails.
   *
   * PostgreSQL may be asked by several at a time; there a query also waits while the database is away for a moment.
   * Embedded, a query runs in the calling thread and blocks it: ask for pages, not for whole tables. What another process
   * commits is seen from the next turn of the event loop on.
   */
  readonly read: Kysely<Schema>

  /**
   * Runs a query that looks at many rows, of which few come back (a sum, say), without blocking the calling thread. It sees
   * what `read` would. Embedded, it costs a thread's start, some tens of milliseconds, and such queries run one at a
   * time: for what would take longer than that.
   */
  readAside<R>(query: CompiledQuery<R>): Promise<readonly R[]>

  /**
   * Runs `work` in a transaction and resolves with its result once the transaction is durable: it then survives
   * power loss. Transactions have the effect of running one after the other, whoever runs them, so what `work` reads
   * through `trx` stays true until the commit. Embedded they do run so, in the order of their calls.
   *
   * When `work` throws, everything is rolled back and the promise rejects with what it threw.
   *
   * Contract for `work`:
   * - it may run more than once, from its beginning, when PostgreSQL could not give it a place among the others; only
   *   the last run's effects are in the database, and what it changes outside of it must be the same after two runs;
   * - use only `trx` in it, never `read` or another `write` (that one would wait for this one: a deadlock);
   * - wait for nothing but SQL: no files, no network, no timers, as other writers wait meanwhile;
   * - finish every query before returning; a query left behind runs in nobody's transaction and is refused;
   * - do not go on after a query that failed: let it be thrown;
   * - have no effect outside the database, or be ready for a commit that fails after `work` has returned.
   *
   * Rejects with `HoldfastError`: `storage_full` when the disk or the database is full or the disk fails, nothing
   * having changed; `unavailable` when the database is closing, its writer has died, or PostgreSQL is away. Of a commit
   * during which that happens nobody knows whether it took place: `isInDoubt` tells, and writes that matter must be
   * safe to repeat. A violated constraint rejects with a `ConstraintError`.
   */
  write<T>(work: (trx: Transaction<Schema>) => Promise<T>): Promise<T>

  /**
   * Writes a consistent copy of the whole database to a new file at `path` while reads and writes go on. Only the
   * embedded database has it; PostgreSQL brings its own tools.
   */
  backupTo?(path: string): Promise<void>

  /**
   * Refuses new writes with `unavailable`, waits a bounded time for those already asked for, then lets go of
   * everything. May be called again; `read` fails afterwards.
   */
  close(): Promise<void>
}

/** Where a query runs: on `Database.read`, or in a write transaction (a `Transaction` is a `Kysely` too). */
export type Sql = Kysely<Schema>

/** The kind of rule a statement would have broken. */
export type ConstraintKind = 'unique' | 'foreign_key' | 'check' | 'not_null' | 'other'

/**
 * A statement would have broken a rule of the schema and changed nothing. The transaction is lost with it: code asks
 * first (nobody else can come in between) or says `onConflict`.
 */
export class ConstraintError extends Error {
  override readonly name = 'ConstraintError'
  readonly kind: ConstraintKind

  constructor(kind: ConstraintKind, message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
  }
}

/** The database went away during a commit, and did not come back in time to say whether it took place. */
export class InDoubtError extends HoldfastError {
  constructor(cause: unknown) {
    super('unavailable', { message: 'the database went away during a commit', cause })
  }
}

/** Whether `error` leaves open whether the transaction was committed; it may even be committed later. */
export const isInDoubt = (error: unknown): boolean => error instanceof InDoubtError

/** Whether `error` says that a row with this key exists already. */
export const isUniqueViolation = (error: unknown): error is ConstraintError =>
  error instanceof ConstraintError && error.kind === 'unique'

/**
 * The state `deleted` as a literal of SQL: `.where('artifacts.state', '<>', deleted)`. Indexes that hold only rows
 * not deleted serve a query that says so with this literal; with a bound parameter it has to be planned anew at every
 * run. Without the condition, or with another one (`state = 'created'`), such an index does not serve at all, and the
 * query reads the whole table. Also for `onConflict((c) => c.columns([...]).where('state', '<>', deleted))`.
 */
export const deleted = sql.lit('deleted' as const)

/**
 * A number as a literal of SQL, for the `limit` of queries that are asked often: SQLite plans a query anew at every run whose
 * limit is a bound parameter, which takes four times as long as to run it.
 */
export const asLiteral = (value: number) => sql.lit(value)
