/** Reading any table from one end to the other, in the order of its primary key, a page at a time. */
import { sql } from 'kysely'
import type { Sql } from '../../db/database.ts'
import type { Schema } from '../../db/schema.ts'
import { type TablePlan, tablePlans } from './tables.ts'

export type TableName = keyof Schema
export type AnyRow = Readonly<Record<string, unknown>>

/** Bounds what is in memory, and stays below the number of values that a statement may have. */
const rowsAtOnce = 500

export const planOf = (table: TableName): TablePlan => {
  const plan = tablePlans[table]
  if (plan === 'left') throw new Error(`the table ${table} is not carried`)
  return plan as unknown as TablePlan
}

/** The rows after the one with this key. */
const readPage = async (db: Sql, table: TableName, after: AnyRow | undefined): Promise<AnyRow[]> => {
  const { key, rows = rowsAtOnce, without = [] } = planOf(table)
  const names = sql.join(key.map((column) => sql.ref(column)))
  const conditions = [
    ...(after ? [sql`(${names}) > (${sql.join(key.map((column) => after[column]))})`] : []),
    ...(without.length > 0 ? [sql`${sql.ref(key[0]!)} NOT IN (${sql.join([...without])})`] : []),
  ]
  const where = conditions.length > 0 ? sql`WHERE ${sql.join(conditions, sql` AND `)}` : sql``
  const page = await sql<AnyRow>`
    SELECT * FROM ${sql.table(table)} ${where} ORDER BY ${names} LIMIT ${sql.lit(rows)}`.execute(db)
  return page.rows
}

/** All rows that are carried, page after page. */
export async function* pagesOf(db: Sql, table: TableName, from?: AnyRow): AsyncGenerator<readonly AnyRow[]> {
  for (let last = from; ; ) {
    const page = await readPage(db, table, last)
    if (page.length > 0) yield page
    last = page.at(-1)
    if (last === undefined) return
  }
}

/** The row with the highest key, if there is any. */
export const lastRow = async (db: Sql, table: TableName): Promise<AnyRow | undefined> => {
  const { key, without = [] } = planOf(table)
  const order = sql.join(key.map((column) => sql`${sql.ref(column)} DESC`))
  const where = without.length > 0 ? sql`WHERE ${sql.ref(key[0]!)} NOT IN (${sql.join([...without])})` : sql``
  const { rows } = await sql<AnyRow>`
    SELECT * FROM ${sql.table(table)} ${where} ORDER BY ${order} LIMIT 1`.execute(db)
  return rows[0]
}

/** Which row, for people: the values of its key. */
export const nameOfRow = (table: TableName, row: AnyRow): string =>
  `${table} ${planOf(table)
    .key.map((column) => JSON.stringify(row[column]))
    .join(', ')}`
