/**
 * Copies rows. They go in the order of their key, a page and a transaction at a time, so that what is there already is
 * always the beginning of a table: a run that was cut goes on after its last row.
 */
import { type Kysely, sql } from 'kysely'
import type { Database } from '../../db/database.ts'
import type { Schema } from '../../db/schema.ts'
import { BackupError } from '../format.ts'
import { type AnyRow, lastRow, nameOfRow, pagesOf, planOf, type TableName } from './table-pages.ts'

/** One end of a migration. */
export interface TableEnd {
  readonly db: Database
  readonly isPostgres: boolean
}

export interface CopyTablesOptions {
  readonly from: TableEnd
  readonly to: TableEnd
  readonly tables: readonly TableName[]
  readonly signal: AbortSignal
  /** Told of every page. */
  onRows(table: TableName, count: number): void
}

/** Copies what is missing of each table, and where its counter stands. */
export const copyTables = async (options: CopyTablesOptions): Promise<void> => {
  const { from, to, tables, signal, onRows } = options
  for (const table of tables) {
    for await (const page of pagesOf(from.db.read, table, await lastRow(to.db.read, table))) {
      signal.throwIfAborted()
      if (to.isPostgres) refuseZeros(table, page)
      await to.db.write((trx) => insertRows(trx, table, page))
      onRows(table, page.length)
    }
    const { counter } = planOf(table)
    if (counter !== undefined) await setCounter(to, table, counter, await readCounter(from, table, counter))
  }
}

const insertRows = async (trx: Kysely<Schema>, table: TableName, rows: readonly AnyRow[]): Promise<void> => {
  await (trx as unknown as Kysely<Record<string, AnyRow>>)
    .insertInto(table)
    .values([...rows])
    .execute()
}

/** The server lets none of them in; but SQLite would have taken them, and PostgreSQL's own words name no row. */
const refuseZeros = (table: TableName, rows: readonly AnyRow[]): void => {
  for (const row of rows)
    for (const [column, value] of Object.entries(row))
      if (typeof value === 'string' && value.includes('\0'))
        throw new BackupError(
          `${nameOfRow(table, row)}: ${column} holds the character U+0000, which PostgreSQL does not store. Change it in ` +
            'the old store (holdfast-server migrate --reopen lets it start again), then repeat.',
        )
}

/** The highest number that was ever given, also to rows that are gone. */
export const readCounter = async (
  { db, isPostgres }: TableEnd,
  table: TableName,
  column: string,
): Promise<number> => {
  if (!isPostgres) {
    const { rows } = await sql<{
      seq: number
    }>`SELECT seq FROM sqlite_sequence WHERE name = ${table}`.execute(db.read)
    return rows[0]?.seq ?? 0
  }
  const { rows } = await sql<{ sequence: string }>`
    SELECT pg_get_serial_sequence(${table}, ${column}) AS sequence`.execute(db.read)
  const { rows: values } = await sql<{ last: number }>`
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS last FROM ${sql.raw(rows[0]!.sequence)}`.execute(
    db.read,
  )
  return values[0]!.last
}

const setCounter = async (
  { db, isPostgres }: TableEnd,
  table: TableName,
  column: string,
  value: number,
): Promise<void> => {
  if (value === 0) return
  await db.write(async (trx) => {
    if (isPostgres) {
      await sql`SELECT setval(pg_get_serial_sequence(${table}, ${column}), ${value}::bigint)`.execute(trx)
      return
    }
    await sql`DELETE FROM sqlite_sequence WHERE name = ${table}`.execute(trx)
    await sql`INSERT INTO sqlite_sequence (name, seq) VALUES (${table}, ${value})`.execute(trx)
  })
}
