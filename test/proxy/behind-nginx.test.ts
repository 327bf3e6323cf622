import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { Agent as HttpAgent } from 'node:http'
import { Agent } from 'node:https'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { originalCapabilities } from '@holdfast/api/capabilities'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, login, publish, type Session, send } from '../support/api.ts'
import { type Behind, startBehind } from './behind.ts'

/** The store below `/api` behind a real nginx with TLS, which leaves the path on, and behind one that takes its own off. */

let behind: Behind
let agent: Agent
let system: Session
const MiB = 1024 * 1024

beforeAll(async () => {
  behind = await startBehind()
  agent = new Agent({ ca: behind.ca, keepAlive: true, localAddress: '127.0.0.5' })
  system = await login(behind.nginx, 'system', behind.server.systemKey, agent)
}, 60_000)
afterAll(async () => {
  agent?.destroy()
  await behind?.remove()
})

const run = promisify(execFile)
const holdfast = fileURLToPath(new URL('../../packages/cli/bin/holdfast', import.meta.url))
const plain = new HttpAgent()
const get = (base: string, target: string, headers = {}): Promise<Answer> =>
  send(base, 'GET', target, { agent: base.startsWith('https') ? agent : plain, headers, unchecked: true })
const logged = () => behind.server.output().split('\n')

describe.each([
  ['that leaves the path on', () => behind.nginx, '/api', () => behind.nginx],
  // The public URL is another one, and stays what documents say.
  ['that takes its path off', () => behind.stripping, '/files', () => behind.nginx],
])('behind a proxy %s', (_what, base, path, publicUrl) => {
  const host = () => new URL(base()).origin

  test('the root page is there, with links that lead somewhere', async () => {
    for (const target of ['/', '//', ...(path === '/api' ? [''] : [])]) {
      const page = await get(base(), target)
      expect([target, page.status]).toEqual([target, 200])
      for (const word of originalCapabilities) expect(page.bytes.toString()).toContain(word)
      const links = [...page.bytes.toString().matchAll(/href="([^"]+)"/g)].map((match) => match[1]!)
      expect(links).toContain(`${path}/ui/`)
      for (const link of links) expect([link, (await get(host(), link)).status]).toEqual([link, 200])
    }
  })

  test('the page at /ui/ is found, with everything it loads', async () => {
    const moved = await get(base(), '/ui')
    expect(moved.status).toBe(308)
    const at = new URL(moved.headers.location!, `${base()}/ui`)
    expect(at.pathname).toBe(`${path}/ui/`)
    const page = (await get(host(), at.pathname)).bytes.toString()
    const parts = [...page.matchAll(/(?:href|src)="([^"]+)"/g)].map(
      (match) => new URL(match[1]!, at).pathname,
    )
    expect(parts.length).toBeGreaterThan(2)
    for (const part of parts) expect([part, (await get(host(), part)).status]).toEqual([part, 200])
  })

  test('the documents name the public URL', async () => {
    for (const target of ['/openapi.json', '/apidocs/json'])
      expect((await get(base(), target)).json.servers).toEqual([{ url: publicUrl() }])
    const docs = (await get(base(), '/apidocs/')).bytes.toString()
    const [script] = /[^"]+swagger-initializer\.js/.exec(docs)!
    const at = new URL(script!, `${base()}/apidocs/`).pathname
    expect((await get(host(), at)).status).toBe(200)
  })

  test('pages of a list are followed by their links', async () => {
    const session = await login(
      base(),
      'system',
      behind.server.systemKey,
      base().startsWith('https') ? agent : undefined,
    )
    for (const name of ['a', 'b', 'c']) await publish(session, `${path}-${name}`.slice(1), name)
    let target = '/artifacts?limit=1&sort=name'
    const names: string[] = []
    for (;;) {
      const page = await session.get(target)
      names.push(...page.json.map(({ name }: { name: string }) => name))
      const next = /^<([^>]+)>; rel="next"$/.exec(page.headers.link ?? '')?.[1]
      if (!next) break
      const url = new URL(next, `${base()}${target}`)
      target = url.pathname.slice(path.length) + url.search
    }
    for (const name of ['a', 'b', 'c']) expect(names).toContain(`${path}-${name}`.slice(1))
  })

  test('names with signs that proxies like to change arrive as they were', async () => {
    const session = await login(
      base(),
      'system',
      behind.server.systemKey,
      base().startsWith('https') ? agent : undefined,
    )
    for (const name of ['50% of +& all;', 'grün ❄', 'a?b#c', '~"quoted"\\'])
      expect(await publish(session, name, `${path} ${name}`)).toMatchObject({ name })
  })
})

