import { createHash, randomUUID } from 'node:crypto'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { BlobStore } from '../blobs/blob-store.ts'
import type { Database } from '../db/database.ts'
import type { Parts } from '../parts.ts'
import { callerOf } from '../test-parts.ts'
import { deleteArtifact, deleteVersionOf } from './artifacts.ts'
import { blobPath, blobRow, makeNamespaces } from './blob-fixture.ts'
import { type ConvertInput, convert, pruneConversions } from './convert.ts'
import { leaseBlob } from './leases.ts'
import { quarantineBlob } from './quarantine.ts'
import { append, bytesOf, refusal, setUp, snapshot, upload } from './upload-fixture.ts'
import { deleteUpload, showUpload } from './uploads.ts'

const alice = callerOf('alice')
const bob = callerOf('bob')
const system = callerOf('system')
const sha512 = (content: string) => createHash('sha512').update(content).digest('hex')
const files = async (parts: Parts, directory: string) =>
  (await readdir(join(parts.config.dataDir, directory), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort()

test('the first conversion makes an artifact whose blob is the upload', async () => {
  await using parts = await setUp()
  const uuid = await upload(parts, alice, 'hello')
  const view = await convert(parts, alice, { name: 'greeting', uploadUuid: uuid })
  expect(view).toEqual({
    uuid: expect.any(String),
    name: 'greeting',
    state: 'created',
    metadata: {},
    version: 6,
    artifact_type: 'image',
    source_url: 'sf://upload/alice/greeting',
    max_versions: 3,
    namespace: 'alice',
    shared: false,
    index: 1,
    blob_uuid: uuid,
    blobs: {
      1: { uuid, size: 5, reference_count: 1, depends_on: null, created_at: 1_700_000_000 },
    },
    created_at: 1_700_000_000,
    updated_at: 1_700_000_000,
  })
  expect((await bytesOf(parts, uuid)).toString()).toBe('hello')
  expect(await blobRow(parts, uuid)).toMatchObject({
    state: 'created',
    size: 5,
    sha512: sha512('hello'),
    sha256: null,
    node: 'node-1',
    unreferenced_at: null,
  })
  expect(JSON.parse((await blobRow(parts, uuid)).info)).toMatchObject({ 'virtual size': 5 })
  const sums = await parts.db.read.selectFrom('blob_blocks').selectAll().executeTakeFirstOrThrow()
  expect([sums.blob_uuid, sums.sums.length]).toEqual([uuid, 4])
  expect(await refusal(showUpload(parts, alice, uuid))).toBe('upload_not_found')
  expect(await files(parts, 'uploads')).toEqual([])
})

const refusals: [string, Partial<ConvertInput> & { by?: typeof alice }][] = [
  ['one_source_only', { blobUuid: randomUUID() }],
  ['artifact_type_invalid', { artifactType: 'label' }],
  ['artifact_type_invalid', { artifactType: 'snapshot' }],
  ['artifact_type_invalid', { artifactType: 'nonsense' }],
  ['share_system_only', { shared: true }],
  ['namespace_not_found', { namespace: 'bob' }],
  ['namespace_not_found', { namespace: 'nobody' }],
  ['size_mismatch', { size: 4 }],
  ['digest_mismatch', { sha512: sha512('other') }],
  ['upload_not_found', { by: bob }],
  ['upload_not_found', { uploadUuid: randomUUID() }],
  ['upload_not_found', { uploadUuid: '../../../etc/passwd' }],
  ['blob_not_found', { uploadUuid: undefined, blobUuid: randomUUID() }],
  ['blob_not_found', { uploadUuid: undefined, blobUuid: 'x' }],
  ['no_source', { uploadUuid: undefined }],
]

test('a refused request creates nothing and keeps the upload', async () => {
  await using parts = await setUp()
  const uploadUuid = await upload(parts, alice, 'hello')
  const before = await snapshot(parts)
  for (const [code, { by = alice, ...fields }] of refusals) {
    const refused = await refusal(convert(parts, by, { name: 'x', uploadUuid, ...fields }))
    expect([refused, fields]).toEqual([code, fields])
    expect(await snapshot(parts)).toEqual(before)
  }
  expect(await append(parts, alice, uploadUuid, '!', { offset: 5 })).toEqual({ size: 6 })
})

test('an empty upload is refused and stays', async () => {
  await using parts = await setUp()
  const uploadUuid = await upload(parts, alice, '')
  expect(await refusal(convert(parts, alice, { name: 'x', uploadUuid }))).toBe('upload_empty')
  expect((await showUpload(parts, alice, uploadUuid)).size).toBe(0)
})

test('a trusted namespace and system put artifacts elsewhere; the default URL names who did', async () => {
  await using parts = await setUp()
  await parts.db.write((trx) =>
    trx.insertInto('trusts').values({ namespace: 'alice', trusted: 'bob' }).execute(),
  )
  const byBob = await upload(parts, bob, 'from bob')
  const view = await convert(parts, bob, { name: 'gift', uploadUuid: byBob, namespace: 'alice' })
  expect(view).toMatchObject({ namespace: 'alice', source_url: 'sf://upload/bob/gift' })
  // System may use everybody's upload.
  const byAlice = await upload(parts, alice, 'from alice')
  const shared = await convert(parts, system, {
    name: 'all',
    uploadUuid: byAlice,
    shared: true,
    artifactType: 'other',
  })
  expect(shared).toMatchObject({ namespace: 'system', shared: true, artifact_type: 'other' })
})

test('equal content is stored once, and the newest version is not added again', async () => {
  await using parts = await setUp()
  const first = await upload(parts, alice, 'same')
  await convert(parts, alice, { name: 'a', uploadUuid: first })
  const again = await convert(parts, alice, { name: 'a', uploadUuid: await upload(parts, alice, 'same') })
  expect([again.index, again.blob_uuid]).toEqual([1, first])
  const byBob = await convert(parts, bob, { name: 'b', uploadUuid: await upload(parts, bob, 'same') })
  // Bob learns nothing of Alice's references, and she nothing of his.
  expect([byBob.blob_uuid, byBob.blobs['1']!.reference_count]).toEqual([first, 1])
  expect(await files(parts, 'blobs')).toEqual([first])
  expect(await files(parts, 'uploads')).toEqual([])
})

test('the same request again has the same answer; another one finds no upload', async () => {
  await using parts = await setUp()
  const uploadUuid = await upload(parts, alice, 'once')
  const request = { name: 'a', uploadUuid, size: 4, sha512: sha512('once').toUpperCase() }
  const first = await convert(parts, alice, request)
  expect(await convert(parts, alice, request)).toEqual(first)
  expect(await convert(parts, alice, { ...request, uploadUuid: uploadUuid.toUpperCase() })).toEqual(first)
  for (const other of [{ name: 'b' }, { sourceUrl: 'x://y' }, { artifactType: 'other' }])
    expect(await refusal(convert(parts, alice, { ...request, ...other }))).toBe('upload_not_found')
  expect(await refusal(convert(parts, bob, request))).toBe('upload_not_found')
  expect(await refusal(convert(parts, alice, { ...request, size: 5 }))).toBe('size_mismatch')
  expect(await refusal(append(parts, alice, uploadUuid, 'late'))).toBe('upload_not_found')

  parts.clock.advance(3 * 24 * 3600)
  expect(await parts.db.write((trx) => pruneConversions(trx, parts.clock.now()))).toBe(1)
  expect(await refusal(convert(parts, alice, request))).toBe('upload_not_found')
})

test('many conversions of one upload at once make one version', async () => {
  await using parts = await setUp()
  const uploadUuid = await upload(parts, alice, 'raced')
  const views = await Promise.all(
    Array.from({ length: 8 }, () => convert(parts, alice, { name: 'a', uploadUuid })),
  )
  expect(new Set(views.map((view) => JSON.stringify(view))).size).toBe(1)
  const { versions, conversions } = await snapshot(parts)
  expect([versions.length, conversions.length]).toEqual([1, 1])
})

test('uploads of equal content at once: one blob, no file too many', async () => {
  await using parts = await setUp()
  const uploads = await Promise.all(Array.from({ length: 5 }, () => upload(parts, alice, 'twins')))
  const views = await Promise.all(
    uploads.map((uploadUuid, at) => convert(parts, alice, { name: `twin ${at}`, uploadUuid })),
  )
  expect(new Set(views.map((view) => view.blob_uuid)).size).toBe(1)
  expect(await files(parts, 'blobs')).toEqual([views[0]!.blob_uuid])
  expect(await files(parts, 'uploads')).toEqual([])
})

test('deleting the upload while it is converted: one of the two finds it gone', async () => {
  await using parts = await setUp()
  for (let round = 0; round < 6; round++) {
    const uploadUuid = await upload(parts, alice, `round ${round}`)
    const [converted, gone] = await Promise.all([
      refusal(convert(parts, alice, { name: `a${round}`, uploadUuid })),
      refusal(deleteUpload(parts, alice, uploadUuid)),
    ])
    expect([converted, gone].sort()).toEqual(['none', 'upload_not_found'])
    const stored = (await files(parts, 'blobs')).includes(uploadUuid)
    expect(stored).toBe(converted === 'none')
  }
  expect(await files(parts, 'uploads')).toEqual([])
})

test('deleting the artifact while a version is added: the version is in the old one or in a new one', async () => {
  await using parts = await setUp()
  const { uuid } = await convert(parts, alice, { name: 'a', uploadUuid: await upload(parts, alice, '1') })
  const next = await upload(parts, alice, '2')
  const [view] = await Promise.all([
    convert(parts, alice, { name: 'a', uploadUuid: next }),
    deleteArtifact(parts, alice, uuid),
  ])
  if (view.uuid === uuid) expect(view.index).toBe(2)
  else expect([view.index, view.state]).toEqual([1, 'created'])
})

test('a blob is converted by those who see it or hold a lease on it', async () => {
  await using parts = await setUp()
  const uploadUuid = await upload(parts, alice, 'secret')
  const { blob_uuid: blobUuid } = await convert(parts, alice, { name: 'a', uploadUuid })
  const steal = () => convert(parts, bob, { name: 'b', blobUuid })
  expect(await refusal(steal())).toBe('blob_not_found')
  expect(await refusal(convert(parts, alice, { name: 'b', blobUuid, size: 7 }))).toBe('size_mismatch')
  expect(await refusal(convert(parts, alice, { name: 'b', blobUuid, sha512: sha512('x') }))).toBe(
    'digest_mismatch',
  )
  expect((await snapshot(parts)).artifacts).toHaveLength(1)
  await parts.db.write((trx) => leaseBlob(trx, parts, blobUuid!, 'bob'))
  expect(await steal()).toMatchObject({ namespace: 'bob', index: 1, blob_uuid: blobUuid })
  expect((await steal()).index).toBe(1)
})

test('the same content heals a blob in quarantine; converting the blob itself is refused', async () => {
  await using parts = await setUp()
  const first = await upload(parts, alice, 'precious')
  await convert(parts, alice, { name: 'a', uploadUuid: first })
  await writeFile(blobPath(parts, first), 'damaged!')
  await quarantineBlob(parts, first, 'test')
  expect(await refusal(convert(parts, alice, { name: 'b', blobUuid: first }))).toBe('blob_damaged')

  const uploads = await Promise.all([upload(parts, bob, 'precious'), upload(parts, alice, 'precious')])
  const [view] = await Promise.all([
    convert(parts, bob, { name: 'b', uploadUuid: uploads[0] }),
    convert(parts, alice, { name: 'a', uploadUuid: uploads[1] }),
  ])
  expect(view.blob_uuid).toBe(first)
  expect((await blobRow(parts, first)).state).toBe('created')
  expect((await bytesOf(parts, first)).toString()).toBe('precious')
  expect(await files(parts, 'uploads')).toEqual([])
})

test('a repetition never reports success for a blob that is damaged', async () => {
  await using parts = await setUp()
  const uploadUuid = await upload(parts, alice, 'precious')
  await convert(parts, alice, { name: 'a', uploadUuid })
  await writeFile(blobPath(parts, uploadUuid), 'damaged!')
  await quarantineBlob(parts, uploadUuid, 'test')
  expect(await refusal(convert(parts, alice, { name: 'a', uploadUuid }))).toBe('blob_damaged')
  expect((await blobRow(parts, uploadUuid)).state).toBe('quarantined')
})

/** Parts whose writes fail from now on, before or after what they do is committed. */
const failingWrites = (parts: Parts, when: 'before' | 'after'): Parts => {
  const write: Database['write'] = async (work) => {
    if (when === 'after') await parts.db.write(work)
    throw new Error('the database is gone')
  }
  return { ...parts, db: Object.assign(Object.create(parts.db), { write, read: parts.db.read }) }
}

test('a transaction that fails gives the upload back', async () => {
  await using parts = await setUp()
  const uploadUuid = await upload(parts, alice, 'kept')
  const before = await snapshot(parts)
  await expect(convert(failingWrites(parts, 'before'), alice, { name: 'a', uploadUuid })).rejects.toThrow(
    'gone',
  )
  expect(await snapshot(parts)).toEqual(before)
  expect(await files(parts, 'blobs')).toEqual([])
  expect(await append(parts, alice, uploadUuid, '!')).toEqual({ size: 5 })
  const view = await convert(parts, alice, { name: 'a', uploadUuid })
  expect((await bytesOf(parts, view.blob_uuid!)).toString()).toBe('kept!')
})

test('a commit whose answer was lost is not undone', async () => {
  await using parts = await setUp()
  const uploadUuid = await upload(parts, alice, 'committed')
  const request = { name: 'a', uploadUuid }
  await expect(convert(failingWrites(parts, 'after'), alice, request)).rejects.toThrow('gone')
  expect((await bytesOf(parts, uploadUuid)).toString()).toBe('committed')
  expect(await convert(parts, alice, request)).toMatchObject({ index: 1, blob_uuid: uploadUuid })
})

test('a blob that is collected between look-up and commit is made anew from the upload', async () => {
  await using parts = await setUp()
  const first = await upload(parts, alice, 'same')
  await convert(parts, alice, { name: 'a', uploadUuid: first })
  await deleteVersionOf(parts, alice, 'a', 1)
  const second = await upload(parts, alice, 'same')
  // Collection is faster than the transaction: it takes the turn before it.
  const write: Database['write'] = async (work) => {
    await parts.db.write((trx) =>
      trx
        .updateTable('blobs')
        .set({ state: 'deleted', deleted_at: parts.clock.now() })
        .where('uuid', '=', first)
        .execute(),
    )
    return parts.db.write(work)
  }
  const racing = { ...parts, db: Object.assign(Object.create(parts.db), { write, read: parts.db.read }) }
  const view = await convert(racing, alice, { name: 'a', uploadUuid: second })
  expect(view.blob_uuid).toBe(second)
  expect((await bytesOf(parts, second)).toString()).toBe('same')
})

test('a failure to take the bytes over leaves the upload as it was', async () => {
  await using parts = await setUp()
  const uploadUuid = await upload(parts, alice, 'kept')
  const adopt: BlobStore['adopt'] = async () => {
    throw new Error('the disk is gone')
  }
  const broken = { ...parts, blobs: { ...parts.blobs, adopt } }
  await expect(convert(broken, alice, { name: 'a', uploadUuid })).rejects.toThrow('gone')
  expect(await append(parts, alice, uploadUuid, '!', { offset: 4 })).toEqual({ size: 5 })
})

test('a former life of a namespace leaves nothing to repeat', async () => {
  await using parts = await setUp()
  await makeNamespaces(parts, 'phoenix')
  const phoenix = callerOf('phoenix')
  const uploadUuid = await upload(parts, phoenix, 'old')
  await convert(parts, phoenix, { name: 'a', uploadUuid })
  await deleteArtifact(parts, phoenix, 'a')
  parts.clock.advance(1)
  await parts.db.write((trx) =>
    trx
      .updateTable('namespaces')
      .set({ created_at: parts.clock.now() })
      .where('name', '=', 'phoenix')
      .execute(),
  )
  expect(await refusal(convert(parts, phoenix, { name: 'a', uploadUuid }))).toBe('upload_not_found')
})
