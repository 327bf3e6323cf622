import { access } from 'node:fs/promises'
import { expect, test } from 'vitest'
import type { Parts } from '../../parts.ts'
import { callerOf, createTestParts, type TestParts } from '../../test-parts.ts'
import { blobPath, blobRow, makeNamespaces, refer, storeBlob } from '../blob-fixture.ts'
import { findBlobByHash } from '../find-blob.ts'
import { leaseBlob } from '../leases.ts'
import { deleteVersion } from '../versions.ts'
import { collectBlobs } from './collect-blobs.ts'
import { previewCollection } from './preview-collection.ts'

const alice = callerOf('alice')
const grace = 3600
const never = new AbortController().signal

const setUp = async (): Promise<TestParts> => {
  const parts = await createTestParts({ collectGrace: grace, leaseLifetime: 600 })
  await makeNamespaces(parts, 'alice', 'bob', 'system')
  return parts
}

/** A blob whose only version has just been deleted. */
const orphan = async (parts: TestParts, text = 'to be collected') => {
  const blob = await storeBlob(parts, Buffer.from(text))
  const { artifact, index } = await refer(parts, 'alice', text, blob.uuid)
  await deleteVersion(parts, alice, artifact.uuid, index)
  return blob
}

const hasFile = (parts: TestParts, uuid: string): Promise<boolean> =>
  access(blobPath(parts, uuid)).then(
    () => true,
    () => false,
  )

test('an unreferenced blob goes after the grace period, file and all', async () => {
  await using parts = await setUp()
  const { uuid } = await orphan(parts)
  parts.clock.advance(grace - 1)
  expect(await collectBlobs(parts, never)).toMatchObject({ collected: 0 })
  parts.clock.advance(1)
  expect(await previewCollection(parts, callerOf('system'), {})).toMatchObject({
    view: { due: { blobs: 1, bytes: 15 }, blobs: [{ uuid, size: 15, is_due: true }] },
  })
  expect((await blobRow(parts, uuid)).state).toBe('created')
  expect(await collectBlobs(parts, never)).toMatchObject({ collected: 1, leftovers: 0 })
  expect(await blobRow(parts, uuid)).toMatchObject({
    state: 'deleted',
    deleted_at: parts.clock.now(),
    files_removed_at: parts.clock.now(),
  })
  expect(await hasFile(parts, uuid)).toBe(false)
  expect(await parts.db.read.selectFrom('blob_blocks').selectAll().execute()).toEqual([])
  expect(await collectBlobs(parts, never)).toEqual({ collected: 0, leftovers: 0, noticed: 0 })
})

test('a version keeps a blob for ever, a lease until it expires', async () => {
  await using parts = await setUp()
  const kept = await storeBlob(parts, Buffer.from('kept'))
  await refer(parts, 'alice', 'kept', kept.uuid)
  const leased = await orphan(parts)
  parts.clock.advance(grace * 2)
  await parts.db.write((trx) => leaseBlob(trx, parts, leased.uuid, 'bob'))
  expect(await collectBlobs(parts, never)).toMatchObject({ collected: 0 })
  parts.clock.advance(600)
  expect(await collectBlobs(parts, never)).toMatchObject({ collected: 1 })
  expect((await blobRow(parts, kept.uuid)).state).toBe('created')
  expect(await hasFile(parts, kept.uuid)).toBe(true)
  // The content may come again, as a new blob.
  const again = await storeBlob(parts, Buffer.from('to be collected'))
  expect(again.sha512).toBe(leased.sha512)
})

test('a new reference begins a new grace period', async () => {
  await using parts = await setUp()
  const { uuid } = await orphan(parts)
  parts.clock.advance(grace)
  const { artifact, index } = await refer(parts, 'alice', 'again', uuid)
  expect(await collectBlobs(parts, never)).toMatchObject({ collected: 0 })
  await deleteVersion(parts, alice, artifact.uuid, index)
  expect(await collectBlobs(parts, never)).toMatchObject({ collected: 0 })
  parts.clock.advance(grace)
  expect(await collectBlobs(parts, never)).toMatchObject({ collected: 1 })
})

test('a reference that comes between the look and the transaction saves the blob', async () => {
  await using parts = await setUp()
  const { uuid } = await orphan(parts)
  parts.clock.advance(grace)
  // What collection writes first is the state of the blobs that it has found due.
  let referring: Promise<unknown> | undefined
  const db: Parts['db'] = {
    ...parts.db,
    async write(work) {
      referring ??= refer(parts, 'alice', 'just in time', uuid)
      await referring
      return parts.db.write(work)
    },
  }
  expect(await collectBlobs({ ...parts, db }, never)).toMatchObject({ collected: 0 })
  expect(referring).toBeDefined()
  const { state } = await blobRow(parts, uuid)
  const references = await parts.db.read
    .selectFrom('versions')
    .selectAll()
    .where('blob_uuid', '=', uuid)
    .where('live', '=', 1)
    .execute()
  expect({ state, references: references.length }).toEqual({ state: 'created', references: 1 })
  expect(await hasFile(parts, uuid)).toBe(true)
})

test('look-ups racing collection get a lease that holds, or null', async () => {
  await using parts = await setUp()
  for (const delay of [0, 1, 2, 3]) {
    const { uuid, sha512 } = await orphan(parts, `raced ${delay}`)
    await parts.db.write((trx) => leaseBlob(trx, parts, uuid, 'bob'))
    parts.clock.advance(grace * 2)
    const collecting = collectBlobs(parts, never)
    for (let turn = 0; turn < delay; turn++) await new Promise(setImmediate)
    const found = await findBlobByHash(parts, callerOf('system'), 'sha512', sha512)
    await collecting
    expect((await blobRow(parts, uuid)).state).toBe(found ? 'created' : 'deleted')
    expect(await hasFile(parts, uuid)).toBe(found !== null)
  }
})

test('files that a crash left behind are removed by the next run', async () => {
  await using parts = await setUp()
  const { uuid } = await orphan(parts)
  await parts.db.write((trx) =>
    trx
      .updateTable('blobs')
      .set({ state: 'deleted', deleted_at: parts.clock.now() })
      .where('uuid', '=', uuid)
      .execute(),
  )
  expect(await collectBlobs(parts, never)).toMatchObject({ collected: 0, leftovers: 1 })
  expect(await hasFile(parts, uuid)).toBe(false)
  expect((await blobRow(parts, uuid)).files_removed_at).toBe(parts.clock.now())
})

test('a lost reference that nobody reported is noticed, and so is a wrong report', async () => {
  await using parts = await setUp()
  const lost = await storeBlob(parts, Buffer.from('never referred to'))
  const wrong = await storeBlob(parts, Buffer.from('in use'), { unreferenced_at: 1 })
  await parts.db.write((trx) =>
    trx
      .insertInto('artifacts')
      .values({
        uuid: 'a',
        namespace: 'alice',
        name: 'a',
        type: 'other',
        source_url: 'a',
        state: 'created',
        shared: 0,
        max_versions: 1,
        next_index: 2,
        created_at: 1,
      })
      .execute(),
  )
  await parts.db.write((trx) =>
    trx
      .insertInto('versions')
      .values({ artifact_uuid: 'a', idx: 1, blob_uuid: wrong.uuid, live: 1, created_at: 1 })
      .execute(),
  )
  expect(await collectBlobs(parts, never)).toEqual({ collected: 0, leftovers: 0, noticed: 1 })
  expect((await blobRow(parts, lost.uuid)).unreferenced_at).toBe(parts.clock.now())
  expect((await blobRow(parts, wrong.uuid)).unreferenced_at).toBe(null)
})
