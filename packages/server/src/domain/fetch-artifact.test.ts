import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import type { Parts } from '../parts.ts'
import { callerOf } from '../test-parts.ts'
import { deleteArtifact, deleteVersionOf, showArtifact } from './artifacts.ts'
import { listEvents } from './events.ts'
import { fetchArtifact, runFetches } from './fetch-artifact.ts'
import { bytesOf, refusal, setUp, snapshot } from './upload-fixture.ts'

const alice = callerOf('alice')
const bob = callerOf('bob')
const never = new AbortController().signal
const settings = { fetchAllow: ['127.0.0.1'], fetchPause: 0.01, fetchAttempts: 2, fetchMaxSize: 4_000_000 }

/** A web server for one test. */
const serve = async (answer: RequestListener) => {
  const web = createServer(answer).listen(0, '127.0.0.1')
  await once(web, 'listening')
  return {
    url: (path: string) => `http://127.0.0.1:${(web.address() as AddressInfo).port}${path}`,
    async [Symbol.asyncDispose]() {
      web.closeAllConnections()
      web.close()
    },
  }
}

const messagesOf = async (parts: Parts, objectUuid: string): Promise<string[]> => {
  const { items } = await listEvents(parts.db.read, { objectType: 'artifact', objectUuid, limit: 100 })
  return items.map((event) => event.message).reverse()
}

test('what is refused at sight creates nothing', async () => {
  await using parts = await setUp()
  const before = await snapshot(parts)
  for (const [code, input] of [
    ['url_invalid', { url: 'file:///etc/passwd' }],
    ['url_invalid', { url: 'nonsense' }],
    ['url_invalid', { url: 'http://user:secret@example.com/' }],
    ['url_forbidden', { url: 'http://127.0.0.1/x' }],
    ['url_forbidden', { url: 'http://[::ffff:10.0.0.1]/x' }],
    ['share_system_only', { url: 'http://example.com/x', shared: true }],
    ['namespace_not_found', { url: 'http://example.com/x', namespace: 'bob' }],
  ] as const)
    expect(await refusal(fetchArtifact(parts, alice, input))).toBe(code)
  expect(await snapshot(parts)).toEqual(before)
})

test('a fetch makes a version; again only when the remote changed; again at once joins', async () => {
  await using parts = await setUp(settings)
  let content = randomBytes(2_000_000)
  const conditions: unknown[] = []
  await using web = await serve((request, response) => {
    conditions.push(request.headers['if-none-match'])
    const etag = `"${content.length}"`
    if (request.headers['if-none-match'] === etag) response.writeHead(304).end()
    else response.writeHead(200, { ETag: etag, 'Content-Length': content.length }).end(content)
  })
  const url = web.url('/images/my%20disk.raw?token=x')
  const begun = await fetchArtifact(parts, alice, { url })
  expect(begun).toMatchObject({
    state: 'initial',
    name: 'my disk.raw',
    artifact_type: 'image',
    source_url: url,
    index: 0,
    blobs: {},
  })
  expect(begun).not.toHaveProperty('blob_uuid')
  expect((await fetchArtifact(parts, alice, { url })).uuid).toBe(begun.uuid)
  await Promise.all([runFetches(parts, never), runFetches(parts, never)])
  const first = await showArtifact(parts, alice, begun.uuid)
  expect(first).toMatchObject({ state: 'created', index: 1 })
  expect((await bytesOf(parts, first.blob_uuid!)).equals(content)).toBe(true)
  expect(conditions).toEqual([undefined])

  await fetchArtifact(parts, alice, { url })
  await runFetches(parts, never)
  expect((await showArtifact(parts, alice, begun.uuid)).index).toBe(1)
  content = randomBytes(1_000_000)
  await fetchArtifact(parts, alice, { url })
  await runFetches(parts, never)
  expect((await showArtifact(parts, alice, begun.uuid)).index).toBe(2)
  expect(conditions.slice(1)).toEqual(['"2000000"', '"2000000"'])

  // With the newest version gone, "has it changed since?" would be the wrong question.
  await deleteVersionOf(parts, alice, begun.uuid, 2)
  await fetchArtifact(parts, alice, { url })
  await runFetches(parts, never)
  expect((await showArtifact(parts, alice, begun.uuid)).index).toBe(3)

  const messages = await messagesOf(parts, begun.uuid)
  expect(messages.filter((message) => /^fetch /.test(message))).toEqual([
    'fetch requested',
    'fetch requested',
    'fetch finished',
    'fetch requested',
    'fetch found no change',
    'fetch requested',
    'fetch finished',
    'fetch requested',
    'fetch finished',
  ])
  expect(messages).toContain('fetched 100%')
  const { uploads } = await snapshot(parts)
  expect(uploads).toEqual([])
  expect(await parts.uploadFiles.list()).toEqual([])
})

