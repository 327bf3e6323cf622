import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { dialects } from '../../db/test-dialects.ts'
import { planOf } from './table-pages.ts'
import { leftTables, ownTables, tableNames } from './tables.ts'

const nameOf = (table: string) => table as (typeof tableNames)[number]

describe.each(dialects)('the plan of a migration, on $name', ({ create, name }) => {
  const isSqlite = name === 'SQLite'

  test('has every table that there is', async () => {
    await using store = await create()
    const tables = await store.db.read.introspection.getTables({ withInternalKyselyTables: true })
    // A new table belongs into tables.ts, or into the list of those that are nobody's.
    expect(tables.map((table) => table.name).sort()).toEqual(
      [
        ...tableNames,
        ...leftTables,
        ...ownTables.filter((own) => !isSqlite || own !== 'commit_marks'),
      ].sort(),
    )
  })

  test('knows the primary keys, and the columns that are counted up', async () => {
    await using store = await create()
    const columns = await sql<{ table: string; column: string }>`${
      isSqlite
        ? sql`SELECT m.name AS "table", p.name AS "column" FROM sqlite_schema m JOIN pragma_table_info(m.name) p
            WHERE m.type = 'table' AND p.pk > 0 ORDER BY m.name, p.pk`
        : sql`SELECT t.table_name AS "table", k.column_name AS "column" FROM information_schema.table_constraints t
            JOIN information_schema.key_column_usage k USING (constraint_name, table_schema)
            WHERE t.constraint_type = 'PRIMARY KEY' AND t.table_schema = current_schema()
            ORDER BY t.table_name, k.ordinal_position`
    }`.execute(store.db.read)
    for (const table of tableNames)
      expect([table, ...columns.rows.filter((row) => row.table === table).map((row) => row.column)]).toEqual([
        table,
        ...planOf(table).key,
      ])
    const tables = await store.db.read.introspection.getTables()
    const counted = tables.flatMap((table) =>
      table.columns.filter((column) => column.isAutoIncrementing).map((column) => [table.name, column.name]),
    )
    expect(counted).toEqual(
      tableNames.flatMap((table) => {
        const { counter } = planOf(table)
        return counter === undefined ? [] : [[table, counter]]
      }),
    )
  })

  test('puts rows in after those that they refer to', async () => {
    await using store = await create()
    const references = await sql<{ from: string; to: string }>`${
      isSqlite
        ? sql`SELECT m.name AS "from", f."table" AS "to" FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f
            WHERE m.type = 'table'`
        : sql`SELECT conrelid::regclass::text AS "from", confrelid::regclass::text AS "to" FROM pg_constraint
            WHERE contype = 'f'`
    }`.execute(store.db.read)
    expect(references.rows.length).toBeGreaterThan(10)
    for (const { from, to } of references.rows.filter((row) => tableNames.includes(nameOf(row.from)))) {
      expect(tableNames, `${to} is carried as well`).toContain(to)
      expect(tableNames.indexOf(nameOf(to)), `${to} before ${from}`).toBeLessThan(
        tableNames.indexOf(nameOf(from)),
      )
    }
  })
})
