import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request as httpRequest, type Server } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { paths, type RouteName, splitPath } from '@holdfast/api/paths'
import { createClient } from '@holdfast/client/node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNamespace, login, publish, type Session } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import { storedBlobs } from '../support/stored-blobs.ts'

/** Jobs, collection and leases, as the administrator sees them. Jobs run when this file says so, and not else. */

let server: RunningServer
let system: Session
let one: Session
const noSuchUuid = '00000000-0000-4000-8000-000000000000'

beforeAll(async () => {
  server = await startServer({
    settings: { HOLDFAST_JOB_INTERVAL: '1000000', HOLDFAST_COLLECT_GRACE: '0' },
  })
  system = await login(server.url, 'system', server.systemKey)
  one = await createNamespace(server.url, system)
})
afterAll(() => server.remove())

const run = async (job: string) => (await system.post(`/admin/jobs/${job}`, { wait: 10 })).json

/** A blob that has just lost its only reference. */
const orphan = async (bytes = randomBytes(1000)): Promise<string> => {
  const { uuid, blob_uuid } = await publish(one, `orphan ${randomBytes(4).toString('hex')}`, bytes)
  await one.delete(`/artifacts/${uuid}`)
  return blob_uuid
}

const explain = async (blob: string) => (await system.get(`/admin/blobs/${blob}`)).json

test('only system may', async () => {
  const routes = (Object.keys(paths) as RouteName[]).map(splitPath)
  const admin = routes.filter(({ path }) =>
    /^\/admin\/(jobs|collection|blobs|verification|quarantine)/.test(path),
  )
  expect(admin.length).toBe(10)
  const blob = await orphan()
  for (const { method, path } of admin)
    for (const uuid of [blob, noSuchUuid]) {
      const target = path.replace('{job}', 'collect-blobs').replace('{blob_uuid}', uuid)
      const answer = await one.send(method, target, { unchecked: true })
      expect(answer.json, target).toMatchObject({ status: 401, code: 'system_only' })
    }
})

test('jobs are listed, and one is run now', async () => {
  const { json: jobs } = await system.get('/admin/jobs')
  expect(jobs.map((job: { name: string }) => job.name)).toEqual(
    expect.arrayContaining([
      'expire-uploads',
      'collect-blobs',
      'digest-blobs',
      'verify-blobs',
      'prune-history',
    ]),
  )
  // The run at the start of the server is not to come in between.
  let first: { last_run?: object; is_running: boolean }
  do first = (await system.get('/admin/jobs/prune-history')).json
  while (first.last_run === undefined || first.is_running)
  const ran = await run('prune-history')
  expect(ran).toMatchObject({
    name: 'prune-history',
    interval: 1_000_000,
    is_running: false,
    waiting: 0,
    next_run_at: expect.any(Number),
    last_run: { number: ran.run, outcome: 'done', report: { events: 0 } },
  })
  expect(ran.next_run_at).toBeGreaterThan(ran.last_run.started_at)
  const again = await run('prune-history')
  expect([again.run, again.runs]).toEqual([ran.run + 1, ran.runs + 1])
  expect((await system.get('/admin/jobs/prune-history')).json.last_run).toEqual(again.last_run)
})

test('a run need not be waited for', async () => {
  const { json: asked } = await system.post('/admin/jobs/expire-uploads')
  let now = asked
  while (now.runs < asked.run) now = (await system.get('/admin/jobs/expire-uploads')).json
  expect(now.last_run).toMatchObject({ outcome: 'done' })
})

