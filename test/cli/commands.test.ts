/** The command line as people and scripts meet it: what it prints where, and how it ends. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { login, type Session } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import { makePlace, type Place } from './run.ts'

/** Other files run in this process later. */
const directory = process.cwd()
let server: RunningServer
let place: Place
let system: Session

beforeAll(async () => {
  server = await startServer({ settings: { HOLDFAST_FETCH_ALLOW: '127.0.0.1/32' } })
  place = await makePlace({
    SHAKENFIST_API_URL: server.url,
    SHAKENFIST_NAMESPACE: 'system',
    SHAKENFIST_KEY: server.systemKey,
  })
  system = await login(server.url, 'system', server.systemKey)
  process.chdir(place.home)
})

afterAll(async () => {
  process.chdir(directory)
  await place.remove()
  await server.remove()
})

const write = async (name: string, data: Buffer | string): Promise<string> => {
  const path = join(place.home, name)
  await writeFile(path, data)
  return path
}

const createdIn = (stdout: string): string => stdout.match(/Created artifact ([0-9a-f-]{36})/)![1]!

test('a file goes up and comes back', async () => {
  const data = randomBytes(300_000)
  const up = await place.run('artifact', 'upload', 'round', await write('round.bin', data))
  expect(up.stdout).toMatch(/^Uploading new blob\nCreated artifact [0-9a-f-]{36}\n$/)
  expect(up.stderr).toContain('send: 293.0 KiB')
  expect(up.code).toBe(0)
  const down = await place.run('artifact', 'download', 'round', 'back.bin')
  expect(down.stdout).toMatch(/^round -> [0-9a-f-]{36} of 300000 bytes\nDownload complete\n$/)
  expect(await readFile(join(place.home, 'back.bin'))).toEqual(data)
  await mkdir(join(place.home, 'into'))
  expect((await place.run('artifact', 'download', 'round', 'into')).code).toBe(0)
  expect(await readFile(join(place.home, 'into', 'round'))).toEqual(data)
})

test('content that the server has is not sent again', async () => {
  const path = await write('twice.bin', randomBytes(100_000))
  await place.run('artifact', 'upload', 'once', path)
  expect((await place.run('artifact', 'upload', 'twice', path)).stdout).toContain('Recycling existing blob\n')
  expect((await place.run('artifact', 'upload', 'thrice', path, '--no-checksum')).stdout).toContain(
    'Uploading new blob\n',
  )
})

test('standard input and output carry data and nothing else', async () => {
  const data = randomBytes(20 * 1024 * 1024)
  const up = await place.feed(data, 'artifact', 'upload', 'piped', '-')
  expect(up.code).toBe(0)
  const down = await place.run('artifact', 'download', 'piped', '-')
  expect(down.code).toBe(0)
  expect(down.bytes.equals(data)).toBe(true)
  expect(down.stderr).toContain('Download complete')
})

test('several files go in one call, and one that fails does not stop the others', async () => {
  const paths = await Promise.all(
    ['one', 'two', 'three'].map((name) => write(`${name}.img`, `bytes of ${name}`)),
  )
  const missing = join(place.home, 'missing.img')
  const ended = await place.run('artifact', 'upload', '--each', '--jobs', '2', ...paths, missing)
  expect(ended.code).toBe(1)
  expect(ended.stderr).toContain('1 of 4 failed\nmissing.img: ')
  for (const name of ['one.img', 'two.img', 'three.img'])
    expect(ended.stdout).toMatch(new RegExp(`Created artifact [0-9a-f-]{36} \\(${name}\\)`))
  expect((await system.get('/artifacts/two.img')).json.state).toBe('created')
})

test('--quiet says nothing but results', async () => {
  const ended = await place.run('-q', 'artifact', 'upload', 'quiet', await write('quiet', 'quiet'))
  expect(ended.stderr).toBe('')
  expect(ended.stdout).toContain('Created artifact')
})

test('--json shows what the contract has, in the documented shape', async () => {
  const up = await place.run('artifact', 'upload', 'shaped', await write('shaped', 'shaped'))
  const uuid = createdIn(up.stdout)
  const shown = await place.run('--json', 'artifact', 'show', 'shaped')
  const view = JSON.parse(shown.stdout)
  expect(Object.keys(view)).toEqual([
    'artifact_type',
    'blob_uuid',
    'blobs',
    'index',
    'max_versions',
    'metadata',
    'namespace',
    'shared',
    'source_url',
    'state',
    'uuid',
  ])
  expect(view.uuid).toBe(uuid)
  expect(shown.stdout).toBe(`${JSON.stringify(view, null, 4)}\n`)
  const list = JSON.parse((await place.run('artifact', 'list', '--json')).stdout)
  expect(list).toEqual((await system.get('/artifacts')).json)
})

