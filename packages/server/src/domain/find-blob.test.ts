import type { Kysely, KyselyPlugin } from 'kysely'
import { expect, test } from 'vitest'
import type { Schema } from '../db/schema.ts'
import { callerOf } from '../test-parts.ts'
import { refer, storeBlob } from './blob-fixture.ts'
import { findBlobByHash } from './find-blob.ts'
import { setUp } from './upload-fixture.ts'

/** The statements that go through it, values aside. */
const recording = (db: Kysely<Schema>): { db: Kysely<Schema>; statements: string[] } => {
  const statements: string[] = []
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => {
      statements.push(
        JSON.stringify(node, (key, value) => (key === 'value' || key === 'values' ? null : value)),
      )
      return node
    },
    transformResult: async ({ result }) => result,
  }
  return { db: db.withPlugin(plugin), statements }
}

test('a look-up of what belongs to others does the same work as one of what does not exist', async () => {
  await using parts = await setUp()
  const foreign = await storeBlob(parts, Buffer.from('of alice alone'))
  await refer(parts, 'alice', 'secret', foreign.uuid)
  const damaged = await storeBlob(parts, Buffer.from('damaged'), { state: 'quarantined' })
  await refer(parts, 'bob', 'damaged', damaged.uuid)
  const works: string[][] = []
  for (const [algorithm, hash] of [
    ['sha512', foreign.sha512],
    ['sha512', damaged.sha512],
    ['sha512', 'ab'.repeat(64)],
    ['sha512', 'no digest'],
  ] as const) {
    const { db: read, statements } = recording(parts.db.read)
    const write = () => expect.unreachable('a miss costs no transaction')
    const asked = { ...parts, db: { ...parts.db, read, write } }
    expect(await findBlobByHash(asked, callerOf('bob'), algorithm, hash)).toBe(null)
    works.push(statements)
  }
  // Whom bob may act for, and one look at the digests.
  expect(works[0]).toHaveLength(2)
  for (const work of works) expect(work).toEqual(works[0])
})
