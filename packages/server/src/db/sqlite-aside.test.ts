import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { openSqlite } from './sqlite.ts'

test('a query aside sees what was committed, runs beside others, and cannot write', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-aside-'))
  const db = await openSqlite({ path: join(directory, 'holdfast.db') })
  try {
    await db.write((trx) => trx.insertInto('settings').values({ name: 'a', value: 'x' }).execute())
    const names = db.read.selectFrom('settings').select('name').where('name', 'in', ['a', 'b']).compile()
    const [first, second] = await Promise.all([db.readAside(names), db.readAside(names)])
    expect([first, second]).toEqual([[{ name: 'a' }], [{ name: 'a' }]])
    const deletion = db.read.deleteFrom('settings').compile()
    await expect(db.readAside(deletion)).rejects.toThrow('readonly')
    await expect(db.readAside(sql`select nonsense`.compile(db.read))).rejects.toThrow('nonsense')
    // A failure is in nobody else's way.
    expect(await db.readAside(names)).toEqual([{ name: 'a' }])
  } finally {
    await db.close()
    await expect(db.readAside(sql`select 1`.compile(db.read))).rejects.toMatchObject({ code: 'unavailable' })
    await rm(directory, { recursive: true })
  }
})
