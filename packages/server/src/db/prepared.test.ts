import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fixed, prepared } from './prepared.ts'
import { dialects, type TestDatabase } from './test-dialects.ts'

describe.each(dialects)('a prepared query on $name', (dialect) => {
  let store: TestDatabase
  let made = 0

  const find = prepared(
    (sql, { names, value, order }: { names: readonly string[]; value: string; order: 'asc' | 'desc' }) => {
      made++
      return sql
        .selectFrom('settings')
        .select('name')
        .where('name', 'in', names)
        .where('value', '=', value)
        .orderBy('name', order)
    },
  )
  const namesOf = async (names: string[], value: string, order: 'asc' | 'desc' = 'asc') =>
    (await find(store.db.read, { names, value, order: fixed(order) })).map((row) => row.name)

  beforeEach(async () => {
    store = await dialect.create()
    made = 0
    await store.db.write((trx) =>
      trx
        .insertInto('settings')
        .values(['a', 'b', 'c'].map((name) => ({ name, value: name === 'c' ? 'y' : 'x' })))
        .execute(),
    )
  })
  afterEach(() => store[Symbol.asyncDispose]())

  it('is made once for each form, and asked with the values of each call', async () => {
    expect(await namesOf(['a', 'b'], 'x')).toEqual(['a', 'b'])
    expect(await namesOf(['b', 'c'], 'y')).toEqual(['c'])
    expect(made).toBe(1)
    expect(await namesOf(['a', 'b', 'c'], 'x')).toEqual(['a', 'b'])
    expect(made).toBe(2)
    expect(await namesOf(['a', 'b'], 'x', 'desc')).toEqual(['b', 'a'])
    expect(made).toBe(3)
  })

  it('sees in a transaction what that has done', async () => {
    const values = { names: ['a', 'b'], value: 'z', order: fixed('asc' as const) }
    const rows = await store.db.write(async (trx) => {
      await trx.updateTable('settings').set({ value: 'z' }).where('name', '=', 'a').execute()
      return find(trx, values)
    })
    expect(rows).toEqual([{ name: 'a' }])
  })

  it('is right for more forms than are kept', async () => {
    const names = Array.from({ length: 100 }, (_, i) => `name-${i}`)
    for (let count = 1; count <= 100; count++)
      expect(await namesOf([...names.slice(0, count), 'c'], 'y')).toEqual(['c'])
  })
})
