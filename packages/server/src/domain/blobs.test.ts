import { setTimeout as sleep } from 'node:timers/promises'
import { isHoldfastError } from '@holdfast/api/errors'
import { expect, test } from 'vitest'
import { callerOf, createTestParts, type TestParts } from '../test-parts.ts'
import { blobRow, makeNamespaces, refer, storeBlob } from './blob-fixture.ts'
import { listBlobs } from './blob-list.ts'
import { noteUse, openBlobFor, showBlob, showChecksum } from './blobs.ts'
import { findBlobByHash } from './find-blob.ts'
import { endLeasesOf, leaseBlob } from './leases.ts'
import { setMetadata } from './metadata.ts'
import { exclusively, markHealed, quarantineBlob } from './quarantine.ts'
import { deleteVersion } from './versions.ts'

const alice = callerOf('alice')
const bob = callerOf('bob')
const system = callerOf('system')
const hello = Buffer.from('hello, blobs')

const setUp = async (): Promise<TestParts> => {
  const parts = await createTestParts()
  await makeNamespaces(parts, 'alice', 'bob', 'system')
  return parts
}

const failure = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'none',
    (error) => (isHoldfastError(error) ? error.code : String(error)),
  )

test('a view has the fields of the wire contract', async () => {
  await using parts = await setUp()
  const { uuid, sha512 } = await storeBlob(parts, hello)
  await refer(parts, 'alice', 'greeting', uuid)
  expect(await showBlob(parts, alice, uuid)).toEqual({
    uuid,
    state: 'created',
    metadata: {},
    version: 6,
    size: 12,
    modified: 1_700_000_000,
    fetched_at: 1_700_000_000,
    depends_on: null,
    transcodes: {},
    locations: ['node-1'],
    reference_count: 1,
    sha512,
    checksums: { sha512 },
    last_used: null,
    instances: [],
    'mime-type': 'text/plain',
    'file format': 'raw',
    'virtual size': 12,
  })
})

test('of a blob that others store too, a view tells nothing of them', async () => {
  await using parts = await setUp()
  const { uuid } = await storeBlob(parts, hello)
  await refer(parts, 'alice', 'one', uuid)
  await refer(parts, 'alice', 'two', uuid)
  await setMetadata(parts, alice, { type: 'blob', ref: uuid }, 'owner', 'alice')
  expect(await failure(showBlob(parts, bob, uuid))).toBe('blob_not_found')

  parts.clock.advance(1000)
  await refer(parts, 'bob', 'mine', uuid)
  await findBlobByHash(parts, alice, 'sha512', (await blobRow(parts, uuid)).sha512)
  expect(await showBlob(parts, bob, uuid)).toMatchObject({
    reference_count: 1,
    fetched_at: 1_700_001_000,
    modified: 1_700_001_000,
    last_used: null,
    metadata: {},
  })
  expect(await showBlob(parts, alice, uuid)).toMatchObject({
    reference_count: 2,
    fetched_at: 1_700_000_000,
    last_used: 1_700_001_000,
    metadata: { owner: 'alice' },
  })
  expect(await showBlob(parts, system, uuid)).toMatchObject({
    reference_count: 3,
    last_used: 1_700_001_000,
    metadata: { owner: 'alice' },
  })
})

test('a digest finds what the asker may see, and for everything else gives the same null', async () => {
  await using parts = await setUp()
  const digests = { sha256: 'aa'.repeat(32), sha1: 'bb'.repeat(20), xxh128: 'cc'.repeat(16) }
  const { uuid, sha512 } = await storeBlob(parts, hello, digests)
  await refer(parts, 'alice', 'secret', uuid)
  const all = { sha512, ...digests }
  for (const [algorithm, hash] of Object.entries(all)) {
    expect((await findBlobByHash(parts, alice, algorithm, hash.toUpperCase()))?.uuid, algorithm).toBe(uuid)
    expect(await findBlobByHash(parts, bob, algorithm, hash), algorithm).toBe(null)
    expect(await findBlobByHash(parts, alice, algorithm, 'no digest at all'), algorithm).toBe(null)
  }
  // Each algorithm searches its own digests.
  expect(await findBlobByHash(parts, alice, 'sha1', sha512)).toBe(null)
  expect(await failure(findBlobByHash(parts, alice, 'md5', 'aa'))).toBe('hash_algorithm_unknown')
  expect(await parts.db.read.selectFrom('leases').select('namespace').distinct().execute()).toEqual([
    { namespace: 'alice' },
  ])

  await refer(parts, 'system', 'public', uuid, true)
  expect((await findBlobByHash(parts, bob, 'sha512', sha512))?.uuid).toBe(uuid)
})

test('a hit by a cryptographic digest leases the blob, and the lease shows and ends', async () => {
  await using parts = await setUp()
  const { uuid, sha512 } = await storeBlob(parts, hello, {
    sha256: 'aa'.repeat(32),
    sha1: 'bb'.repeat(20),
    xxh128: 'cc'.repeat(16),
  })
  const { artifact } = await refer(parts, 'alice', 'x', uuid)
  for (const [algorithm, hash] of [['sha1', 'bb'.repeat(20)] as const, ['xxh128', 'cc'.repeat(16)] as const])
    expect((await findBlobByHash(parts, alice, algorithm, hash))?.expires_at).toBe(undefined)
  const found = await findBlobByHash(parts, alice, 'sha512', sha512)
  expect(found).toMatchObject({ expires_at: 1_700_003_600, last_used: 1_700_000_000 })

  await deleteVersion(parts, alice, artifact.uuid, 1)
  expect(await showBlob(parts, alice, uuid)).toMatchObject({ reference_count: 0, expires_at: 1_700_003_600 })
  expect(await failure(showBlob(parts, bob, uuid))).toBe('blob_not_found')
  parts.clock.advance(3600)
  expect(await failure(showBlob(parts, alice, uuid))).toBe('blob_not_found')
  expect(await findBlobByHash(parts, alice, 'sha512', sha512)).toBe(null)
})

