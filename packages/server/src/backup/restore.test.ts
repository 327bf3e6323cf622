import { existsSync } from 'node:fs'
import { appendFile, mkdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { dataPaths } from '../blobs/paths.ts'
import { lockDataDirectory } from '../db/lock.ts'
import { openSqlite } from '../db/sqlite.ts'
import { upload } from '../domain/upload-fixture.ts'
import { callerOf } from '../test-parts.ts'
import { type BackupPlace, makeBackupPlace } from './backup-fixture.ts'
import { refuseUnfinishedRestore, restoringFile } from './unfinished-restore.ts'

let place: BackupPlace
let first: string
let second: string
const restored = () => join(place.root, 'restored')
const inBackup = (uuid: string) => dataPaths(place.backup).blob(uuid)
const inRestored = (uuid: string) => dataPaths(restored()).blob(uuid)

beforeEach(async () => {
  place = await makeBackupPlace()
  first = await place.store('first', 'the first content')
  second = await place.store('second', 'the second content')
})
afterEach(() => place[Symbol.asyncDispose]())

/** What the restored database says. */
const lookInto = async <T>(look: (db: Awaited<ReturnType<typeof openSqlite>>) => Promise<T>): Promise<T> => {
  const db = await openSqlite({ path: dataPaths(restored()).database })
  try {
    return await look(db)
  } finally {
    await db.close()
  }
}

test('brings everything back, forgets unfinished uploads, asks for verification, and says so in the history', async () => {
  await upload(place.parts, callerOf('alice'), 'not finished')
  await place.backUp()
  const report = await place.restore({ verify: true })
  expect(report).toMatchObject({ blobs: 2, bytes: 35, damaged: [] })
  expect(await readFile(inRestored(first), 'utf8')).toBe('the first content')
  expect(await readFile(inRestored(second), 'utf8')).toBe('the second content')
  const token = dataPaths(restored()).tokenKey
  expect(await readFile(token)).toEqual(Buffer.from(place.parts.tokenKey))
  for (const path of [token, inRestored(first), dataPaths(restored()).database])
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect((await stat(restored())).mode & 0o777).toBe(0o700)
  await lookInto(async ({ read }) => {
    expect(await read.selectFrom('versions').selectAll().execute()).toHaveLength(2)
    expect(await read.selectFrom('uploads').selectAll().execute()).toEqual([])
    const events = await read
      .selectFrom('events')
      .select('message')
      .where('object_uuid', '=', 'system')
      .execute()
    expect(events.at(-1)?.message).toBe('restored from a backup')
    const settings = await read.selectFrom('settings').select('name').execute()
    expect(settings.map((row) => row.name)).toContain('verification-asked-at')
  })
  expect(() => refuseUnfinishedRestore(restored())).not.toThrow()
  // It stands on its own: what happens to the backup does not matter any more.
  await writeFile(inBackup(first), 'overwritten')
  expect(await readFile(inRestored(first), 'utf8')).toBe('the first content')
})

test('refuses what is not a finished backup', async () => {
  await expect(place.restore()).rejects.toThrow('it has no backup.json')
  await place.backUp()
  const manifest = join(place.backup, 'backup.json')
  const text = await readFile(manifest, 'utf8')
  for (const [content, words] of [
    ['{', 'it is not JSON'],
    [text.replace('"format": 1', '"format": 2'), 'format 2'],
    [text.replace(/"database": "[^"]*"/, '"database": "../../etc/passwd"'), 'something is missing'],
    [text.replace(/"database_size": \d+/, '"database_size": 1'), 'not the one that was written'],
  ] as const) {
    await writeFile(manifest, content)
    await expect(place.restore()).rejects.toThrow(words)
  }
  await rm(manifest)
  await writeFile(join(place.backup, 'unfinished.json'), '{}')
  await expect(place.restore()).rejects.toThrow('never finished')
  expect(existsSync(restored())).toBe(false)
})

test('refuses a damaged database', async () => {
  const { manifest } = await place.backUp()
  await appendFile(join(place.backup, manifest.database), 'x')
  await expect(place.restore()).rejects.toThrow('not the one that was written')
})

test('refuses a data directory that is in use, or not empty', async () => {
  await place.backUp()
  await expect(place.restore({ dataDir: place.parts.config.dataDir })).rejects.toThrow('is not empty')
  await mkdir(restored())
  const lock = lockDataDirectory(restored())
  await expect(place.restore()).rejects.toThrow('in use by a running Holdfast server')
  lock.release()
  // The lock's own file does not count.
  expect(await place.restore()).toMatchObject({ blobs: 2 })
  await expect(place.restore()).rejects.toThrow('is not empty')
})

test('refuses missing and cut blobs before it writes anything; if told so, it puts them in quarantine', async () => {
  await place.backUp()
  await rm(inBackup(first))
  await expect(place.restore()).rejects.toThrow(`${first}: it is missing`)
  expect(existsSync(restored())).toBe(false)
  await truncate(inBackup(second), 3)
  await expect(place.restore()).rejects.toThrow(`${second}: it has 3 bytes instead of 18`)
  const { damaged, blobs } = await place.restore({ allowDamage: true })
  expect([damaged.map(({ uuid }) => uuid).sort(), blobs]).toEqual([[first, second].sort(), 0])
  await lookInto(async ({ read }) => {
    const states = await read.selectFrom('blobs').select('state').execute()
    expect(states.map((row) => row.state)).toEqual(['quarantined', 'quarantined'])
  })
  expect(existsSync(inRestored(second))).toBe(false)
})

test('finds rot when it verifies; what it left is no data directory, and the repetition makes it one', async () => {
  await place.backUp()
  const rotten = first < second ? second : first
  const bytes = await readFile(inBackup(rotten))
  bytes[5] = bytes[5]! ^ 1
  await rm(inBackup(rotten))
  await writeFile(inBackup(rotten), bytes)
  await expect(place.restore({ verify: true })).rejects.toThrow('has another sha512')
  expect(() => refuseUnfinishedRestore(restored())).toThrow('was not finished')
  expect(existsSync(dataPaths(restored()).database)).toBe(false)

  const report = await place.restore({ verify: true, allowDamage: true })
  expect(report).toMatchObject({ blobs: 1, damaged: [{ uuid: rotten }] })
  expect(existsSync(inRestored(rotten))).toBe(false)
  expect(existsSync(join(restored(), restoringFile))).toBe(false)
})

test('a restore of another backup does not go on with what one left', async () => {
  await place.backUp()
  const stop = AbortSignal.abort(new Error('interrupted'))
  await expect(place.restore({ signal: stop })).rejects.toThrow('interrupted')
  await place.backUp()
  await expect(place.restore()).rejects.toThrow('a restore of another backup left')
})

test('of a first backup that was interrupted there is nothing to restore, and the repetition ends well', async () => {
  const { parts } = place
  const cut = async (path: string) => {
    await parts.db.backupTo!(path)
    throw new Error('power cut')
  }
  await expect(place.backUp({ ...parts, db: { ...parts.db, backupTo: cut } })).rejects.toThrow('power cut')
  await expect(place.restore()).rejects.toThrow('never finished')
  await place.backUp()
  expect(await place.restore()).toMatchObject({ blobs: 2, damaged: [] })
})

test('restores the older backup over which one was never finished', async () => {
  await place.backUp()
  const said: string[] = []
  const failing = async () => {
    throw new Error('power cut')
  }
  const { parts } = place
  await place.store('third', 'too late')
  await expect(place.backUp({ ...parts, db: { ...parts.db, backupTo: failing } })).rejects.toThrow(
    'power cut',
  )
  expect(await place.restore({ say: (text) => said.push(text) })).toMatchObject({ blobs: 2 })
  expect(said[0]).toContain('was not finished')
})
