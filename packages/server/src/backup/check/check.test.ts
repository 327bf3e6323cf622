import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { dataPaths } from '../../blobs/paths.ts'
import { blobPath, blobRow, makeNamespaces, refer, storeBlob } from '../../domain/blob-fixture.ts'
import { append, upload } from '../../domain/upload-fixture.ts'
import { createUpload } from '../../domain/uploads.ts'
import { callerOf, createTestParts, type TestParts } from '../../test-parts.ts'
import { checkOffline } from './check-offline.ts'
import { type CheckReport, emptyReport } from './faults.ts'

let parts: TestParts
const alice = callerOf('alice')
const { signal } = new AbortController()

beforeEach(async () => {
  parts = await createTestParts()
  parts.clock.advance((Date.now() - parts.clock.now()) / 1000)
  await makeNamespaces(parts, 'system', 'alice')
})
afterEach(() => parts[Symbol.asyncDispose]())

const runCheck = async (repair = false, graceMs = 0): Promise<CheckReport> => {
  const report = emptyReport()
  await checkOffline({ parts, repair, graceMs, signal, report })
  return report
}
const store = async (name: string, content = `content of ${name}`): Promise<string> => {
  const { uuid } = await storeBlob(parts, Buffer.from(content))
  await refer(parts, 'alice', name, uuid)
  return uuid
}
const kinds = ({ faults }: CheckReport) => faults.map(({ kind, object, outcome }) => [kind, object, outcome])
/** Found, repaired, and gone. */
const expectRepaired = async (kind: string, object: string): Promise<void> => {
  expect(kinds(await runCheck())).toEqual([[kind, object, 'found']])
  expect(kinds(await runCheck(true))).toEqual([[kind, object, 'repaired']])
  expect(kinds(await runCheck())).toEqual([])
}
const change = (
  statement: (trx: Parameters<Parameters<TestParts['db']['write']>[0]>[0]) => Promise<unknown>,
) => parts.db.write(async (trx) => void (await statement(trx)))
/** Files as old as the clock is fast. */
const wait = () => parts.clock.advance(10)

test('finds nothing wrong with a store where nothing is', async () => {
  await store('one')
  await upload(parts, alice, 'unfinished')
  await createUpload(parts, alice)
  wait()
  expect(await runCheck(true)).toEqual({
    ...emptyReport(),
    checked_blobs: 1,
    checked_files: 1,
    checked_uploads: 2,
  })
})

test('a blob without a file, or with one of another size, goes to quarantine, and no bytes are deleted', async () => {
  const lost = await store('lost')
  await rm(blobPath(parts, lost))
  await expectRepaired('file_missing', lost)
  const cut = await store('cut')
  await truncate(blobPath(parts, cut), 4)
  await expectRepaired('file_size_wrong', cut)
  expect((await blobRow(parts, lost)).state).toBe('quarantined')
  expect(await readFile(dataPaths(parts.config.dataDir).quarantined(cut), 'utf8')).toBe('cont')
  expect((await runCheck()).quarantined_blobs).toBe(2)
})

test('a missing file that lies in quarantine, and is right, comes back', async () => {
  const uuid = await store('moved')
  await parts.blobs.quarantine(uuid)
  expect(kinds(await runCheck(true))).toContainEqual(['file_missing', uuid, 'repaired'])
  expect(await readFile(blobPath(parts, uuid), 'utf8')).toBe('content of moved')
  expect((await blobRow(parts, uuid)).state).toBe('created')
})

test('where one of two copies would be lost, people decide', async () => {
  const uuid = await store('twice')
  await parts.blobs.quarantine(uuid)
  await writeFile(blobPath(parts, uuid), 'short')
  const report = await runCheck(true)
  expect(kinds(report)).toContainEqual(['file_size_wrong', uuid, 'left'])
  expect(await readFile(dataPaths(parts.config.dataDir).quarantined(uuid), 'utf8')).toBe('content of twice')
})

test('a file without a row is set aside first and removed later, each after the grace period', async () => {
  const { blob, quarantined } = dataPaths(parts.config.dataDir)
  const uuid = randomUUID()
  await mkdir(dirname(blob(uuid)), { recursive: true })
  await writeFile(blob(uuid), 'whose is this?')
  const graceMs = 40
  const letPass = async () => {
    await sleep(graceMs + 20)
    parts.clock.advance((Date.now() - parts.clock.now()) / 1000)
  }
  expect((await runCheck(true, graceMs)).found).toBe(0)
  await letPass()
  expect(kinds(await runCheck(true, graceMs))).toEqual([['file_stray', uuid, 'repaired']])
  expect([existsSync(blob(uuid)), existsSync(quarantined(uuid))]).toEqual([false, true])
  expect((await runCheck(true, graceMs)).found).toBe(0)
  await letPass()
  expect(kinds(await runCheck(true, graceMs))).toEqual([['quarantine_stray', uuid, 'repaired']])
  expect(existsSync(quarantined(uuid))).toBe(false)
})

