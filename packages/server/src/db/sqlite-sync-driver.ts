/** The driver that runs statements in the calling thread: for reads, and for migrations at the start. */
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
} from 'kysely'
import { describeFailure, type StatementResult } from './sqlite-connection.ts'
import { refuseStream, sqliteDialect, toQueryResult } from './sqlite-dialect.ts'
import { toDatabaseError } from './sqlite-errors.ts'

/** What runs a statement in the calling thread: a connection, or one of several. */
export interface StatementRunner {
  run(sql: string, parameters: readonly unknown[]): StatementResult
}

/**
 * The adapter of a database that answers in the calling thread. Kysely asks for a connection, waits for it, for the rows, and
 * for the connection's return; who knows this class (`prepared`) spares that, which takes longer than the query.
 */
export class SyncAdapter extends SqliteAdapter {
  readonly #connection: StatementRunner

  constructor(connection: StatementRunner) {
    super()
    this.#connection = connection
  }

  /** Runs a statement; throws as `Database.read` rejects. */
  rowsOf(sql: string, parameters: readonly unknown[]): Record<string, unknown>[] {
    return runRead(this.#connection, sql, parameters).rows
  }
}

/** The dialect for queries that run on `connection` in the calling thread. */
export const syncDialect = (connection: StatementRunner): Dialect => ({
  ...sqliteDialect(new SyncDriver(connection)),
  createAdapter: () => new SyncAdapter(connection),
})

const runRead = (
  connection: StatementRunner,
  sql: string,
  parameters: readonly unknown[],
): StatementResult => {
  try {
    return connection.run(sql, parameters)
  } catch (error) {
    throw toDatabaseError(describeFailure(error), 'read')
  }
}

/**
 * Every query shares one connection without waiting for its turn, as each runs to its end in one go. Therefore there
 * are no transactions: statements of others would fall into them. The connection stays its opener's to close.
 */
class SyncDriver implements Driver {
  readonly #face: DatabaseConnection

  constructor(connection: StatementRunner) {
    this.#face = {
      async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
        return toQueryResult<R>(runRead(connection, query.sql, query.parameters))
      },
      streamQuery: refuseStream,
    }
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    return this.#face
  }

  async releaseConnection(): Promise<void> {}

  async beginTransaction(): Promise<void> {
    throw new Error('transactions are for Database.write; what must be read consistently goes into one query')
  }

  async commitTransaction(): Promise<void> {}

  async rollbackTransaction(): Promise<void> {}

  async destroy(): Promise<void> {}
}
