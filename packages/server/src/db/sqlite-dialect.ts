/** Kysely's own SQLite compiler, adapter and introspector over a driver of ours. */
import {
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import type { StatementResult } from './sqlite-connection.ts'

/** The dialect for queries that `driver` runs. */
export const sqliteDialect = (driver: Driver): Dialect => ({
  createDriver: () => driver,
  createQueryCompiler: () => new SqliteQueryCompiler(),
  createAdapter: () => new SqliteAdapter(),
  createIntrospector: (db: Kysely<unknown>) => new SqliteIntrospector(db),
})

/** A statement's result in the form Kysely expects. */
export const toQueryResult = <R>(result: StatementResult): QueryResult<R> =>
  result.changes === undefined
    ? { rows: result.rows as R[] }
    : {
        rows: result.rows as R[],
        numAffectedRows: BigInt(result.changes),
        ...(result.lastId === undefined ? {} : { insertId: BigInt(result.lastId) }),
      }

/** A stream would keep one old state open for every other query of its connection: lists are paged instead. */
export const refuseStream: DatabaseConnection['streamQuery'] = () => {
  throw new Error('queries are not streamed here: ask for one page at a time')
}