test.each([
  ['GET', '/admin/jobs/no-such-job', undefined, 404, 'job_not_found'],
  ['POST', '/admin/jobs/no-such-job', undefined, 404, 'job_not_found'],
  ['POST', '/admin/jobs/collect-blobs', { wait: 11 }, 400, 'invalid_request'],
  ['POST', '/admin/jobs/collect-blobs', { wait: -1 }, 400, 'invalid_request'],
  ['POST', '/admin/jobs/collect-blobs', { wait: 'long' }, 400, 'invalid_request'],
  ['GET', '/admin/collection?limit=0', undefined, 400, 'invalid_request'],
  ['GET', '/admin/collection?cursor=nonsense', undefined, 400, 'cursor_invalid'],
  ['GET', '/admin/quarantine?cursor=nonsense', undefined, 400, 'cursor_invalid'],
  ['GET', `/admin/blobs/${noSuchUuid}`, undefined, 404, 'blob_not_found'],
  ['POST', `/admin/blobs/${noSuchUuid}/verification`, undefined, 404, 'blob_not_found'],
  ['GET', '/admin/blobs/nonsense/verification', undefined, 404, 'blob_not_found'],
])('%s %s %o is %i %s', async (method, target, json, status, code) => {
  const answer = await system.send(method, target, { json })
  expect(answer.json).toMatchObject({ status, code })
})

test('what would be collected is told, and nothing changes; collection does just that', async () => {
  await run('collect-blobs')
  const gone = [await orphan(randomBytes(100)), await orphan(randomBytes(200))]
  const leased = await orphan(randomBytes(300))
  // Asked for by one that may see it still: `system` sees all.
  const { sha512 } = (await system.get(`/blobs/${leased}`)).json
  const { expires_at } = (await system.get(`/blob_checksums/sha512/${sha512}`)).json
  const kept = (await publish(one, 'kept', randomBytes(400))).blob_uuid

  const preview = async (query = '') => system.get(`/admin/collection${query}`)
  const { json: before } = await preview()
  expect(before).toMatchObject({ grace: 0, due: { blobs: 2, bytes: 300 }, leftover_files: 0 })
  const byUuid = Object.fromEntries(before.blobs.map((blob: { uuid: string }) => [blob.uuid, blob]))
  expect(Object.keys(byUuid).sort()).toEqual([...gone, leased].sort())
  for (const uuid of gone)
    expect(byUuid[uuid]).toMatchObject({
      is_due: true,
      reason: expect.stringMatching(/^no version and no lease, unreferenced since 20/),
    })
  expect(byUuid[leased]).toMatchObject({
    is_due: false,
    collectable_at: expires_at,
    reason: expect.stringMatching(/^stays until 20.*: leased to system$/),
  })
  expect((await preview()).json).toEqual(before)

  const paged: string[] = []
  let next: string | undefined = '?limit=1'
  while (next !== undefined) {
    const page = await preview(next)
    paged.push(...page.json.blobs.map((blob: { uuid: string }) => blob.uuid))
    next = /<[^?>]*(\?[^>]*)>/.exec(page.headers.link ?? '')?.[1]
  }
  expect(paged).toEqual(before.blobs.map((blob: { uuid: string }) => blob.uuid))

  expect((await run('collect-blobs')).last_run.report).toMatchObject({ collected: 2, leftovers: 0 })
  for (const uuid of gone) expect((await explain(uuid)).state).toBe('deleted')
  for (const uuid of [leased, kept]) expect((await explain(uuid)).state).toBe('created')
  expect((await preview()).json.due).toEqual({ blobs: 0, bytes: 0 })
})

test('why a blob is alive, and how it went', async () => {
  const bytes = randomBytes(500)
  const { uuid: artifact, blob_uuid: blob } = await publish(one, 'explained', bytes)
  const alive = await explain(blob)
  expect(alive).toMatchObject({
    blob_uuid: blob,
    state: 'created',
    reason: 'alive: 1 version holds it',
    size: 500,
    reference_count: 1,
    references: [{ artifact_uuid: artifact, namespace: one.namespace, name: 'explained', index: 1 }],
    released: [],
    leases: [],
    collectable_at: null,
  })
  await one.get(`/blob_checksums/sha512/${alive.sha512}`)
  await one.delete(`/artifacts/${artifact}`)
  expect(await explain(blob)).toMatchObject({
    reason: expect.stringContaining(`alive: leased to ${one.namespace} until`),
    leases: [{ namespace: one.namespace }],
    released: [{ artifact_uuid: artifact, index: 1, message: 'deleted' }],
  })
  const other = await orphan()
  await run('collect-blobs')
  expect(await explain(other)).toMatchObject({
    state: 'deleted',
    reason: expect.stringContaining('by the job collect-blobs: nothing referred to it since'),
    released: [{ namespace: one.namespace, message: 'deleted' }],
    deleted_at: expect.any(Number),
    files_removed_at: expect.any(Number),
    events: expect.arrayContaining([
      expect.objectContaining({ type: 'prune', fqdn: expect.stringMatching(/^node-\d$/) }),
    ]),
  })
  expect((await system.post(`/admin/blobs/${other}/verification`)).json.code).toBe('blob_not_found')
})