test('metadata of artifacts, blobs and namespaces can be set and deleted', async () => {
  await place.run('artifact', 'upload', 'noted', await write('noted', 'noted'))
  const { blob_uuid } = (await system.get('/artifacts/noted')).json
  for (const [kind, ref, path] of [
    ['artifact', 'noted', '/artifacts/noted'],
    ['blob', blob_uuid, `/blobs/${blob_uuid}`],
    ['namespace', 'system', '/auth/namespaces/system'],
  ]) {
    expect((await place.run(kind, 'set-metadata', ref, 'os', 'debian', '--json')).stdout).toBe('{}\n')
    expect((await system.get(`${path}/metadata`)).json).toEqual({ os: 'debian' })
    expect((await place.run(kind, 'delete-metadata', ref, 'os')).code).toBe(0)
    expect((await system.get(`${path}/metadata`)).json).toEqual({})
  }
})

test('labels point at blobs, artifacts and their versions', async () => {
  for (const text of ['v1', 'v2']) await place.run('artifact', 'upload', 'app', await write('app', text))
  const { blobs, uuid } = (await system.get('/artifacts/app')).json
  const points = async (target: string) => {
    expect((await place.run('label', 'update', 'rel', target)).code).toBe(0)
    return (await system.get('/label/rel')).json.blob_uuid
  }
  expect(await points('app')).toBe(blobs['2'].uuid)
  expect(await points('app@1')).toBe(blobs['1'].uuid)
  expect(await points(blobs['2'].uuid)).toBe(blobs['2'].uuid)
  expect(await points(`${uuid}@1`)).toBe(blobs['1'].uuid)
  const wrong = await place.run('label', 'update', 'rel', 'app@9')
  expect(wrong).toMatchObject({ code: 3, stderr: 'holdfast: app has no version 9\nIt has these: 1, 2.\n' })
  expect((await place.run('--simple', 'label', 'list')).stdout).toContain(',system,rel,')
  expect((await place.run('label', 'delete', 'rel')).code).toBe(0)
  expect((await place.run('label', 'show', 'rel')).code).toBe(3)
})

test('lists are sorted and narrowed by the server', async () => {
  for (const [name, size] of [
    ['list-b', 30],
    ['list-a', 20],
    ['list-c', 10],
  ] as const)
    await place.run('artifact', 'upload', name, await write(name, 'x'.repeat(size)))
  await place.run('artifact', 'set-metadata', 'list-a', 'shelf', 'top')
  const listed = async (...words: string[]) => {
    const { stdout } = await place.run('--json', 'artifact', 'list', '--name', 'list-', ...words)
    return (JSON.parse(stdout) as { name: string }[]).map(({ name }) => name)
  }
  expect(await listed()).toEqual(['list-a', 'list-b', 'list-c'])
  expect(await listed('--sort', '-size', '--limit', '2')).toEqual(['list-b', 'list-a'])
  expect(await listed('--metadata', 'shelf=top', '--type', 'image')).toEqual(['list-a'])
  expect(await listed('--state', 'error')).toEqual([])
  expect((await place.run('artifact', 'list', '--sort', 'colour')).code).toBe(2)
  expect((await place.run('blob', 'list', '--created-after', 'some day')).code).toBe(2)
})

test('blob list --audit counts the references and marks counts that differ', async () => {
  await place.run('artifact', 'upload', 'audited', await write('audited', 'audited'))
  const { blob_uuid } = (await system.get('/artifacts/audited')).json
  await place.run('label', 'update', 'audited-label', blob_uuid)
  const { stdout } = await place.run('--simple', 'blob', 'list', '--audit')
  expect(stdout).toMatch(new RegExp(`^${blob_uuid},.*,2 \\(audit 2\\) ,$`, 'm'))
  expect(stdout).not.toContain('!!!')
})

