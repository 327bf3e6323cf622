import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Parts } from '../parts.ts'
import { callerOf } from '../test-parts.ts'
import { blobPath, blobRow } from './blob-fixture.ts'
import { convert } from './convert.ts'
import { quarantineBlob } from './quarantine.ts'
import { recover } from './recover.ts'
import { append, bytesOf, refusal, setUp, upload } from './upload-fixture.ts'
import { listUploads, showUpload } from './uploads.ts'

const alice = callerOf('alice')
const files = async (parts: Parts, directory: string) =>
  (await readdir(join(parts.config.dataDir, directory), { recursive: true, withFileTypes: true })).filter(
    (entry) => entry.isFile(),
  ).length

/** The parts as another process would find them: nothing in memory of what was done before. */
const restarted = async (parts: Parts): Promise<Parts> => {
  await parts.uploadFiles.close()
  return parts
}

/** The process dies at this point. */
const crash = new Error('killed')

test('a conversion killed before its commit: the upload goes on where it was', async () => {
  await using parts = await setUp()
  const uploadUuid = await upload(parts, alice, 'half done')
  const sealed = await parts.uploadFiles.seal(uploadUuid)
  await parts.blobs.adopt(uploadUuid, sealed.path)
  await sealed.release()
  const again = await restarted(parts)
  await recover(again)
  await recover(again)
  expect(await files(parts, 'blobs')).toBe(0)
  expect(await append(parts, alice, uploadUuid, '!', { offset: 9 })).toEqual({ size: 10 })
  const view = await convert(parts, alice, { name: 'a', uploadUuid })
  expect((await bytesOf(parts, view.blob_uuid!)).toString()).toBe('half done!')
})

test('a conversion killed after its commit: the version stands and the remains go', async () => {
  await using parts = await setUp()
  const first = await upload(parts, alice, 'content')
  await convert(parts, alice, { name: 'a', uploadUuid: first })
  const second = await upload(parts, alice, 'content')
  const seal: Parts['uploadFiles']['seal'] = async (uuid) => ({
    ...(await parts.uploadFiles.seal(uuid)),
    discard: () => Promise.reject(crash),
  })
  const uploadFiles = Object.assign(Object.create(parts.uploadFiles), { seal })
  const request = { name: 'b', uploadUuid: second }
  const view = await convert({ ...parts, uploadFiles }, alice, request)
  expect(await files(parts, 'uploads')).toBe(2)
  await recover(await restarted(parts))
  expect(await files(parts, 'uploads')).toBe(0)
  expect(await convert(parts, alice, request)).toEqual(view)
})

test('a healing that was interrupted is finished, from the upload or in place', async () => {
  await using parts = await setUp()
  const blob = await upload(parts, alice, 'precious')
  await convert(parts, alice, { name: 'a', uploadUuid: blob })
  for (const diesAfter of ['nothing', 'quarantine', 'adopt'] as const) {
    await writeFile(blobPath(parts, blob), 'damaged!')
    await quarantineBlob(parts, blob, 'test')
    const uploadUuid = await upload(parts, alice, 'precious')
    const blobs = {
      ...parts.blobs,
      quarantine: async (uuid: string) => {
        if (diesAfter === 'nothing') throw crash
        await parts.blobs.quarantine(uuid)
      },
      adopt: async (uuid: string, path: string) => {
        if (diesAfter === 'quarantine') throw crash
        await parts.blobs.adopt(uuid, path)
        throw crash
      },
    }
    await expect(convert({ ...parts, blobs }, alice, { name: 'a', uploadUuid })).rejects.toThrow('killed')
    expect((await blobRow(parts, blob)).state).toBe('quarantined')
    await recover(await restarted(parts))
    expect([diesAfter, (await blobRow(parts, blob)).state]).toEqual([diesAfter, 'created'])
    expect((await bytesOf(parts, blob)).toString()).toBe('precious')
    expect(await files(parts, 'uploads')).toBe(0)
  }
})

test('rows without files and files without rows go; whole uploads stay', async () => {
  await using parts = await setUp()
  const kept = await upload(parts, alice, 'kept')
  const withoutRow = await upload(parts, alice, 'no row')
  const withoutFiles = await upload(parts, alice, 'no files')
  await parts.db.write((trx) => trx.deleteFrom('uploads').where('uuid', '=', withoutRow).execute())
  await parts.uploadFiles.remove(withoutFiles)
  await recover(await restarted(parts))
  expect((await listUploads(parts, alice)).map((view) => [view.uuid, view.size])).toEqual([[kept, 4]])
  expect(await refusal(showUpload(parts, alice, withoutFiles))).toBe('upload_not_found')
  expect(await files(parts, 'uploads')).toBe(2)
  expect(await parts.db.read.selectFrom('uploads').select('uuid').execute()).toEqual([{ uuid: kept }])
})

test('uploads of a namespace whose deletion was interrupted go', async () => {
  await using parts = await setUp()
  await upload(parts, alice, 'hers')
  await parts.db.write((trx) =>
    trx
      .updateTable('namespaces')
      .set({ state: 'deleted', deleted_at: parts.clock.now() })
      .where('name', '=', 'alice')
      .execute(),
  )
  await recover(await restarted(parts))
  expect(await files(parts, 'uploads')).toBe(0)
  expect(await parts.db.read.selectFrom('uploads').select('uuid').execute()).toEqual([])
})