test('a positive look-up keeps the blob for the asker, until it has been used', async () => {
  const { uuid, blob_uuid } = await publish(one, 'leased', randomBytes(600))
  const { sha512 } = (await one.get(`/blobs/${blob_uuid}`)).json
  const hit = (await one.get(`/blob_checksums/sha512/${sha512}`)).json
  expect(hit.expires_at * 1000).toBeGreaterThan(Date.now())
  await one.delete(`/artifacts/${uuid}`)
  await run('collect-blobs')
  const converted = await one.post('/artifacts/upload/again', { blob_uuid })
  expect([converted.status, converted.json.blob_uuid]).toEqual([200, blob_uuid])
  expect((await one.get(`/blobs/${blob_uuid}/data`)).bytes.length).toBe(600)
})

/** Passes requests on to a server, after `before` has settled. */
const passOn = async (target: string, before: (path: string, body: string) => Promise<void>) => {
  const proxy: Server = createServer(async (incoming, outgoing) => {
    const body = await buffer(incoming)
    const { method = '', url: path = '', headers } = incoming
    await before(`${method} ${path}`, body.toString())
    const onward = httpRequest(`${target}${path}`, { method, headers, agent: false }, (reply) => {
      outgoing.writeHead(reply.statusCode!, reply.headers)
      reply.pipe(outgoing)
    })
    onward.end(body)
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  return { url: `http://127.0.0.1:${(proxy.address() as { port: number }).port}`, proxy }
}

describe('a client whose blob goes between look-up and conversion uploads it', () => {
  let forgetful: RunningServer
  let session: Session
  beforeAll(async () => {
    // Leases end at once: as if the client had slept for hours between the two requests.
    const settings = { HOLDFAST_LEASE_LIFETIME: '0', HOLDFAST_COLLECT_GRACE: '0' }
    forgetful = await startServer({ settings: { ...settings, HOLDFAST_JOB_INTERVAL: '1000000' } })
    session = await login(forgetful.url, 'system', forgetful.systemKey)
  })
  afterAll(() => forgetful.remove())

  const collect = async (artifact: string) => {
    await session.delete(`/artifacts/${artifact}`)
    await session.post('/admin/jobs/collect-blobs', { wait: 10 })
  }
  const damage = async (_: string, blob: string) => {
    await storedBlobs(forgetful.dataDir).remove(blob)
    await session.post(`/admin/blobs/${blob}/verification`, { wait: 10 })
  }

  test.each([
    ['collected', 404, 'blob_not_found', collect],
    ['damaged', 503, 'blob_damaged', damage],
  ] as const)('%s: %i %s', async (_, status, code, lose) => {
    const bytes = randomBytes(700)
    const { uuid, blob_uuid } = await publish(session, 'looked up', bytes)
    const refusals: unknown[] = []
    const { url, proxy } = await passOn(forgetful.url, async (target, body) => {
      if (target !== 'POST /artifacts/upload/sent' || !body.includes('blob_uuid')) return
      await lose(uuid, blob_uuid)
      const refused = await session.post('/artifacts/upload/sent', { blob_uuid })
      refusals.push([refused.status, refused.json.code])
    })
    await using client = createClient({
      url,
      namespace: 'system',
      key: forgetful.systemKey,
      stateStore: null,
    })
    const { artifact } = await client.upload({ source: new Blob([bytes]), name: 'sent' })
    proxy.closeAllConnections()
    proxy.close()
    expect(refusals).toEqual([[status, code]])
    const stored = await session.get(`/blobs/${artifact.blob_uuid}/data`)
    expect(stored.bytes.equals(bytes)).toBe(true)
  })
})