test('on a terminal there is a bar for each phase', async () => {
  const path = await write('watched', randomBytes(1024 * 1024))
  const up = await place.watch('artifact', 'upload', 'watched', path)
  expect(up.stderr).toMatch(/hash +█{24} 100% {2}1\.0 MiB/)
  expect(up.stderr).toMatch(/send +█{24} 100% {2}1\.0 MiB/)
  expect(up.stderr).toMatch(/convert +done/)
  const down = await place.watch('artifact', 'download', 'watched', 'watched.out')
  expect(down.stderr).toMatch(/receive +█{24} 100% {2}1\.0 MiB/)
  expect((await place.watch('-q', 'artifact', 'download', 'watched', 'watched.out')).stderr).toBe('')
})

test('publish makes artifact, versions and label in one step, and may be repeated', async () => {
  const path = await write('published.img', 'published')
  const words = ['publish', path, '--name', 'pub', '--label', 'pub-stable', '--share', '--max-versions', '2']
  const first = JSON.parse((await place.run('--json', ...words)).stdout)
  expect(first.artifact).toMatchObject({ name: 'pub', shared: true, max_versions: 2, index: 1 })
  expect(first.label).toMatchObject({ name: 'pub-stable', blob_uuid: first.artifact.blob_uuid })
  const again = JSON.parse((await place.run('--json', ...words)).stdout)
  expect(again.artifact.index).toBe(1)
})

test('publish of a URL waits for the server to fetch it, and says when it cannot', async () => {
  const web = createServer((request, reply) => {
    reply.statusCode = request.url === '/base.img' ? 200 : 404
    reply.end('from the web')
  }).listen(0, '127.0.0.1')
  try {
    await once(web, 'listening')
    const url = `http://127.0.0.1:${(web.address() as AddressInfo).port}`
    const ended = await place.run('--json', 'publish', `${url}/base.img`, '--label', 'base-stable')
    const { artifact, label } = JSON.parse(ended.stdout)
    expect(artifact).toMatchObject({ name: 'base.img', index: 1 })
    expect(label.blob_uuid).toBe(artifact.blob_uuid)
    expect((await system.get(`/blobs/${artifact.blob_uuid}/data`)).bytes.toString()).toBe('from the web')
    const failed = await place.run('publish', `${url}/missing.img`)
    expect(failed.code).toBe(1)
    expect(failed.stderr).toContain('What happened: holdfast artifact events ')
  } finally {
    web.close()
  }
})

test('unfinished uploads are listed, and all can be given up', async () => {
  const { uuid } = (await system.post('/upload')).json
  expect((await place.run('upload', 'list')).stdout).toContain(`| ${uuid} | node-1 |`)
  expect((await place.run('upload', 'abort', '--all')).code).toBe(0)
  expect((await system.get('/upload')).json).toEqual([])
  expect((await place.run('upload', 'abort', uuid)).code).toBe(3)
})

test('keys need not be process arguments', async () => {
  await place.run('namespace', 'create', 'secretive')
  expect((await place.feed('hush\n', 'namespace', 'add-key', 'secretive', 'ci', '-')).code).toBe(0)
  const anonymous = await makePlace()
  try {
    const words = ['--apiurl', server.url, '--namespace', 'secretive', '--key', '-', 'artifact', 'list']
    expect(await anonymous.feed('hush\n', ...words)).toMatchObject({ code: 0 })
    const ended = await anonymous.feed('hush\n', 'login', server.url, '--namespace', 'secretive')
    expect(ended.code).toBe(0)
    const file = join(anonymous.home, '.shakenfist')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({
      apiurl: server.url,
      key: 'hush',
      namespace: 'secretive',
    })
    const status = JSON.parse((await anonymous.run('--json', 'status')).stdout)
    expect(status).toMatchObject({ server: server.url, namespace: 'secretive', settings_from: file })
    const config = await place.run('--config', file, '--json', 'status')
    expect(JSON.parse(config.stdout).namespace).toBe('secretive')
    await writeFile(file, 'not JSON')
    expect(await anonymous.run('artifact', 'list')).toMatchObject({ code: 1 })
  } finally {
    await anonymous.remove()
  }
})

test('a wrong key is remembered by nobody', async () => {
  const ended = await place.feed('wrong\n', 'login', server.url, '--key', '-')
  expect(ended.code).toBe(4)
  await expect(stat(join(place.home, '.shakenfist'))).rejects.toThrow('ENOENT')
})
