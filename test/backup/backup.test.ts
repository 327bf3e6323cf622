import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createNamespace, login, publish, type Session, send, upload } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import {
  backUp,
  blobsMissingIn,
  check,
  ended,
  holdfastServer,
  makeDirectory,
  missingFrom,
  restoreAndStart,
  type Version,
} from './backup-world.ts'

let place: Awaited<ReturnType<typeof makeDirectory>>
let server: RunningServer
let system: Session
let alice: Session
/** Every version that was acknowledged and never taken back. */
const kept: Version[] = []

const settings = () => ({
  HOLDFAST_BACKUP_DIR: place.path,
  HOLDFAST_COLLECT_GRACE: '0',
  HOLDFAST_JOB_INTERVAL: '0.1',
})
const restart = async (how: NodeJS.Signals): Promise<void> => {
  await server.stop(how)
  server = await startServer({ dataDir: server.dataDir, settings: settings() })
  system = await login(server.url, 'system', server.systemKey)
  alice = await login(server.url, alice.namespace, `key of ${alice.namespace}`)
}

/** Stores a version that stays. */
const keep = async (name: string, size = 2000): Promise<void> => {
  const bytes = randomBytes(size)
  const artifact = await publish(alice, name, bytes)
  kept.push({ artifact: artifact.uuid, index: artifact.index, blob: artifact.blob_uuid, bytes })
}

/** The database of the newest finished backup, and what else stands beside it. */
const filesOf = async (name: string): Promise<string[]> => (await readdir(join(place.path, name))).sort()

beforeAll(async () => {
  place = await makeDirectory()
  server = await startServer({ settings: settings() })
  system = await login(server.url, 'system', server.systemKey)
  alice = await createNamespace(server.url, system, 'alice')
  await Promise.all(Array.from({ length: 20 }, (_, i) => keep(`kept-${i}`)))
  await keep('large', 3_000_000)
})
afterAll(async () => {
  await server.remove()
  await place.remove()
})

test('what was acknowledged before a backup began is in it, whatever happens meanwhile', async () => {
  const churn = await createNamespace(server.url, system, 'churn')
  let isOver = false
  const repeat = async (work: (round: number) => Promise<unknown>) => {
    for (let round = 0; !isOver; round++) {
      await work(round)
      await sleep(30)
    }
  }
  const load = Promise.all([
    // Versions come and go, and with them blobs.
    repeat((round) => publish(churn, `artifact-${round % 2}`, randomBytes(5000))),
    repeat(() => upload(churn, randomBytes(10_000), randomBytes(10_000))),
    repeat(() => system.post('/admin/jobs/collect-blobs', { wait: 1 })),
  ])
  for (let round = 0; round < 2; round++) {
    const doomed = []
    for (let i = 0; i < 6; i++) doomed.push(await publish(churn, `doomed-${i}`, randomBytes(4000)))
    await keep(`before-backup-${round}`)
    // The backup names what is deleted and collected while it runs.
    await system.post('/admin/backup', { name: 'busy' })
    await Promise.all(doomed.map(({ uuid }) => churn.delete(`/artifacts/${uuid}`)))
    const done = await ended(system, '/admin/backup')
    expect(done).toMatchObject({ state: 'done', damaged_blobs: 0 })
    expect(await blobsMissingIn(join(place.path, 'busy'))).toEqual([])
    // Nor does a check take what is under way for a fault.
    expect(await check(system, true)).toMatchObject({ found: 0, faults: [] })
    if (round > 0) expect(done.kept_blobs).toBeGreaterThanOrEqual(20)
  }
  const due = [...kept]
  isOver = true
  await load

  const restored = await restoreAndStart(join(place.path, 'busy'), '--verify')
  try {
    expect(await missingFrom(restored.system, due)).toEqual([])
    expect(await check(restored.system)).toMatchObject({ found: 0, quarantined_blobs: 0, checked_uploads: 0 })
    // Keys and tokens of the old store are good for the new one.
    expect(
      (await login(restored.server.url, alice.namespace, `key of ${alice.namespace}`)).token,
    ).toBeTruthy()
    const shown = await send(restored.server.url, 'GET', '/artifacts', { token: alice.token })
    expect(shown.status).toBe(200)
  } finally {
    await restored.server.remove()
  }
})

