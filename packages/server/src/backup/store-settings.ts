/** Facts that the store remembers of itself: rows of the table `settings`. */
import { randomUUID } from 'node:crypto'
import type { Sql } from '../db/database.ts'
import type { Parts } from '../parts.ts'

export const readSetting = async (sql: Sql, name: string): Promise<string | undefined> =>
  (await sql.selectFrom('settings').select('value').where('name', '=', name).executeTakeFirst())?.value

export const writeSetting = async (sql: Sql, name: string, value: string): Promise<void> => {
  await sql
    .insertInto('settings')
    .values({ name, value })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ value }))
    .execute()
}

/** The store's own id, made when first asked for. A restored store keeps it. */
export const storeIdOf = async (parts: Pick<Parts, 'db'>): Promise<string> => {
  const name = 'store-id'
  return (
    (await readSetting(parts.db.read, name)) ??
    parts.db.write(async (trx) => {
      const value = (await readSetting(trx, name)) ?? randomUUID()
      await writeSetting(trx, name, value)
      return value
    })
  )
}
