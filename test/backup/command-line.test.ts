/** Backups and checks as an administrator makes them. */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makePlace, type Place } from '../cli/run.ts'
import { createNamespace, digestsMade, login, publish, type Session } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import { holdfastServer, makeDirectory } from './backup-world.ts'

let backups: Awaited<ReturnType<typeof makeDirectory>>
let server: RunningServer
let system: Session
let place: Place

beforeAll(async () => {
  backups = await makeDirectory()
  server = await startServer({ settings: { HOLDFAST_BACKUP_DIR: backups.path } })
  system = await login(server.url, 'system', server.systemKey)
  place = await makePlace({
    SHAKENFIST_API_URL: server.url,
    SHAKENFIST_NAMESPACE: 'system',
    SHAKENFIST_KEY: server.systemKey,
  })
})
afterAll(async () => {
  await place.remove()
  await server.remove()
  await backups.remove()
})

const store = async (): Promise<string> => (await publish(system, 'x', randomBytes(1024))).blob_uuid

test('backup and restore', async () => {
  expect((await place.run('admin', 'backup')).stdout).toBe('There is no backup yet.\n')
  await store()
  const made = await place.run('admin', 'backup', 'first')
  expect(made).toMatchObject({ code: 0, stderr: '' })
  expect(made.stdout).toMatch(
    /^name {5}: first\nstate {4}: done\n[\s\S]*^blobs {4}: 1\nbytes {4}: 1\.0 KiB$/m,
  )
  expect((await place.run('--simple', 'admin', 'backup')).stdout).toMatch(/^name:first\nstate:done\n/)
  expect(JSON.parse((await place.run('--json', 'admin', 'backup', 'first')).stdout)).toMatchObject({
    state: 'done',
    kept_blobs: 1,
  })
  expect(await place.run('admin', 'backup', '../elsewhere')).toMatchObject({
    code: 1,
    stderr: 'holdfast: a backup is named by letters, digits, dots, dashes and underscores\n',
  })
  const { namespace } = await createNamespace(server.url, system)
  const other = ['--namespace', namespace, '--key', `key of ${namespace}`]
  for (const words of [['backup'], ['backup', 'x'], ['check']])
    expect((await place.run(...other, 'admin', ...words)).code).toBe(4)

  const target = join(backups.path, 'restored')
  const restored = await holdfastServer('restore', join(backups.path, 'first'), '--data', target)
  expect(restored).toMatchObject({ code: 0, stderr: '' })
  expect(restored.stdout).toContain(`Restored 1 blobs with 1024 bytes to ${target}`)
})

test('check, with a server and without', async () => {
  expect(await place.run('admin', 'check')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^Checked \d+ blobs, \d+ files and 0 uploads: 0 faults, 0 repaired\.\n$/),
  })
  const lost = await store()
  await digestsMade(system)
  await rm(join(server.dataDir, 'blobs', lost.slice(0, 2), lost))
  expect(await place.run('--simple', 'admin', 'check')).toMatchObject({
    code: 6,
    stdout: `kind,object,outcome,message\nfile_missing,${lost},found,the file of the blob is missing\n`,
    stderr: expect.stringContaining('faults found: 1'),
  })
  // A backup tells of it, too.
  expect(await place.run('admin', 'backup', 'first')).toMatchObject({
    code: 6,
    stdout: expect.stringContaining(`${lost}: its file is missing`),
  })
  const inUse = await holdfastServer('check', '--offline', '--data', server.dataDir)
  expect(inUse).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('in use by a running Holdfast server'),
  })
  const repaired = await place.run('admin', 'check', '--repair')
  expect(repaired).toMatchObject({ code: 0, stdout: expect.stringContaining('1 faults, 1 repaired') })

  await server.stop()
  const after = await holdfastServer('check', '--offline', '--data', server.dataDir)
  expect(after).toMatchObject({ code: 0, stdout: expect.stringContaining('1 blobs in quarantine') })
  expect((await holdfastServer('check')).code).toBe(2)
})
