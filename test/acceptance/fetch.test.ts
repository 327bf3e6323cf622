import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { login, type Session } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'

/** `POST /artifacts`: the server fetches an image by itself, from a web server on loopback that the operator allows. */

let server: RunningServer
let system: Session
let web: Server
let origin: string
let content = randomBytes(2 * 1024 * 1024 + 7)
const requests: { url: string; range: string | undefined }[] = []
let cutsLeft = 0

beforeAll(async () => {
  web = createServer((request, response) => {
    requests.push({ url: request.url!, range: request.headers.range })
    const etag = `"${createHash('sha1').update(content).digest('hex')}"`
    if (request.url === '/redirect') return response.writeHead(302, { Location: '/image.raw' }).end()
    if (request.url === '/inward')
      return response.writeHead(302, { Location: 'http://169.254.169.254/latest' }).end()
    if (request.url !== '/image.raw' && request.url !== '/flaky.raw')
      return response.writeHead(404).end('no such file')
    if (request.headers['if-none-match'] === etag) return response.writeHead(304).end()
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    const part = content.subarray(from)
    response.writeHead(from > 0 ? 206 : 200, {
      ETag: etag,
      'Accept-Ranges': 'bytes',
      'Content-Length': part.length,
      ...(from > 0 ? { 'Content-Range': `bytes ${from}-${content.length - 1}/${content.length}` } : {}),
    })
    if (request.url === '/flaky.raw' && cutsLeft > 0) {
      cutsLeft -= 1
      response.write(part.subarray(0, 700_000), () => setTimeout(() => response.destroy(), 100))
    } else response.end(part)
  }).listen(0, '127.0.0.1')
  await once(web, 'listening')
  origin = `http://127.0.0.1:${(web.address() as { port: number }).port}`
  server = await startServer({
    settings: {
      HOLDFAST_FETCH_ALLOW: '127.0.0.1/32',
      HOLDFAST_FETCH_PAUSE: '0.05',
      HOLDFAST_FETCH_ATTEMPTS: '4',
      HOLDFAST_FETCH_MAX_SIZE: '4 MiB',
    },
  })
  system = await login(server.url, 'system', server.systemKey)
})
afterAll(async () => {
  await server.remove()
  web.closeAllConnections()
  web.close()
})

/** Asks for a fetch and waits until it has ended: no fetch is running any more. */
const fetched = async (url: string, body: object = {}) => {
  const begun = await system.post('/artifacts', { url, shared: false, namespace: null, ...body })
  expect([begun.status, ['initial', 'created', 'error'].includes(begun.json.state)]).toEqual([200, true])
  for (let tries = 0; tries < 200; tries += 1) {
    const events = (await system.get(`/artifacts/${begun.json.uuid}/events`, { limit: 1 })).json
    const view = (await system.get(`/artifacts/${begun.json.uuid}`)).json
    const ended = /fetch (finished|failed|found no change)/.test(events[0]?.message ?? '')
    if (view.state !== 'initial' && ended) return view
    await sleep(50)
  }
  throw new Error(
    `the fetch of ${url} did not end: ${JSON.stringify((await system.get(`/artifacts/${begun.json.uuid}/events`)).json)}`,
  )
}

test('an image is fetched, and fetched again only when it changed', async () => {
  const view = await fetched(`${origin}/image.raw`)
  expect(view).toMatchObject({
    state: 'created',
    artifact_type: 'image',
    source_url: `${origin}/image.raw`,
    name: 'image.raw',
    index: 1,
  })
  expect((await system.get(`/blobs/${view.blob_uuid}/data`)).bytes.equals(content)).toBe(true)
  expect((await fetched(`${origin}/image.raw`)).index).toBe(1)
  content = randomBytes(1024 * 1024)
  const changed = await fetched(`${origin}/image.raw`)
  expect([changed.uuid, changed.index]).toEqual([view.uuid, 2])
  expect((await system.get(`/blobs/${changed.blob_uuid}/data`)).bytes.equals(content)).toBe(true)
})

test('a cut transfer goes on from where it was', async () => {
  content = randomBytes(2 * 1024 * 1024)
  cutsLeft = 2
  requests.length = 0
  const view = await fetched(`${origin}/flaky.raw`)
  expect((await system.get(`/blobs/${view.blob_uuid}/data`)).bytes.equals(content)).toBe(true)
  expect(requests.filter((request) => request.range).length).toBeGreaterThanOrEqual(1)
})

test('what cannot be had leaves the state error and says why', async () => {
  const missing = await fetched(`${origin}/missing.raw`)
  expect(missing).toMatchObject({ state: 'error', index: 0, blobs: {} })
  expect(missing.error).toMatch(/404/)
  content = randomBytes(5 * 1024 * 1024)
  expect((await fetched(`${origin}/image.raw?too=large`)).state).toBe('error')
})

test('redirects are followed, but never inward', async () => {
  content = randomBytes(10_000)
  expect((await fetched(`${origin}/redirect`)).state).toBe('created')
  const inward = await fetched(`${origin}/inward`)
  expect(inward.state).toBe('error')
  expect(inward.error).toMatch(/HOLDFAST_FETCH_ALLOW/)
})

test('addresses that nobody allowed are refused, and nothing is created', async () => {
  const before = (await system.get('/artifacts')).json.length
  for (const url of [
    'http://127.0.0.2/x',
    'http://[::1]/x',
    'http://10.0.0.1/x',
    'http://192.168.1.1/x',
    'http://169.254.169.254/latest/meta-data',
    'http://0x7f000002/x',
    'http://2130706434/x',
    'http://[::ffff:10.0.0.1]/x',
    'http://0.0.0.0/x',
  ]) {
    const answer = await system.post('/artifacts', { url })
    expect([url, answer.status, answer.json.code]).toEqual([url, 403, 'url_forbidden'])
  }
  for (const url of [
    'file:///etc/passwd',
    'ftp://example.com/x',
    'gopher://x',
    'not a url',
    'http://user:secret@example.com/',
    'http://',
  ]) {
    const answer = await system.post('/artifacts', { url })
    expect([url, answer.status, answer.json.code]).toEqual([url, 400, 'url_invalid'])
  }
  expect((await system.get('/artifacts')).json).toHaveLength(before)
})
