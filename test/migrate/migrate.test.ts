/**
 * Moving a whole store, by the server's own command, from SQLite and files to PostgreSQL and S3 and back, and what is seen of it
 * before and after. Needs TEST_POSTGRES_URL and TEST_S3_URL (docs/testing.md).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { login } from '../support/api.ts'
import { askPostgres, databaseSettings, databaseUrlOf, dropDatabaseOf } from '../support/postgres.ts'
import { blobSettings, openTestS3 } from '../support/s3.ts'
import { type RunningServer, spawnServer, startServer } from '../support/server.ts'
import { storedBlobs } from '../support/stored-blobs.ts'
import { changesBetween, fillStore, viewOf, type World } from './migrate-world.ts'

const main = fileURLToPath(new URL('../../packages/server/src/main.js', import.meta.url))
const patienceMs = 240_000

let root: string
let world: World
let systemKey: string
/** What is seen of the store; every test leaves it as it is. */
let before: Record<string, unknown>
let embedded: Place
const drops: (() => Promise<void>)[] = []

/** Where a store is: its settings, and the file that has them. */
interface Place {
  readonly dataDir: string
  readonly settings: Readonly<Record<string, string>>
  readonly file: string
}
type Kind = 'sqlite' | 'postgres'
type BlobKind = 'files' | 's3'

const makePlace = async (name: string, database: Kind, blobs: BlobKind): Promise<Place> => {
  const dataDir = join(root, name)
  if (database === 'postgres') drops.push(() => dropDatabaseOf(dataDir))
  const settings = {
    HOLDFAST_DATA_DIR: dataDir,
    HOLDFAST_NODE_NAME: 'node-1',
    // Empty is absent: what tests usually run over does not count here.
    HOLDFAST_DATABASE_URL: '',
    HOLDFAST_BLOB_STORE: '',
    HOLDFAST_VERIFY_INTERVAL: '0',
    ...(database === 'postgres' && (await databaseSettings(dataDir))),
    ...(blobs === 's3' && blobSettings(dataDir)),
  }
  const file = join(root, `${name}.env`)
  await writeFile(
    file,
    Object.entries(settings)
      .map(([key, value]) => `${key}='${value}'\n`)
      .join(''),
  )
  return { dataDir, settings, file }
}

interface Run {
  readonly child: ChildProcess
  readonly ended: Promise<{ code: number | NodeJS.Signals; stdout: string; stderr: string }>
}

/** The command, with the settings of one place. */
const command = (place: Place, ...words: string[]): Run => {
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('HOLDFAST_')),
  )
  const child = spawn(process.execPath, [main, ...words], {
    env: { ...clean, NODE_ENV: 'production', HOLDFAST_LOG_LEVEL: 'error', ...place.settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (part: string) => (text[name] += part))
  const ended = once(child, 'close').then(([code, signal]) => ({
    code: (code ?? signal) as number | NodeJS.Signals,
    ...text,
  }))
  return { child, ended }
}
const migrate = (from: Place, to: Place, ...words: string[]) =>
  command(from, 'migrate', '--to', to.file, ...words)

const withServer = async <T>(place: Place, work: (server: RunningServer) => Promise<T>): Promise<T> => {
  const server = await startServer({ dataDir: place.dataDir, settings: place.settings })
  try {
    return await work(server)
  } finally {
    await server.stop()
  }
}
const seen = (place: Place) => withServer(place, (server) => viewOf(server.url, systemKey, world))

/** What a start that has to fail says. */
const refusal = async (place: Place): Promise<string> => {
  const { child, output } = spawnServer({ ...place.settings, HOLDFAST_LISTEN: '127.0.0.1:0' })
  const [code] = await once(child, 'exit')
  return `${code}: ${output()}`
}

/** Objects in the bucket of a place, by their names. */
const objectsOf = async (place: Place): Promise<string[]> => {
  const { client, bucket: Bucket, prefix } = (await openTestS3(place.dataDir))!
  const page = await client.listObjectsV2({ Bucket, Prefix: `${prefix}/` })
  return (page.Contents ?? []).map(({ Key }) => Key!.slice(prefix.length + 1))
}
const unfinishedIn = async (place: Place): Promise<number> => {
  const { client, bucket: Bucket, prefix } = (await openTestS3(place.dataDir))!
  return ((await client.listMultipartUploads({ Bucket, Prefix: `${prefix}/` })).Uploads ?? []).length
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'holdfast-migrate-'))
  embedded = await makePlace('embedded', 'sqlite', 'files')
  await withServer(embedded, async (server) => {
    systemKey = server.systemKey
    const system = await login(server.url, 'system', systemKey)
    world = await fillStore(server.url, system)
    // All digests made, and one blob in quarantine.
    const lost = (await world.bob.get('/artifacts')).json.at(-1).blob_uuid as string
    await system.post('/admin/jobs/digest-blobs', { wait: 10 })
    await storedBlobsOfFiles(embedded).write(lost, Buffer.from('not what it was'))
    const deadline = Date.now() + 20_000
    await system.post(`/admin/blobs/${lost}/verification`, {})
    while ((await system.get('/admin/quarantine')).json.length === 0 && Date.now() < deadline) await sleep(50)
    // The first look leaves traces, such as when a blob was last used.
    await viewOf(server.url, systemKey, world)
  })
  before = await seen(embedded)
}, patienceMs)
/** Every test moves it, wherever the one before has left it. */
afterEach(async () => {
  expect((await command(embedded, 'migrate', '--reopen').ended).code).toBe(0)
}, patienceMs)
afterAll(async () => {
  for (const drop of drops) await drop()
  await rm(root, { recursive: true, force: true })
})

