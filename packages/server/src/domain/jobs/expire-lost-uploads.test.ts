import { expect, test } from 'vitest'
import { callerOf, createTestParts } from '../../test-parts.ts'
import { makeNamespaces } from '../blob-fixture.ts'
import { createUpload } from '../uploads.ts'
import { expireLostUploads } from './expire-lost-uploads.ts'

const never = new AbortController().signal

test('uploads of a node that is gone expire when it can have had no data for them for long enough', async () => {
  await using parts = await createTestParts({ uploadExpiry: 100, nodeTimeout: 15 })
  await makeNamespaces(parts, 'alice')
  const { uuid } = await createUpload(parts, callerOf('alice'))
  const facts = { directory: 'd', run: 'r', url: '', version: '', state: 'up', started_at: 0 } as const
  parts.clock.advance(50)
  await parts.db.write(async (trx) => {
    await trx.updateTable('uploads').set({ node: 'node-2' }).where('uuid', '=', uuid).execute()
    await trx
      .insertInto('nodes')
      .values({ ...facts, name: 'node-2', seen_at: parts.clock.now() })
      .execute()
  })
  parts.clock.advance(100)
  // What it took between saying that it is there and being taken for gone is younger than that.
  expect(await expireLostUploads(parts, never)).toEqual({ expired: 0 })
  parts.clock.advance(14)
  expect(await expireLostUploads(parts, never)).toEqual({ expired: 0 })
  parts.clock.advance(1)
  expect(await expireLostUploads(parts, never)).toEqual({ expired: 1 })
  expect(await parts.db.read.selectFrom('uploads').selectAll().execute()).toEqual([])
})
