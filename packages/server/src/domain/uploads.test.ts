import { randomUUID } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Parts } from '../parts.ts'
import { callerOf } from '../test-parts.ts'
import { append, refusal, setUp, upload } from './upload-fixture.ts'
import {
  createUpload,
  deleteUpload,
  expireUploads,
  listUploads,
  removeUploadsOf,
  showUpload,
  truncateUpload,
} from './uploads.ts'

const alice = callerOf('alice')
const bob = callerOf('bob')
const system = callerOf('system')
const filesOf = (parts: Parts) => readdir(join(parts.config.dataDir, 'uploads'))

test('the view of a new upload, and how it changes', async () => {
  await using parts = await setUp({ uploadExpiry: 3600 })
  const { uuid, ...view } = await createUpload(parts, alice, { size: 10 })
  expect(view).toEqual({
    state: 'created',
    metadata: {},
    version: 3,
    node: 'node-1',
    created_at: 1_700_000_000,
    namespace: 'alice',
    size: 0,
    declared_size: 10,
    last_data_at: 1_700_000_000,
    expires_at: 1_700_003_600,
  })
  parts.clock.advance(60)
  await append(parts, alice, uuid, 'abc')
  expect(await showUpload(parts, alice, uuid)).toMatchObject({
    size: 3,
    created_at: 1_700_000_000,
    last_data_at: 1_700_000_060,
    expires_at: 1_700_003_660,
  })
})

test('for others an upload does not exist; system sees all', async () => {
  await using parts = await setUp()
  const uuid = await upload(parts, alice, 'mine')
  parts.clock.advance(1)
  const later = await upload(parts, bob, 'his')
  for (const other of [uuid, randomUUID(), 'x', '../escape'])
    for (const attempt of [
      () => showUpload(parts, bob, other),
      () => append(parts, bob, other, 'x'),
      () => truncateUpload(parts, bob, other, 0),
      () => deleteUpload(parts, bob, other),
    ])
      expect(await refusal(attempt())).toBe('upload_not_found')
  const listed = async (caller: typeof alice) =>
    (await listUploads(parts, caller)).map((view) => [view.uuid, view.size])
  expect(await listed(alice)).toEqual([[uuid, 4]])
  expect(await listed(system)).toEqual([
    [uuid, 4],
    [later, 3],
  ])
  expect((await showUpload(parts, system, uuid.toUpperCase())).size).toBe(4)
})

test('limits: file, declared size, body', async () => {
  await using parts = await setUp({ maxFileSize: 20, maxAppendSize: 8 })
  expect(await refusal(createUpload(parts, alice, { size: 21 }))).toBe('file_too_large')
  expect(await listUploads(parts, alice)).toEqual([])

  const { uuid } = await createUpload(parts, alice, { size: 10 })
  expect(await refusal(append(parts, alice, uuid, 'never read', { length: 9 }))).toBe('body_too_large')
  expect(await refusal(append(parts, alice, uuid, '123456789'))).toBe('body_too_large')
  expect((await showUpload(parts, alice, uuid)).size).toBe(0)
  await append(parts, alice, uuid, '12345678', { length: 8 })
  expect(await refusal(append(parts, alice, uuid, '123'))).toBe('size_exceeds_declared')
  expect(await append(parts, alice, uuid, '12')).toEqual({ size: 10 })

  const free = await upload(parts, alice, '12345678')
  await append(parts, alice, free, '12345678')
  expect(await refusal(append(parts, alice, free, '12345'))).toBe('file_too_large')
  expect((await showUpload(parts, alice, free)).size).toBe(16)
})

test('truncating', async () => {
  await using parts = await setUp()
  const uuid = await upload(parts, alice, 'abc')
  expect(await refusal(truncateUpload(parts, alice, uuid, 4))).toBe('truncate_out_of_range')
  await truncateUpload(parts, alice, uuid, 1)
  expect(await refusal(append(parts, alice, uuid, 'x', { offset: 3 }))).toBe('offset_mismatch')
  expect(await append(parts, alice, uuid, 'x', { offset: 1 })).toEqual({ size: 2 })
})

test('deleting leaves nothing, and can be done once', async () => {
  await using parts = await setUp()
  const uuid = await upload(parts, alice, 'abc')
  const results = await Promise.all([1, 2, 3].map(() => refusal(deleteUpload(parts, alice, uuid))))
  expect(results.sort()).toEqual(['none', 'upload_not_found', 'upload_not_found'])
  expect(await filesOf(parts)).toEqual([])
})

test('a namespace that is deleted takes its uploads along, and gets no new ones', async () => {
  await using parts = await setUp()
  await upload(parts, alice, 'hers')
  const kept = await upload(parts, bob, 'his')
  await parts.db.write((trx) =>
    trx
      .updateTable('namespaces')
      .set({ state: 'deleted', deleted_at: parts.clock.now() })
      .where('name', '=', 'alice')
      .execute(),
  )
  await removeUploadsOf(parts, 'alice')
  expect(await refusal(createUpload(parts, alice))).toBe('token_revoked')
  expect((await listUploads(parts, system)).map((view) => view.uuid)).toEqual([kept])
  expect(await filesOf(parts)).toHaveLength(2)
})

test('expiry counts from the last data and spares whoever is writing', async () => {
  await using parts = await setUp({ uploadExpiry: 3600 })
  const idle = await upload(parts, alice, 'idle')
  const fresh = await upload(parts, alice, 'fresh')
  const busy = await upload(parts, alice, 'busy')
  parts.clock.advance(3000)
  await append(parts, alice, fresh, '!')
  expect(await expireUploads(parts)).toBe(0)

  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const begun = Promise.withResolvers<void>()
  async function* slowly() {
    begun.resolve()
    yield Buffer.from('...')
    await held
  }
  const writing = append(parts, alice, busy, slowly())
  await begun.promise
  parts.clock.advance(600)
  expect(await expireUploads(parts)).toBe(1)
  expect(await refusal(showUpload(parts, alice, idle))).toBe('upload_not_found')
  release()
  expect(await writing).toEqual({ size: 7 })
  expect((await listUploads(parts, alice)).map((view) => view.uuid).sort()).toEqual([fresh, busy].sort())
  const { message } = await parts.db.read
    .selectFrom('events')
    .select('message')
    .where('object_uuid', '=', idle)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow()
  expect(message).toBe('expired')
})

test('a row that lost its files goes when it would have expired', async () => {
  await using parts = await setUp({ uploadExpiry: 3600 })
  const lost = await upload(parts, alice, 'lost')
  await parts.uploadFiles.remove(lost)
  parts.clock.advance(3599)
  const kept = await upload(parts, alice, 'kept')
  const rows = () => parts.db.read.selectFrom('uploads').select('uuid').orderBy('created_at').execute()
  await expireUploads(parts)
  expect(await rows()).toEqual([{ uuid: lost }, { uuid: kept }])
  parts.clock.advance(1)
  await expireUploads(parts)
  expect(await rows()).toEqual([{ uuid: kept }])
})