test('a stray that may be the content of a damaged blob is kept', async () => {
  const lost = await store('lost', 'same size 1')
  const { blob, quarantined } = dataPaths(parts.config.dataDir)
  await rm(blob(lost))
  const stray = randomUUID()
  await writeFile(quarantined(stray), 'same size 2')
  wait()
  const report = await runCheck(true)
  expect(kinds(report)).toEqual([
    ['file_missing', lost, 'repaired'],
    ['quarantine_stray', stray, 'left'],
  ])
  expect(report.faults[1]!.message).toContain(lost)
  expect(existsSync(quarantined(stray))).toBe(true)
})

test('the file of a conversion under way, or of a blob about to be removed, is no stray', async () => {
  const { uuid } = await createUpload(parts, alice)
  await append(parts, alice, uuid, 'being converted')
  const sealed = await parts.uploadFiles.seal(uuid)
  await parts.blobs.adopt(uuid, sealed.path)
  const collected = await storeBlob(parts, Buffer.from('collected'))
  await change((trx) =>
    trx
      .updateTable('blobs')
      .set({ state: 'deleted', deleted_at: 1 })
      .where('uuid', '=', collected.uuid)
      .execute(),
  )
  wait()
  expect(kinds(await runCheck(true))).toEqual([])
  await parts.blobs.giveBack(uuid, sealed.path)
  await sealed.release()
})

test('uploads without files lose their row, files of no upload go', async () => {
  const lost = await upload(parts, alice, 'gone')
  await parts.uploadFiles.remove(lost)
  await expectRepaired('upload_without_files', lost)
  const stray = await upload(parts, alice, 'orphaned')
  await change((trx) => trx.deleteFrom('uploads').where('uuid', '=', stray).execute())
  wait()
  await expectRepaired('upload_without_row', stray)
  expect(await parts.uploadFiles.status(stray)).toBeUndefined()
})

test('collection is told of blobs that lost their last reference, and of those that have one', async () => {
  const { uuid: unused } = await storeBlob(parts, Buffer.from('unused'))
  await expectRepaired('unreferenced_unnoticed', unused)
  expect((await blobRow(parts, unused)).unreferenced_at).not.toBeNull()
  const used = await store('used')
  await change((trx) =>
    trx.updateTable('blobs').set({ unreferenced_at: 1 }).where('uuid', '=', used).execute(),
  )
  await expectRepaired('referenced_unnoticed', used)
})

test('a version of a deleted blob gets its content back: from the file, or from the same content elsewhere', async () => {
  const setDeleted = (uuid: string) =>
    change((trx) =>
      trx.updateTable('blobs').set({ state: 'deleted', deleted_at: 1 }).where('uuid', '=', uuid).execute(),
    )
  const alive = await store('alive')
  await setDeleted(alive)
  await expectRepaired('reference_to_deleted', alive)
  expect((await blobRow(parts, alive)).state).toBe('created')

  const first = await store('twin', 'the same')
  await setDeleted(first)
  const { uuid: twin } = await storeBlob(parts, Buffer.from('the same'), { unreferenced_at: 1 })
  await expectRepaired('reference_to_deleted', first)
  const versions = await parts.db.read
    .selectFrom('versions')
    .selectAll()
    .where('blob_uuid', '=', twin)
    .execute()
  expect(versions).toHaveLength(1)

  const lost = await store('lost')
  await setDeleted(lost)
  await parts.blobs.remove(lost)
  await expectRepaired('reference_to_deleted', lost)
  expect((await blobRow(parts, lost)).state).toBe('quarantined')
})

test('a lease of a deleted blob ends', async () => {
  const { uuid } = await storeBlob(parts, Buffer.from('leased'), { unreferenced_at: 1 })
  await change(async (trx) => {
    await trx.insertInto('leases').values({ blob_uuid: uuid, namespace: 'alice', expires_at: 1 }).execute()
    await trx.updateTable('blobs').set({ state: 'deleted', deleted_at: 1 }).where('uuid', '=', uuid).execute()
  })
  await expectRepaired('lease_of_deleted', uuid)
})

test('names that the server never gives are told of and left alone', async () => {
  const { blobs, uploads, quarantine } = dataPaths(parts.config.dataDir)
  await store('neighbour')
  for (const directory of [blobs, uploads, quarantine]) await writeFile(join(directory, 'notes.txt'), 'mine')
  const report = await runCheck(true)
  expect(report).toMatchObject({ found: 3, repaired: 0 })
  expect(new Set(report.faults.map(({ object }) => object))).toEqual(
    new Set(['blobs/notes.txt', 'uploads/notes.txt', 'quarantine/notes.txt']),
  )
  for (const directory of [blobs, uploads, quarantine])
    expect(await readFile(join(directory, 'notes.txt'), 'utf8')).toBe('mine')
})
