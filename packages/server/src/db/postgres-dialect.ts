/** Kysely's own PostgreSQL compiler, adapter and introspector over drivers of ours. */
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
} from 'kysely'
import type { Session } from './postgres-sessions.ts'
import { toParameters } from './postgres-values.ts'
import { refuseStream } from './sqlite-dialect.ts'

/** One for all: queries are kept by it (`prepared.ts`), and each transaction has a dialect of its own. */
const adapter = new PostgresAdapter()

/** The dialect for queries that `driver` runs. */
export const postgresDialect = (driver: Driver): Dialect => ({
  createDriver: () => driver,
  createQueryCompiler: () => new PostgresQueryCompiler(),
  createAdapter: () => adapter,
  createIntrospector: (db: Kysely<unknown>) => new PostgresIntrospector(db),
})

const changing = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

/** Runs one of Kysely's queries; rejects with what `pg` rejects with. */
export const runQuery = async <R>(
  session: Session,
  { sql, parameters }: CompiledQuery,
): Promise<QueryResult<R>> => {
  const { command, rowCount, rows } = await session.query(sql, toParameters(parameters))
  return {
    rows: rows as R[],
    ...(changing.has(command) && { numAffectedRows: BigInt(rowCount ?? 0) }),
  }
}

/** A driver for one connection that somebody else opened and will close. */
export const driverOf = (
  connection: Pick<DatabaseConnection, 'executeQuery'>,
  transactions: Pick<Driver, 'beginTransaction' | 'commitTransaction' | 'rollbackTransaction'>,
): Driver => {
  const face: DatabaseConnection = {
    executeQuery: (query) => connection.executeQuery(query),
    streamQuery: refuseStream,
  }
  return {
    ...transactions,
    init: async () => {},
    acquireConnection: async () => face,
    releaseConnection: async () => {},
    destroy: async () => {},
  }
}