/** `storedBlobs` looks where tests usually keep blobs; this store has files. */
const storedBlobsOfFiles = ({ dataDir }: Place) => {
  const url = process.env.TEST_S3_URL
  delete process.env.TEST_S3_URL
  const stored = storedBlobs(dataDir)
  process.env.TEST_S3_URL = url
  return stored
}

test(
  'there and back again, and all is as it was',
  async () => {
    const scaled = await makePlace('scaled', 'postgres', 's3')
    const back = await makePlace('back', 'sqlite', 'files')
    const there = await migrate(embedded, scaled).ended
    expect(there).toMatchObject({ code: 0, stdout: expect.stringMatching(/Moved \d+ blobs with \d+ bytes/) })
    expect(there.stderr).toMatch(/^blobs: 100%, 20\.\d MiB of 20\.\d MiB, .*, done$/m)
    // No secret has been said.
    expect(there.stdout + there.stderr).not.toContain('testing')
    expect(await refusal(embedded)).toMatch(
      /^1: .*was moved to PostgreSQL at 127.0.0.1:\d+\/holdfast_\w+ and s3:/s,
    )
    expect(await unfinishedIn(scaled)).toBe(0)
    expect(changesBetween(before, await seen(scaled))).toEqual([])
    // A token of the old server is good for the new one, and the upload goes on where it was.
    const { uuid, bytes } = world.unfinished
    const artifact = await withServer(scaled, async (server) => {
      const alice = { ...world.alice, base: server.url }
      const headers = { Authorization: `Bearer ${alice.token}` }
      const append = await fetch(`${server.url}/upload/${uuid}`, {
        method: 'POST',
        headers,
        body: new Uint8Array(bytes.subarray(200_000)),
      })
      expect(await append.json()).toBe(300_000)
      const converted = await fetch(`${server.url}/artifacts/upload/ended`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ upload_uuid: uuid }),
      })
      expect(converted.status).toBe(200)
      // Its other digests come a moment later.
      const system = await login(server.url, 'system', systemKey)
      expect((await system.post('/admin/jobs/digest-blobs', { wait: 10 })).status).toBe(200)
      return (await converted.json()) as { blob_uuid: string }
    })
    const changed = await seen(scaled)

    expect((await migrate(scaled, back).ended).code).toBe(0)
    expect(changesBetween(changed, await seen(back))).toEqual([])
    expect(await refusal(scaled)).toMatch(/^1: .*was moved to SQLite and files/s)
    await withServer(back, async (server) => {
      const alice = await login(server.url, world.alice.namespace, `key of ${world.alice.namespace}`)
      const data = await alice.send('GET', `/blobs/${artifact.blob_uuid}/data`, { unchecked: true })
      expect(data.bytes.equals(bytes)).toBe(true)
    })
    const checked = await command(back, 'check', '--offline').ended
    expect(checked).toMatchObject({ code: 0, stdout: expect.stringContaining('0 faults found') })
  },
  patienceMs,
)

test(
  'killed again and again, it goes on and ends with the same',
  async () => {
    const scaled = await makePlace('killed', 'postgres', 's3')
    let kills = 0
    // From before its first work on, a little later each time, until nobody is in time to kill it. A tenth later: fixed
    // steps would be too few on a fast machine and too many on a slow one.
    for (let delayMs = 400; ; delayMs *= 1.1) {
      const { child, ended } = migrate(embedded, scaled)
      const timer = setTimeout(() => child.kill('SIGKILL'), delayMs)
      const { code, stderr } = await ended
      clearTimeout(timer)
      if (code === 'SIGKILL') {
        kills++
        continue
      }
      expect(code, stderr).toBe(0)
      break
    }
    expect(kills).toBeGreaterThan(3)
    expect(await unfinishedIn(scaled)).toBe(0)
    expect((await objectsOf(scaled)).filter((key) => key.startsWith('quarantine/'))).toHaveLength(1)
    expect(changesBetween(before, await seen(scaled))).toEqual([])
    expect(await readdir(join(scaled.dataDir, 'uploads'))).toEqual(expect.not.arrayContaining(['arriving']))
    expect(await refusal(embedded)).toContain('was moved to')
  },
  patienceMs,
)