test('a repetition takes what is new, drops what is gone, and keeps the rest', async () => {
  const passing = await publish(alice, 'passing', randomBytes(1000))
  const first = await backUp(system, 'daily')
  expect(first.linked_blobs + first.copied_blobs).toBe(first.blobs_total)
  expect(first).toMatchObject({ kept_blobs: 0, blobs_done: first.blobs_total, bytes_done: first.bytes_total })
  const blobIn = (uuid: string) => join(place.path, 'daily', 'blobs', uuid.slice(0, 2), uuid)
  const untouched = kept[0]!.blob
  const before = await stat(blobIn(untouched))
  await alice.delete(`/artifacts/${passing.uuid}`)
  await system.post('/admin/jobs/collect-blobs', { wait: 10 })
  await keep('new')

  const second = await backUp(system, 'daily')
  expect(second.linked_blobs + second.copied_blobs).toBe(1)
  expect(second).toMatchObject({
    blobs_total: first.blobs_total,
    kept_blobs: first.blobs_total - 1,
    removed_blobs: 1,
  })
  expect(existsSync(blobIn(passing.blob_uuid))).toBe(false)
  expect((await stat(blobIn(untouched))).mtimeMs).toBe(before.mtimeMs)
  expect(await filesOf('daily')).toEqual([
    'backup.json',
    'blobs',
    expect.stringMatching(/^holdfast-[0-9a-f-]{36}\.db$/),
    'system.key',
    'token.key',
  ])
})

test('only its owner can read a backup', async () => {
  await backUp(system, 'private')
  const modes = async (path: string): Promise<string[]> => {
    const found = await stat(path)
    const own = (found.mode & 0o777).toString(8)
    if (!found.isDirectory()) return [`file ${own}`]
    return [
      `directory ${own}`,
      ...(await Promise.all((await readdir(path)).map((name) => modes(join(path, name))))).flat(),
    ]
  }
  expect(new Set(await modes(join(place.path, 'private')))).toEqual(new Set(['directory 700', 'file 600']))
})

test('killed in the middle of a renewal, a backup stays what it was, and the repetition ends well', async () => {
  const path = (name: string) => join(place.path, 'cut', name)
  await backUp(system, 'cut')
  const manifest = await readFile(path('backup.json'), 'utf8')
  await keep('after-the-first')
  await system.post('/admin/backup', { name: 'cut' })
  while (!existsSync(path('unfinished.json'))) await sleep(1)
  await restart('SIGKILL')
  expect(existsSync(path('unfinished.json'))).toBe(true)
  expect(await readFile(path('backup.json'), 'utf8')).toBe(manifest)
  expect(await blobsMissingIn(join(place.path, 'cut'))).toEqual([])
  const restored = await holdfastServer('restore', join(place.path, 'cut'), '--data', path('../restored'))
  expect(restored).toMatchObject({ code: 0, stdout: expect.stringContaining('was not finished') })

  await backUp(system, 'cut')
  const names = await filesOf('cut')
  expect(names).not.toContain('unfinished.json')
  expect(names.filter((name) => name.endsWith('.db'))).toHaveLength(1)
  expect(await blobsMissingIn(join(place.path, 'cut'))).toEqual([])
})

test('refuses names that lead elsewhere, and directories that are something else', async () => {
  for (const name of ['', '.', '..', '../x', 'a/b', '/etc', '.hidden', 'a\u0000b', 'x'.repeat(200), 'ä'])
    expect((await system.post('/admin/backup', { name })).json.code, name).toBe('backup_name_invalid')
  await mkdir(join(place.path, 'occupied'))
  await writeFile(join(place.path, 'occupied', 'thesis.txt'), 'precious')
  await symlink(server.dataDir, join(place.path, 'link'))
  for (const [name, words] of [
    ['occupied', 'something that is not a backup'],
    ['link', 'not a directory'],
  ] as const) {
    await system.post('/admin/backup', { name })
    expect(await ended(system, '/admin/backup')).toMatchObject({
      state: 'failed',
      error: expect.stringContaining(words),
    })
  }
  expect(await filesOf('occupied')).toEqual(['thesis.txt'])
  expect((await alice.post('/admin/backup', { name: 'mine' })).json.code).toBe('system_only')
  expect((await alice.get('/admin/backup')).json.code).toBe('system_only')
})

test('one backup runs at a time, and events and metrics tell of it', async () => {
  const first = await system.post('/admin/backup', { name: 'one' })
  const [same, other] = await Promise.all([
    system.post('/admin/backup', { name: 'one' }),
    system.post('/admin/backup', { name: 'two' }),
  ])
  if (first.json.state === 'running' && same.json.state === 'running')
    expect(same.json.started_at).toBe(first.json.started_at)
  expect([200, 409]).toContain(other.status)
  await ended(system, '/admin/backup')
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  expect(metrics).toMatch(/^holdfast_backups_total\{outcome="done"\} [1-9]/m)
  expect(metrics).toMatch(/^holdfast_last_backup_timestamp_seconds 1\d{9}/m)
})

test("another store's backup is not overwritten", async () => {
  await backUp(system, 'theirs')
  const path = join(place.path, 'theirs', 'backup.json')
  const manifest = (await readFile(path, 'utf8')).replace(/"store": "[^"]*"/, '"store": "other"')
  await writeFile(path, manifest)
  await system.post('/admin/backup', { name: 'theirs' })
  expect(await ended(system, '/admin/backup')).toMatchObject({
    state: 'failed',
    error: expect.stringContaining('another store'),
  })
  expect(await readFile(path, 'utf8')).toBe(manifest)
})