test('a lease is only ever prolonged, and ends with its namespace', async () => {
  await using parts = await setUp()
  const { uuid } = await storeBlob(parts, hello)
  const lease = (leaseLifetime: number) =>
    parts.db.write((trx) =>
      leaseBlob(trx, { ...parts, config: { ...parts.config, leaseLifetime } }, uuid, 'bob'),
    )
  expect(await lease(100)).toBe(1_700_000_100_000)
  expect(await lease(50)).toBe(1_700_000_100_000)
  expect(await lease(200)).toBe(1_700_000_200_000)
  expect((await showBlob(parts, bob, uuid)).expires_at).toBe(1_700_000_200)
  await parts.db.write((trx) => endLeasesOf(trx, 'bob'))
  expect(await failure(showBlob(parts, bob, uuid))).toBe('blob_not_found')
})

test('a digest still being computed is null, an unknown algorithm an error', async () => {
  await using parts = await setUp()
  const { uuid, sha512 } = await storeBlob(parts, hello)
  await refer(parts, 'alice', 'x', uuid)
  expect(await showChecksum(parts, alice, uuid, 'sha512')).toBe(sha512)
  expect(await showChecksum(parts, alice, uuid, 'sha256')).toBe(null)
  expect(await failure(showChecksum(parts, alice, uuid, 'md5'))).toBe('hash_algorithm_unknown')
  expect(await failure(showChecksum(parts, bob, uuid, 'sha512'))).toBe('blob_not_found')
})

test('only system lists blobs, whole or in pages', async () => {
  await using parts = await setUp()
  const uuids: string[] = []
  for (const text of ['one', 'two', 'three', 'four', 'five']) {
    parts.clock.advance(1)
    uuids.push((await storeBlob(parts, Buffer.from(text))).uuid)
  }
  expect(await failure(listBlobs(parts, alice, { limit: 100 }))).toBe('system_only')
  expect((await listBlobs(parts, system, { limit: 100 })).items.map((view) => view.uuid)).toEqual(uuids)
  expect((await listBlobs(parts, system, { limit: 100, node: 'elsewhere' })).items).toEqual([])
  const seen: string[] = []
  let cursor: string | undefined
  do {
    const page = await listBlobs(parts, system, { limit: 2, cursor })
    expect(page.items.length).toBeLessThanOrEqual(2)
    seen.push(...page.items.map((view) => view.uuid))
    cursor = page.next
  } while (cursor !== undefined)
  expect(seen).toEqual(uuids)
})

test('a quarantined blob is shown and never opened or found; the same content heals it', async () => {
  await using parts = await setUp()
  const blob = await storeBlob(parts, hello)
  await refer(parts, 'alice', 'x', blob.uuid)
  await quarantineBlob(parts, blob.uuid, 'a test')
  await quarantineBlob(parts, blob.uuid, 'a test, again')
  expect((await showBlob(parts, alice, blob.uuid)).state).toBe('quarantined')
  expect(await failure(openBlobFor(parts, alice, blob.uuid))).toBe('blob_damaged')
  expect(await findBlobByHash(parts, alice, 'sha512', blob.sha512)).toBe(null)
  expect((await parts.metrics.damagedBlobs.get()).values[0]?.value).toBe(1)
  const events = () =>
    parts.db.read
      .selectFrom('events')
      .select('message')
      .where('object_uuid', '=', blob.uuid)
      .where('type', '=', 'status')
      .execute()
  expect(await events()).toHaveLength(1)

  await parts.blobs.restore(blob.uuid)
  await exclusively(parts, blob.uuid, () =>
    markHealed(parts, blob.uuid, { blockSums: new Uint8Array(4) }, 'by a test'),
  )
  expect((await openBlobFor(parts, alice, blob.uuid)).name).toBe('x')
  expect(await events()).toHaveLength(2)
  // Somebody who had opened the old file finds it damaged only now.
  await quarantineBlob(parts, blob.uuid, 'late news', blob)
  expect((await blobRow(parts, blob.uuid)).state).toBe('created')
})

test('the use of a blob is noted at most once a minute', async () => {
  await using parts = await setUp()
  const { uuid } = await storeBlob(parts, hello)
  await refer(parts, 'alice', 'x', uuid)
  // Noting goes on by itself.
  const lastUse = async () => (await showBlob(parts, alice, uuid)).last_used
  noteUse(parts, alice, uuid)
  await expect.poll(lastUse).toBe(1_700_000_000)
  parts.clock.advance(59)
  noteUse(parts, alice, uuid)
  await sleep(50)
  expect(await lastUse()).toBe(1_700_000_000)
  parts.clock.advance(1)
  noteUse(parts, alice, uuid)
  await expect.poll(lastUse).toBe(1_700_000_060)
})
