/** Says whether two databases hold the same rows: by their number, and by a digest over all of them in order. */
import { createHash } from 'node:crypto'
import type { Sql } from '../../db/database.ts'
import { BackupError } from '../format.ts'
import { type CopyTablesOptions, readCounter } from './copy-tables.ts'
import { type AnyRow, pagesOf, planOf, type TableName } from './table-pages.ts'

export interface TableDigest {
  readonly rows: number
  readonly sha256: string
}

/** The same for the same rows, whichever database holds them. */
export const digestOfTable = async (
  db: Sql,
  table: TableName,
  onRows: (count: number) => void = () => {},
): Promise<TableDigest> => {
  const hash = createHash('sha256')
  let rows = 0
  for await (const page of pagesOf(db, table)) {
    for (const row of page) hash.update(textOf(row))
    rows += page.length
    onRows(page.length)
  }
  return { rows, sha256: hash.digest('hex') }
}

/** One line of JSON, columns by name; bytes are written as such, so that no text is like them. */
const textOf = (row: AnyRow): string => {
  const columns = Object.keys(row).sort()
  const values = columns.map((column) => {
    const value = row[column]
    return value instanceof Uint8Array ? { bytes: Buffer.from(value).toString('base64') } : value
  })
  return `${JSON.stringify([columns, values])}\n`
}

/** Reads both ends once more. Throws `BackupError` unless they are equal. */
export const compareTables = async ({
  from,
  to,
  tables,
  signal,
  onRows,
}: CopyTablesOptions): Promise<Map<TableName, TableDigest>> => {
  const digests = new Map<TableName, TableDigest>()
  for (const table of tables) {
    signal.throwIfAborted()
    const [old, copy] = await Promise.all([
      digestOfTable(from.db.read, table, (count) => onRows(table, count)),
      digestOfTable(to.db.read, table),
    ])
    if (old.rows !== copy.rows || old.sha256 !== copy.sha256)
      throw new BackupError(
        `the table ${table} is not the same at both ends: ${old.rows} rows (${old.sha256.slice(0, 16)}) there, ` +
          `${copy.rows} (${copy.sha256.slice(0, 16)}) here. Something has changed one of them meanwhile. Empty the new ` +
          'place and begin anew (holdfast-server migrate --reopen, then migrate).',
      )
    const { counter } = planOf(table)
    if (
      counter !== undefined &&
      (await readCounter(from, table, counter)) !== (await readCounter(to, table, counter))
    )
      throw new BackupError(`the numbers of ${table} would not go on from where they are`)
    digests.set(table, old)
  }
  return digests
}