test.each([
  ['over TLS', () => behind.nginx],
  ['that takes its path off', () => behind.stripping],
])(
  'the official client and ours work through nginx %s',
  async (_what, base) => {
    const python = process.env.TEST_PYTHON
    if (!python) throw new Error('TEST_PYTHON has to name a Python with test/interop/requirements.txt')
    const home = await mkdtemp(join(tmpdir(), 'holdfast-home-'))
    const env = {
      PATH: process.env.PATH,
      HOME: home,
      LANG: 'C.UTF-8',
      REQUESTS_CA_BUNDLE: behind.caFile,
      NODE_EXTRA_CA_CERTS: behind.caFile,
    }
    const login = ['--apiurl', base(), '--namespace', 'system', '--key', behind.server.systemKey]
    const file = join(home, 'file')
    const bytes = Buffer.from(Array.from({ length: 3 * MiB }, (_, at) => (at * 31 + base().length) % 253))
    await writeFile(file, bytes)
    try {
      for (const command of [join(dirname(python), 'sf-client'), holdfast]) {
        const name = `by-${basename(command)}-${new URL(base()).port}`
        await run(command, [...login, 'artifact', 'upload', name, file], { env })
        await run(command, [...login, 'artifact', 'download', name, join(home, name)], { env })
        expect([command, (await readFile(join(home, name))).equals(bytes)]).toEqual([command, true])
        bytes[0]! ^= 1
        await writeFile(file, bytes)
      }
    } finally {
      await rm(home, { recursive: true })
    }
  },
  120_000,
)

test('the address of the client is logged, whatever it says itself, and its request id is kept', async () => {
  const spoof = {
    'X-Forwarded-For': '192.0.2.1',
    Forwarded: 'for=192.0.2.2',
    'X-Request-ID': 'kept-by-everybody',
  }
  const answer = await get(behind.nginx, '/healthz', spoof)
  expect(answer.headers['x-request-id']).toBe('kept-by-everybody')
  await expect.poll(() => logged().find((line) => line.includes('kept-by-everybody'))).toBeDefined()
  const line = JSON.parse(logged().find((text) => text.includes('kept-by-everybody'))!)
  expect(line).toMatchObject({ address: '127.0.0.5', path: '/healthz' })
  expect((await get(behind.nginx, '/healthz')).headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
})

test('an upload is on the disk while it is still being sent', async () => {
  const { uuid } = (await system.post('/upload')).json
  const file = join(behind.server.dataDir, 'uploads', `${uuid}.data`)
  const body = new PassThrough()
  const sent = system.send('POST', `/upload/${uuid}`, {
    body,
    headers: { 'Content-Length': String(5 * MiB) },
  })
  body.write(Buffer.alloc(4 * MiB, 1))
  await expect.poll(async () => (await stat(file)).size, { timeout: 10_000 }).toBeGreaterThanOrEqual(3 * MiB)
  body.end(Buffer.alloc(MiB, 2))
  expect((await sent).json).toBe(5 * MiB)
  const chunked = new PassThrough()
  chunked.end(Buffer.alloc(3 * MiB, 3))
  expect((await system.send('POST', `/upload/${uuid}`, { body: chunked })).json).toBe(8 * MiB)
  await system.delete(`/upload/${uuid}`)
})

test('a refusal arrives although the body is still being sent', async () => {
  const { uuid } = (await system.post('/upload', { size: 10 })).json
  const headers = { 'Upload-Offset': '3' }
  const answer = await system.send('POST', `/upload/${uuid}`, { body: Buffer.alloc(32 * MiB), headers })
  expect([answer.status, answer.headers['upload-offset']]).toEqual([409, '0'])
  const large = await system.send('POST', `/upload/${uuid}`, { body: Buffer.alloc(32 * MiB) })
  expect([large.status, large.json.code]).toEqual([413, 'size_exceeds_declared'])
})

test('nginx has nothing to complain of', async () => {
  expect(await behind.errors()).not.toMatch(/\[(warn|error|crit|alert|emerg)\]/)
})
