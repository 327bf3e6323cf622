import { isHoldfastError } from '@holdfast/api/errors'
import { expect, test } from 'vitest'
import { callerOf, createTestParts } from '../test-parts.ts'
import { makeNamespaces, refer, storeBlob } from './blob-fixture.ts'
import { explainBlob } from './explain-blob.ts'
import { collectBlobs } from './jobs/collect-blobs.ts'
import { pruneHistory } from './jobs/prune-history.ts'
import { leaseBlob } from './leases.ts'
import { quarantineBlob } from './quarantine.ts'
import { deleteVersion, setMaxVersions } from './versions.ts'

const alice = callerOf('alice')
const system = callerOf('system')
const never = new AbortController().signal
const start = 1_700_000_000
const day = 24 * 3600

const setUp = async () => {
  const parts = await createTestParts({
    collectGrace: 3600,
    leaseLifetime: 7200,
    tombstoneLifetime: 10 * day,
    eventLifetime: 20 * day,
  })
  await makeNamespaces(parts, 'alice', 'bob', 'system')
  return parts
}

test('the life of a blob from its first reference until nothing is known of it', async () => {
  await using parts = await setUp()
  const { uuid, sha512 } = await storeBlob(parts, Buffer.from('hello'))
  const explain = () => explainBlob(parts, system, uuid)
  const { artifact } = await refer(parts, 'alice', 'x', uuid)
  const reference = {
    artifact_uuid: artifact.uuid,
    namespace: 'alice',
    name: 'x',
    artifact_type: 'other',
    index: 1,
  }
  expect(await explain()).toMatchObject({
    state: 'created',
    reason: 'alive: 1 version holds it',
    size: 5,
    sha512,
    reference_count: 1,
    references: [reference],
    released: [],
    collectable_at: null,
    deleted_at: null,
  })

  await deleteVersion(parts, alice, artifact.uuid, 1)
  const released = [{ ...reference, released_at: start, message: 'deleted version 1' }]
  expect(await explain()).toMatchObject({
    reason: 'alive: in its grace period until 2023-11-14T23:13:20.000Z',
    reference_count: 0,
    references: [],
    released,
    unreferenced_at: start,
    collectable_at: start + 3600,
  })

  parts.clock.advance(10)
  await parts.db.write((trx) => leaseBlob(trx, parts, uuid, 'bob'))
  expect(await explain()).toMatchObject({
    reason: 'alive: leased to bob until 2023-11-15T00:13:30.000Z',
    leases: [{ namespace: 'bob', expires_at: start + 7210 }],
    collectable_at: start + 7210,
  })

  parts.clock.advance(7200)
  expect(await explain()).toMatchObject({
    reason: 'due: nothing refers to it; the next collection removes it',
    leases: [],
  })

  await collectBlobs(parts, never)
  expect(await explain()).toMatchObject({
    state: 'deleted',
    reason:
      'deleted at 2023-11-15T00:13:30.000Z by the job collect-blobs: nothing referred to it since ' +
      '2023-11-14T22:13:20.000Z',
    released,
    unreferenced_at: start,
    collectable_at: null,
    deleted_at: start + 7210,
    files_removed_at: start + 7210,
    events: [{ type: 'prune' }, { message: 'became version 1 of an artifact' }],
  })

  parts.clock.advance(10 * day)
  await pruneHistory(parts, never)
  expect(await explain()).toMatchObject({
    state: 'forgotten',
    reason: 'deleted at 2023-11-15T00:13:30.000Z by node-1: collected: nothing referred to it any more',
    size: 5,
    released: [{ artifact_uuid: artifact.uuid, index: 1, message: 'deleted version 1' }],
    unreferenced_at: start,
    deleted_at: start + 7210,
  })

  parts.clock.advance(10 * day)
  await pruneHistory(parts, never)
  await expect(explain()).rejects.toSatisfy((error) => isHoldfastError(error, 'blob_not_found'))
})

test('references that went by pruning, and those that stand', async () => {
  await using parts = await setUp()
  const { uuid } = await storeBlob(parts, Buffer.from('first'))
  const { artifact } = await refer(parts, 'alice', 'pruned', uuid)
  await refer(parts, 'alice', 'pruned', (await storeBlob(parts, Buffer.from('second'))).uuid)
  const other = await refer(parts, 'bob', 'kept', uuid)
  await setMaxVersions(parts, alice, artifact.uuid, 1)
  expect(await explainBlob(parts, system, uuid.toUpperCase())).toMatchObject({
    reason: 'alive: 1 version holds it',
    references: [{ artifact_uuid: other.artifact.uuid, namespace: 'bob' }],
    released: [{ artifact_uuid: artifact.uuid, message: 'pruned version 1' }],
  })
})

test('a blob in quarantine says since when and why', async () => {
  await using parts = await setUp()
  const { uuid } = await storeBlob(parts, Buffer.from('bad'))
  await refer(parts, 'alice', 'bad', uuid)
  await quarantineBlob(parts, uuid, 'found by this test')
  expect(await explainBlob(parts, system, uuid)).toMatchObject({
    state: 'quarantined',
    quarantine: { since: start, reason: 'found by this test' },
  })
})

test('system only, whatever is asked for', async () => {
  await using parts = await setUp()
  const { uuid } = await storeBlob(parts, Buffer.from('x'))
  for (const asked of [uuid, 'nonsense'])
    await expect(explainBlob(parts, alice, asked)).rejects.toSatisfy((error) =>
      isHoldfastError(error, 'system_only'),
    )
})