test('a failure is told in the artifact, or only in its history when it has versions', async () => {
  await using parts = await setUp(settings)
  let status = 404
  await using web = await serve((_, response) => response.writeHead(status).end('text'))
  const url = web.url('/')
  const { uuid, name } = await fetchArtifact(parts, alice, { url })
  expect(name).toBe('127.0.0.1')
  await runFetches(parts, never)
  const failed = await showArtifact(parts, alice, uuid)
  expect([failed.state, failed.error]).toEqual(['error', expect.stringMatching(/404/)])

  status = 200
  expect(await fetchArtifact(parts, alice, { url })).toMatchObject({ uuid, state: 'initial' })
  await runFetches(parts, never)
  const view = await showArtifact(parts, alice, uuid)
  expect(view).toMatchObject({ state: 'created', index: 1 })
  expect(view).not.toHaveProperty('error')

  status = 410
  await fetchArtifact(parts, alice, { url })
  await runFetches(parts, never)
  expect(await showArtifact(parts, alice, uuid)).toEqual(view)
  expect((await messagesOf(parts, uuid)).at(-1)).toMatch(/^fetch failed: .*410/)
  expect(await parts.uploadFiles.list()).toEqual([])
})

test('an empty file and one that is too large are failures', async () => {
  await using parts = await setUp(settings)
  await using web = await serve(({ url }, response) =>
    response.end(url === '/empty' ? '' : Buffer.alloc(4_000_001)),
  )
  for (const path of ['/empty', '/large']) {
    const { uuid } = await fetchArtifact(parts, alice, { url: web.url(path) })
    await runFetches(parts, never)
    const { state, error } = await showArtifact(parts, alice, uuid)
    expect([state, error]).toEqual(['error', expect.stringMatching(/empty|larger/)])
  }
  expect((await snapshot(parts)).blobs).toEqual([])
})

/** Sends half of the content, and the rest only when asked to go on from there. */
const halfway = (content: Buffer, ranges: (string | undefined)[], onHalf: () => void): RequestListener => {
  const half = content.length / 2
  return (request, response) => {
    ranges.push(request.headers.range)
    const headers = { ETag: '"same"', 'Accept-Ranges': 'bytes' }
    if (request.headers.range === `bytes=${half}-`) {
      const range = `bytes ${half}-${content.length - 1}/${content.length}`
      response.writeHead(206, { ...headers, 'Content-Range': range, 'Content-Length': half })
      response.end(content.subarray(half))
    } else {
      response.writeHead(200, { ...headers, 'Content-Length': content.length })
      response.write(content.subarray(0, half), onHalf)
    }
  }
}

test('a fetch that is stopped goes on where it was', async () => {
  await using parts = await setUp(settings)
  const content = randomBytes(3_000_000)
  const ranges: (string | undefined)[] = []
  await using web = await serve(halfway(content, ranges, () => {}))
  const { uuid } = await fetchArtifact(parts, alice, { url: web.url('/image') })
  const stop = new AbortController()
  const running = runFetches(parts, stop.signal)
  await expect.poll(() => messagesOf(parts, uuid), { timeout: 5000 }).toContain('fetched 50%')
  stop.abort()
  await running
  expect((await parts.uploadFiles.list())[0]?.size).toBe(1_500_000)
  expect((await snapshot(parts)).fetches).toMatchObject([{ state: 'waiting', if_range: '"same"' }])
  await runFetches(parts, never)
  const view = await showArtifact(parts, alice, uuid)
  expect((await bytesOf(parts, view.blob_uuid!)).equals(content)).toBe(true)
  expect(ranges).toEqual([undefined, 'bytes=1500000-'])
})

test('an artifact that is deleted while it is fetched stays deleted, and nothing is left', async () => {
  await using parts = await setUp(settings)
  let reached = () => {}
  const atHalf = new Promise<void>((resolve) => {
    reached = resolve
  })
  let finish = () => {}
  await using web = await serve((_, response) => {
    response.write('half', () => reached())
    finish = () => response.end(' and half')
  })
  const { uuid } = await fetchArtifact(parts, alice, { url: web.url('/image') })
  const running = runFetches(parts, never)
  await atHalf
  await deleteArtifact(parts, alice, uuid)
  finish()
  await running
  expect((await showArtifact(parts, alice, uuid)).state).toBe('deleted')
  const { artifacts, versions, uploads, fetches, blobs } = await snapshot(parts)
  expect([artifacts.length, versions, uploads, fetches, blobs]).toEqual([1, [], [], [], []])
  expect(await parts.uploadFiles.list()).toEqual([])
})

test('a trusted namespace fetches for another, as long as it is trusted', async () => {
  await using parts = await setUp(settings)
  await using web = await serve((_, response) => response.end('content'))
  const trust = { namespace: 'alice', trusted: 'bob' }
  await parts.db.write((trx) => trx.insertInto('trusts').values(trust).execute())
  const { uuid } = await fetchArtifact(parts, bob, { url: web.url('/a'), namespace: 'alice' })
  await runFetches(parts, never)
  expect(await showArtifact(parts, alice, uuid)).toMatchObject({ namespace: 'alice', index: 1 })
  const second = await fetchArtifact(parts, bob, { url: web.url('/b'), namespace: 'alice' })
  await parts.db.write((trx) => trx.deleteFrom('trusts').execute())
  await runFetches(parts, never)
  expect(await showArtifact(parts, alice, second.uuid)).toMatchObject({
    state: 'error',
    error: 'namespace not found',
  })
})
