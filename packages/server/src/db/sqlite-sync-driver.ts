/** The driver that runs statements in the calling thread: for reads, and for migrations at the start. */
import type { CompiledQuery, DatabaseConnection, Driver, QueryResult } from 'kysely'
import { describeFailure, type StatementResult } from './sqlite-connection.ts'
import { refuseStream, toQueryResult } from './sqlite-dialect.ts'
import { toDatabaseError } from './sqlite-errors.ts'

/** What runs a statement in the calling thread: a connection, or one of several. */
export interface StatementRunner {
  run(sql: string, parameters: readonly unknown[]): StatementResult
}

/**
 * Every query shares one connection without waiting for its turn, as each runs to its end in one go. Therefore there
 * are no transactions: statements of others would fall into them. The connection stays its opener's to close.
 */
export class SyncDriver implements Driver {
  readonly #face: DatabaseConnection

  constructor(connection: StatementRunner) {
    this.#face = {
      async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
        try {
          return toQueryResult<R>(connection.run(query.sql, query.parameters))
        } catch (error) {
          throw toDatabaseError(describeFailure(error), 'read')
        }
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
