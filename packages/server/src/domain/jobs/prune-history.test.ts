import { expect, test } from 'vitest'
import { callerOf, createTestParts, type TestParts } from '../../test-parts.ts'
import { makeNamespaces, refer, storeBlob } from '../blob-fixture.ts'
import { recordEvents } from '../events.ts'
import { leaseBlob } from '../leases.ts'
import { deleteVersion } from '../versions.ts'
import { collectBlobs } from './collect-blobs.ts'
import { pruneHistory } from './prune-history.ts'
import { type JobName, startJobs } from './scheduler.ts'

const never = new AbortController().signal
const nothing = { events: 0, artifacts: 0, blobs: 0, leases: 0, conversions: 0 }

const setUp = async (): Promise<TestParts> => {
  const parts = await createTestParts({
    eventLifetime: 1000,
    tombstoneLifetime: 100,
    collectGrace: 10,
    leaseLifetime: 20,
  })
  await makeNamespaces(parts, 'alice')
  return parts
}

const count = async (parts: TestParts, table: 'events' | 'artifacts' | 'versions' | 'blobs' | 'leases') =>
  (await parts.db.read.selectFrom(table).selectAll().execute()).length

test('a deleted artifact is forgotten after its time, and then the blob it had', async () => {
  await using parts = await setUp()
  const kept = await storeBlob(parts, Buffer.from('kept'))
  await refer(parts, 'alice', 'kept', kept.uuid)
  const gone = await storeBlob(parts, Buffer.from('gone'))
  const { artifact } = await refer(parts, 'alice', 'gone', gone.uuid)
  // The tombstone of an artifact whose only version remains to be shown.
  await parts.db.write(async (trx) => {
    await trx.updateTable('versions').set({ live: 0 }).where('blob_uuid', '=', gone.uuid).execute()
    await trx
      .updateTable('artifacts')
      .set({ state: 'deleted', deleted_at: parts.clock.now() })
      .where('uuid', '=', artifact.uuid)
      .execute()
    await trx
      .updateTable('blobs')
      .set({ unreferenced_at: parts.clock.now() })
      .where('uuid', '=', gone.uuid)
      .execute()
  })
  parts.clock.advance(10)
  await collectBlobs(parts, never)
  parts.clock.advance(89)
  expect(await pruneHistory(parts, never)).toEqual(nothing)
  parts.clock.advance(1)
  expect(await pruneHistory(parts, never)).toEqual({ ...nothing, artifacts: 1 })
  parts.clock.advance(10)
  expect(await pruneHistory(parts, never)).toEqual({ ...nothing, blobs: 1 })
  for (const table of ['artifacts', 'versions', 'blobs'] as const)
    expect(await count(parts, table), table).toBe(1)
  expect(await pruneHistory(parts, never)).toEqual(nothing)
})

test('the row of a deleted blob stays until its file is gone', async () => {
  await using parts = await setUp()
  await storeBlob(parts, Buffer.from('x'), { state: 'deleted', deleted_at: 1 })
  expect(await pruneHistory(parts, never)).toEqual(nothing)
  await collectBlobs(parts, never)
  expect(await pruneHistory(parts, never)).toEqual({ ...nothing, blobs: 1 })
})

test('events go by age, in batches', async () => {
  await using parts = await setUp()
  const record = (events: number) =>
    parts.db.write((trx) =>
      recordEvents(
        trx,
        parts,
        Array.from({ length: events }, () => ({
          objectType: 'artifact' as const,
          objectUuid: 'a',
          namespace: 'alice',
          type: 'audit' as const,
          message: 'x',
        })),
      ),
    )
  await record(1200)
  parts.clock.advance(999)
  await record(3)
  expect(await pruneHistory(parts, never)).toEqual(nothing)
  parts.clock.advance(1)
  expect(await pruneHistory(parts, never)).toEqual({ ...nothing, events: 1200 })
  expect(await count(parts, 'events')).toBe(3)
})

test('expired leases go, others stay', async () => {
  await using parts = await setUp()
  const one = await storeBlob(parts, Buffer.from('one'))
  const two = await storeBlob(parts, Buffer.from('two'))
  await parts.db.write((trx) => leaseBlob(trx, parts, one.uuid, 'alice'))
  parts.clock.advance(15)
  await parts.db.write((trx) => leaseBlob(trx, parts, two.uuid, 'alice'))
  parts.clock.advance(5)
  expect(await pruneHistory(parts, never)).toEqual({ ...nothing, leases: 1 })
  expect(await parts.db.read.selectFrom('leases').select('blob_uuid').execute()).toEqual([
    { blob_uuid: two.uuid },
  ])
})

test('all jobs of a server run', async () => {
  await using parts = await setUp()
  const blob = await storeBlob(parts, Buffer.from('content'))
  const { artifact } = await refer(parts, 'alice', 'x', blob.uuid)
  await deleteVersion(parts, callerOf('alice'), artifact.uuid, 1)
  parts.clock.advance(10)
  const jobs = startJobs(parts)
  const reports: Partial<Record<JobName, unknown>> = {}
  for (const name of [
    'expire-uploads',
    'digest-blobs',
    'collect-blobs',
    'prune-history',
    'run-fetches',
  ] as const)
    reports[name] = await jobs.runNow(name)
  await jobs.stop()
  expect(reports).toMatchObject({
    'expire-uploads': { expired: 0 },
    'digest-blobs': { digested: 1 },
    'collect-blobs': { collected: 1 },
    'prune-history': nothing,
  })
})