test(
  'until it is complete neither of the two starts; a damaged blob is told of, the rest copied',
  async () => {
    const scaled = await makePlace('damaged', 'postgres', 's3')
    const files = storedBlobsOfFiles(embedded)
    const uuid = Object.keys(before)
      .filter((key) => key.startsWith('data of '))
      .map((key) => key.slice(8))
      .find((blob) => 'sha256' in (before[`data of ${blob}`] as object))!
    const good = (await files.read(uuid))!
    const bad = Buffer.from(good)
    bad[good.length >> 1]! ^= 1
    await files.write(uuid, bad)
    const first = await migrate(embedded, scaled).ended
    expect(first.code).toBe(1)
    expect(first.stderr).toContain(`${uuid} is damaged and was not copied: its file has another sha512`)
    expect(first.stderr).toContain('1 blobs are damaged or missing; everything else has been copied')
    const objects = await objectsOf(scaled)
    expect(objects).not.toContain(`blobs/${uuid}`)
    const expected = Object.values(before).filter((data) => 'sha256' in (data as object))
    expect(objects.filter((key) => key.startsWith('blobs/'))).toHaveLength(expected.length - 1)
    expect(await refusal(scaled)).toMatch(/^1: .*is only a part of the one that is being moved here/s)
    expect(await refusal(embedded)).toMatch(/^1: .*is being moved to/s)
    expect((await migrate(embedded, await makePlace('another', 'sqlite', 'files')).ended).stderr).toContain(
      'not to',
    )

    const second = await migrate(embedded, scaled, '--allow-damage').ended
    expect(second).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('1 blobs are in quarantine there'),
    })
    const view = await seen(scaled)
    expect(view[`data of ${uuid}`]).not.toEqual(before[`data of ${uuid}`])
    const others = (all: Record<string, unknown>) =>
      Object.fromEntries(
        Object.entries(all).filter(([key]) => key.startsWith('data of ') && !key.includes(uuid)),
      )
    expect(changesBetween(others(before), others(view))).toEqual([])
    await files.write(uuid, good)
    expect((await command(embedded, 'migrate', '--reopen').ended).code).toBe(0)
    expect(changesBetween(before, await seen(embedded))).toEqual([])
  },
  patienceMs,
)

test(
  'only the metadata, and only the blobs; a bucket that stays is not copied',
  async () => {
    const steps = [
      await makePlace('only-metadata', 'postgres', 'files'),
      await makePlace('then-blobs', 'postgres', 's3'),
    ] as const
    expect((await migrate(embedded, steps[0]).ended).code).toBe(0)
    expect((await migrate(steps[0], steps[1]).ended).code).toBe(0)
    const last = await makePlace('metadata-back', 'sqlite', 's3')
    const { HOLDFAST_BLOB_STORE: bucket = '' } = steps[1].settings
    const same = { ...last, settings: { ...last.settings, HOLDFAST_BLOB_STORE: bucket } }
    await writeFile(
      same.file,
      Object.entries(same.settings)
        .map(([key, value]) => `${key}='${value}'\n`)
        .join(''),
    )
    const moved = await migrate(steps[1], same).ended
    expect(moved).toMatchObject({ code: 0, stdout: expect.stringContaining('Moved 0 blobs') })
    expect(changesBetween(before, await seen(same))).toEqual([])
  },
  patienceMs,
)

test(
  'a server at work with the database, and a place that is not empty, stop it',
  async () => {
    const scaled = await makePlace('busy', 'postgres', 's3')
    expect((await migrate(embedded, scaled).ended).code).toBe(0)
    await withServer(scaled, async () => {
      const again = await migrate(embedded, scaled).ended
      expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing was left to do') })
    })
    // Another node, with a data directory of its own: only the database knows of it.
    const url = databaseUrlOf(scaled.dataDir)!
    const node = new Client({ connectionString: url, application_name: 'holdfast node-9' })
    await node.connect()
    const busy = await migrate(scaled, await makePlace('nowhere', 'sqlite', 'files')).ended
    await node.end()
    expect(busy).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('a server is at work with the database (node-9): stop all nodes first'),
    })
    const refused = await migrate(await makePlace('fresh', 'sqlite', 'files'), scaled).ended
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('holds a store already') })
    expect(await askPostgres(url, `SELECT value FROM settings WHERE name = 'migration'`)).toHaveLength(1)

    const bad = { ...scaled, file: join(root, 'bad.env') }
    await writeFile(bad.file, 'HOLDFAST_DATA_DIRECTORY=/somewhere\n')
    expect(await migrate(embedded, bad).ended).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('unknown settings'),
    })
    expect((await command(embedded, 'migrate').ended).code).toBe(2)
  },
  patienceMs,
)
