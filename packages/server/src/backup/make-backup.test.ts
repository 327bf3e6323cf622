import { existsSync } from 'node:fs'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { dataPaths } from '../blobs/paths.ts'
import { blobPath } from '../domain/blob-fixture.ts'
import { collectBlobs } from '../domain/jobs/collect-blobs.ts'
import { quarantineBlob } from '../domain/quarantine.ts'
import { retireArtifacts } from '../domain/versions.ts'
import { callerOf } from '../test-parts.ts'
import { type BackupPlace, makeBackupPlace } from './backup-fixture.ts'

let place: BackupPlace
const never = new AbortController().signal

beforeEach(async () => {
  place = await makeBackupPlace()
})
afterEach(() => place[Symbol.asyncDispose]())

const deleteAll = async (): Promise<void> => {
  const { parts } = place
  const artifacts = await parts.db.read.selectFrom('artifacts').selectAll().execute()
  await parts.db.write((trx) => retireArtifacts(trx, parts, callerOf('alice'), artifacts))
}

test('files of blobs collected while a backup runs wait until it has them', async () => {
  const { parts, backup } = place
  const uuid = await place.store('doomed', 'still wanted')
  const afterCopy = async (path: string) => {
    await parts.db.backupTo!(path)
    await deleteAll()
    expect(await collectBlobs(parts, never)).toMatchObject({ collected: 1 })
    expect(existsSync(blobPath(parts, uuid))).toBe(true)
  }
  const { figures } = await place.backUp({ ...parts, db: { ...parts.db, backupTo: afterCopy } })
  expect(figures).toMatchObject({ blobs_total: 1, damaged_blobs: 0 })
  expect(await readFile(dataPaths(backup).blob(uuid), 'utf8')).toBe('still wanted')
  // And go afterwards.
  expect(await collectBlobs(parts, never)).toMatchObject({ leftovers: 1 })
  expect(existsSync(blobPath(parts, uuid))).toBe(false)
})

test('files wait for a backup that fails, too, but not longer', async () => {
  const { parts } = place
  const uuid = await place.store('doomed', 'not wanted any more')
  const failing = async () => {
    await deleteAll()
    await collectBlobs(parts, never)
    throw new Error('the disk went away')
  }
  await expect(place.backUp({ ...parts, db: { ...parts.db, backupTo: failing } })).rejects.toThrow(
    'went away',
  )
  await collectBlobs(parts, never)
  expect(existsSync(blobPath(parts, uuid))).toBe(false)
})

test('a damaged blob is told of, and an older good copy of it is kept', async () => {
  const { parts, backup } = place
  const [lost, saved, cut] = [
    await place.store('lost', 'never backed up'),
    await place.store('saved', 'backed up before'),
    await place.store('cut', 'will be shorter'),
  ]
  await place.backUp()
  const kept = dataPaths(backup).blob(saved)
  const newer = await place.store('newer', 'lost before the second backup')
  for (const uuid of [saved, newer]) await parts.blobs.quarantine(uuid)
  await quarantineBlob(parts, saved, 'a test')
  const { manifest, figures } = await place.backUp()
  expect(figures).toMatchObject({ kept_blobs: 3, damaged_blobs: 1, blobs_done: 4 })
  expect(manifest.damaged).toEqual([{ uuid: newer, reason: 'its file is missing' }])
  expect(await readFile(kept, 'utf8')).toBe('backed up before')
  expect([lost, cut].every((uuid) => existsSync(dataPaths(backup).blob(uuid)))).toBe(true)
})

test('a blob that was healed is taken anew', async () => {
  const { parts, backup } = place
  const uuid = await place.store('healed', 'right bytes')
  await place.backUp()
  // As a hard link, the backup has the same damage; a new file heals the store's own.
  const copy = dataPaths(backup).blob(uuid)
  await writeFile(copy, 'wrong bytes')
  parts.clock.advance(1)
  await parts.db.write((trx) =>
    trx.updateTable('blobs').set({ healed_at: parts.clock.now() }).where('uuid', '=', uuid).execute(),
  )
  await parts.blobs.remove(uuid)
  await writeFile(blobPath(parts, uuid), 'right bytes', { mode: 0o600 })
  parts.clock.advance(1)
  const { figures } = await place.backUp()
  expect(figures).toMatchObject({ kept_blobs: 0, damaged_blobs: 0 })
  expect(await readFile(copy, 'utf8')).toBe('right bytes')
})

test('what an interrupted backup left is cleared away by the next one', async () => {
  const { backup } = place
  const uuid = await place.store('here', 'content')
  await place.backUp()
  const { blobDirectory } = dataPaths(backup)
  const stray = `${uuid.slice(0, 2)}000000-0000-4000-8000-000000000000`
  await writeFile(join(backup, 'holdfast-00000000-0000-4000-8000-000000000000.db'), 'half')
  await writeFile(join(backup, 'backup.json.new'), '{')
  await writeFile(join(blobDirectory(uuid), stray), 'of no blob')
  await writeFile(join(blobDirectory(uuid), `${stray}.new`), 'half')
  const { manifest, figures } = await place.backUp()
  expect(figures.removed_blobs).toBe(1)
  expect(await readdir(blobDirectory(uuid))).toEqual([uuid])
  expect((await readdir(backup)).sort()).toEqual(['backup.json', 'blobs', manifest.database, 'token.key'])
})

test('stopped during its copy of the database, a backup leaves the one before, and goes on next time', async () => {
  const { parts, backup } = place
  const uuid = await place.store('first', 'in both')
  const { manifest: first } = await place.backUp()
  const later = await place.store('second', 'in the second')
  const stop = new AbortController()
  const stopped = async (path: string) => {
    const copying = parts.db.backupTo!(path)
    stop.abort()
    await copying
    expect(existsSync(path)).toBe(true)
  }
  const stopping = place.backUp({ ...parts, db: { ...parts.db, backupTo: stopped } }, stop.signal)
  await expect(stopping).rejects.toSatisfy((error) => error === stop.signal.reason)
  expect(JSON.parse(await readFile(join(backup, 'backup.json'), 'utf8'))).toEqual(first)
  expect(existsSync(dataPaths(backup).blob(later))).toBe(false)
  // Collection waits for it no longer.
  await deleteAll()
  expect(await collectBlobs(parts, never)).toMatchObject({ collected: 2 })
  expect(existsSync(blobPath(parts, uuid))).toBe(false)
  expect((await place.restore({ verify: true })).blobs).toBe(1)
  const { manifest, figures } = await place.backUp()
  expect(figures).toMatchObject({ blobs_total: 0, removed_blobs: 1, damaged_blobs: 0 })
  expect((await readdir(backup)).sort()).toEqual(['backup.json', 'blobs', manifest.database, 'token.key'])
})

test('blobs are linked where the file system can', async () => {
  const { parts, backup } = place
  const uuid = await place.store('linked', 'content')
  const { figures } = await place.backUp()
  expect(figures).toMatchObject({ linked_blobs: 1, copied_blobs: 0, bytes_done: 7 })
  expect((await stat(dataPaths(backup).blob(uuid))).ino).toBe((await stat(blobPath(parts, uuid))).ino)
})
