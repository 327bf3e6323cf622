import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { artifactRow, blobRow as rowOfBlob } from '../../db/test-dialects.ts'
import { callerOf, createTestParts, type TestParts } from '../../test-parts.ts'
import { makeNamespaces, refer, storeBlob } from '../blob-fixture.ts'
import { showStoreUsage } from '../usage-history.ts'
import { deleteVersion } from '../versions.ts'
import { sampleUsage } from './sample-usage.ts'

const system = callerOf('system')
const never = new AbortController().signal
const day = 86_400

const setUp = async (): Promise<TestParts> => {
  const parts = await createTestParts()
  await makeNamespaces(parts, 'alice', 'bob', 'system')
  return parts
}

const usage = (parts: TestParts, query = {}) => showStoreUsage(parts, system, query)

/** As if counting had cost nothing: how long it took depends on the machine. */
const forgetCost = (parts: TestParts) =>
  parts.db.write((trx) => trx.updateTable('usage_samples').set({ count_ms: 0 }).execute())

test('equal content counts once as stored, and as often as versions hold it as logical', async () => {
  await using parts = await setUp()
  const blob = await storeBlob(parts, Buffer.alloc(1000, 1))
  await refer(parts, 'alice', 'one', blob.uuid)
  await refer(parts, 'alice', 'two', blob.uuid)
  await refer(parts, 'bob', 'three', blob.uuid)
  const lost = await storeBlob(parts, Buffer.alloc(300, 2))
  const { artifact, index } = await refer(parts, 'bob', 'four', lost.uuid)
  await deleteVersion(parts, callerOf('bob'), artifact.uuid, index)
  expect(await sampleUsage(parts, never)).toEqual({ samples: 1, thinned: 0 })
  const { newest, namespaces } = await usage(parts)
  expect(newest).toMatchObject({
    at: parts.clock.now() / 1000,
    span: day,
    stored_bytes: 1300,
    unreferenced_bytes: 300,
    logical_bytes: 3000,
    saved_bytes: 2000,
    blobs: 2,
    versions: 3,
    artifacts: 3,
    uploads: 0,
    upload_bytes: 0,
  })
  expect(namespaces).toEqual([
    { namespace: 'alice', logical_bytes: 2000, versions: 2 },
    { namespace: 'bob', logical_bytes: 1000, versions: 1 },
  ])
})

test('a store with thousands of blobs is counted in pieces, to the same result', async () => {
  await using parts = await setUp()
  const count = 1500
  const blobs = Array.from({ length: count }, (_, n) => rowOfBlob(randomUUID(), { size: n }))
  const owner = artifactRow(randomUUID(), 'alice')
  await parts.db.write(async (trx) => {
    await trx.insertInto('artifacts').values(owner).execute()
    for (let at = 0; at < count; at += 50) {
      await trx
        .insertInto('blobs')
        .values(blobs.slice(at, at + 50))
        .execute()
      const rows = blobs.slice(at, at + 50).map(({ uuid }, n) => ({
        artifact_uuid: owner.uuid,
        idx: at + n + 1,
        blob_uuid: uuid,
        live: 1 as const,
        created_at: 0,
      }))
      await trx.insertInto('versions').values(rows).execute()
    }
  })
  await sampleUsage(parts, never)
  const bytes = (count * (count - 1)) / 2
  expect((await usage(parts)).newest).toMatchObject({
    stored_bytes: bytes,
    logical_bytes: bytes,
    saved_bytes: 0,
    blobs: count,
    versions: count,
    artifacts: 1,
  })
})

test('samples are kept in a number that is bounded: all, then one an hour, then one a day', async () => {
  await using parts = await setUp()
  const begin = parts.clock.now() / 1000
  const spans = async () => {
    const { samples } = await usage(parts, { since: 0 })
    return samples.map(({ span }) => span)
  }
  // Three in each hour, for a day and a bit: 14 November, 22:13 UTC, is when the clock begins
  for (let n = 0; n < 75; n++) {
    await forgetCost(parts)
    await sampleUsage(parts, never)
    parts.clock.advance(1200)
  }
  const first = await spans()
  expect(first.length).toBe(75)
  expect(first.filter((span) => span === day).length).toBe(2)
  expect(first.filter((span) => span === 3600).length).toBe(23)
  expect((await usage(parts, { since: 0, span: 3600 })).samples.length).toBe(25)
  expect((await usage(parts, { since: begin + day / 2 })).samples[0]!.at).toBeGreaterThanOrEqual(
    begin + day / 2,
  )

  parts.clock.advance(3 * day)
  await forgetCost(parts)
  await sampleUsage(parts, never)
  expect((await spans()).filter((span) => span === 300)).toEqual([])
  expect((await spans()).length).toBe(26)
  parts.clock.advance(91 * day)
  await sampleUsage(parts, never)
  expect(await spans()).toEqual([day, day, day, day])
  parts.clock.advance(3651 * day)
  await sampleUsage(parts, never)
  expect(await spans()).toEqual([day])
})

test('what is asked for again and again does not pile up, and waits when counting is dear', async () => {
  await using parts = await setUp()
  await sampleUsage(parts, never)
  for (let n = 0; n < 5; n++) {
    parts.clock.advance(10)
    await forgetCost(parts)
    await sampleUsage(parts, never)
  }
  expect((await usage(parts)).samples.map(({ at }) => at)).toEqual([
    parts.clock.now() / 1000 - 50,
    parts.clock.now() / 1000,
  ])
  await parts.db.write((trx) => trx.updateTable('usage_samples').set({ count_ms: 10_000 }).execute())
  parts.clock.advance(999)
  expect(await sampleUsage(parts, never)).toMatchObject({ samples: 0 })
  parts.clock.advance(2)
  expect(await sampleUsage(parts, never)).toMatchObject({ samples: 1 })
})

test('only system may look', async () => {
  await using parts = await setUp()
  await expect(showStoreUsage(parts, callerOf('alice'), {})).rejects.toMatchObject({ code: 'system_only' })
})
