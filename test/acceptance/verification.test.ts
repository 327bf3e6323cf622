import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNamespace, digestsMade, login, publish, type Session } from '../support/api.ts'
import { readMetric } from '../support/metrics.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import { storedBlobs } from '../support/stored-blobs.ts'

/** Damage on the disk, from outside of the server: found, told of, never served, healed by the same content. */

const MiB = 1024 * 1024
const settings = {
  HOLDFAST_JOB_INTERVAL: '1000000',
  HOLDFAST_FETCH_ALLOW: '127.0.0.1/32',
  HOLDFAST_COLLECT_GRACE: '0',
  // Slow enough for the last test to stop it in the middle.
  HOLDFAST_VERIFY_RATE: '8MiB',
}
let server: RunningServer
let system: Session
let one: Session

beforeAll(async () => {
  server = await startServer({ settings })
  system = await login(server.url, 'system', server.systemKey)
  one = await createNamespace(server.url, system)
})
afterAll(() => server.remove())

const stored = () => storedBlobs(server.dataDir)
const flipBit = async (blob: string, position = 0): Promise<void> => {
  const bytes = (await stored().read(blob))!
  bytes[position]! ^= 1
  await stored().write(blob, bytes)
}
const shorten = async (blob: string): Promise<void> =>
  stored().write(blob, (await stored().read(blob))!.subarray(0, 5))
const verify = async (blob: string) =>
  (await system.post(`/admin/blobs/${blob}/verification`, { wait: 10 })).json
const store = async (bytes: Buffer, name = randomBytes(6).toString('hex')) => {
  const view = await publish(one, name, bytes)
  await digestsMade(system)
  return { name, artifact: view.uuid as string, blob: view.blob_uuid as string, bytes }
}
const stateOf = async (blob: string) => (await one.get(`/blobs/${blob}`)).json.state
const verifiedBytes = async () =>
  (await readMetric(server, 'holdfast_verified_bytes_total')).reduce((sum, bytes) => sum + bytes)
/** Of what others find and heal a node hears with its heartbeats. */
const patient = { timeout: 15_000 }
/** As the one that tells the most of them has it. */
const damagedBlobs = async () => Math.max(...(await readMetric(server, 'holdfast_damaged_blobs')))

/** The reply as it comes, whole or not. */
const readRaw = (path: string, headers: Record<string, string> = {}) =>
  new Promise<{ status: number; body: Buffer; whole: boolean }>((resolve, reject) => {
    const authorization = `Bearer ${one.token}`
    const outgoing = httpRequest(`${server.url}${path}`, {
      headers: { ...headers, authorization },
      agent: false,
    })
    outgoing.on('error', reject)
    outgoing.on('response', (reply: IncomingMessage) => {
      const parts: Buffer[] = []
      reply.on('data', (part) => parts.push(part))
      reply.on('error', () => {})
      reply.on('close', () =>
        resolve({ status: reply.statusCode!, body: Buffer.concat(parts), whole: reply.complete }),
      )
    })
    outgoing.end()
  })

test('a good blob is found good, and the reading counted', async () => {
  const { blob } = await store(randomBytes(2.5 * MiB))
  const before = await verifiedBytes()
  const first = await verify(blob)
  expect(first).toMatchObject({
    blob_uuid: blob,
    state: 'done',
    verdict: 'good',
    size: 2.5 * MiB,
    read_bytes: 2.5 * MiB,
  })
  expect(first.verified_at).toBeGreaterThanOrEqual(first.started_at)
  expect(first.ended_at).toBeGreaterThanOrEqual(first.verified_at)
  expect(await verifiedBytes()).toBe(before + 2.5 * MiB)
  expect((await system.get(`/admin/blobs/${blob}/verification`)).json).toEqual(first)
})

describe.each([
  ['rotten', (blob: string) => flipBit(blob, 70_000)],
  ['too short', shorten],
  ['missing', (blob: string) => stored().remove(blob)],
])('a blob whose file is %s', (_, damage) => {
  let it: Awaited<ReturnType<typeof store>>
  beforeAll(async () => {
    it = await store(randomBytes(100_000))
    await damage(it.blob)
    expect(await verify(it.blob)).toMatchObject({ state: 'done', verdict: 'damaged' })
  })

  test('is shown as such: by itself, in its artifact, in events, to the administrator, in metrics', async () => {
    const { artifact, blob } = it
    expect(await stateOf(blob)).toBe('quarantined')
    expect((await one.get(`/artifacts/${artifact}`)).json).toMatchObject({
      state: 'created',
      blobs: { 1: { uuid: blob, state: 'quarantined' } },
    })
    expect((await one.get(`/artifacts/${artifact}/versions`)).json).toMatchObject([{ state: 'quarantined' }])
    const events = (await system.get(`/blobs/${blob}/events`, { event_type: 'status' })).json
    expect(events).toMatchObject([
      {
        message: 'quarantined: its stored bytes are damaged or missing',
        extra: { reason: expect.stringMatching(/^its file /) },
      },
    ])
    // The blob's history is the administrator's; its holders read theirs.
    const [told] = (await one.get(`/artifacts/${artifact}/events`)).json
    expect(told).toMatchObject({
      type: 'status',
      message: 'version 1 is damaged: its stored bytes are damaged or missing',
      extra: { index: 1, blob_uuid: blob },
    })
    const listed = (await system.get('/admin/quarantine')).json
    expect(listed).toMatchObject([
      { blob_uuid: blob, size: 100_000, reason: events[0].extra.reason, reference_count: 1 },
    ])
    expect((await system.get(`/admin/blobs/${blob}`)).json.quarantine).toEqual({
      since: events[0].timestamp,
      reason: events[0].extra.reason,
    })
    expect((await system.get('/admin/verification')).json.quarantined).toBe(1)
    await expect.poll(damagedBlobs, patient).toBe(1)
  })

  test('is never served, found or converted', async () => {
    const { blob } = it
    for (const ask of [
      ['GET', '', {}],
      ['GET', '?offset=99999&limit=1', {}],
      ['GET', '', { Range: 'bytes=0-0' }],
      ['HEAD', '', {}],
    ] as const) {
      const answer = await one.send(ask[0], `/blobs/${blob}/data${ask[1]}`, { headers: ask[2] })
      expect([answer.status, answer.json?.code]).toEqual([
        503,
        ask[0] === 'HEAD' ? undefined : 'blob_damaged',
      ])
      // Waiting does not mend it.
      expect(answer.headers).not.toHaveProperty('retry-after')
      if (ask[0] === 'GET') expect(answer.headers['content-type']).toMatch(/^application\/json/)
    }
    const { sha512 } = (await one.get(`/blobs/${blob}`)).json
    expect((await one.get(`/blob_checksums/sha512/${sha512}`)).json).toBe(null)
    // Nor can anything new be made of it, a label no more than a version.
    for (const path of ['/artifacts/upload/other', '/label/other', `/label/${one.namespace}/other`]) {
      const refused = await one.post(path, { blob_uuid: blob })
      expect(refused.json).toMatchObject({ status: 503, code: 'blob_damaged', detail: { blob_uuid: blob } })
    }
    expect((await one.get('/label/other')).json.code).toBe('label_not_found')
    expect((await one.get('/artifacts/other')).json.code).toBe('artifact_not_found')
  })

  test('is found damaged again, and stays', async () => {
    expect(await verify(it.blob)).toMatchObject({ verdict: 'damaged' })
    await expect.poll(damagedBlobs, patient).toBe(1)
  })

  test('is healed by an upload of the same content', async () => {
    const { blob, bytes } = it
    expect((await publish(one, 'again', bytes)).blob_uuid).toBe(blob)
    expect(await stateOf(blob)).toBe('created')
    expect((await one.get(`/blobs/${blob}/data`)).bytes.equals(bytes)).toBe(true)
    await expect.poll(damagedBlobs, patient).toBe(0)
    expect((await system.get('/admin/quarantine')).json).toEqual([])
    const entry = (await one.get(`/artifacts/${it.artifact}`)).json.blobs[1]
    expect(entry).not.toHaveProperty('state')
    const [event] = (await system.get(`/blobs/${blob}/events`, { event_type: 'status' })).json
    expect(event.message).toBe('healed: the same content was stored again')
    const [told] = (await one.get(`/artifacts/${it.artifact}/events`)).json
    expect(told.message).toBe('version 1 is whole again')
    expect(await verify(blob)).toMatchObject({ verdict: 'good' })
    // What was set aside is gone.
    expect(await stored().read(blob, 'quarantine')).toBeUndefined()
  })
})

test('a damaged blob is healed by a fetch of the same content, even if nothing has changed there', async () => {
  const bytes = randomBytes(50_000)
  const web: Server = createServer((request, response) => {
    if (request.headers['if-none-match'] === '"same"') response.writeHead(304).end()
    else response.writeHead(200, { ETag: '"same"' }).end(bytes)
  }).listen(0, '127.0.0.1')
  await once(web, 'listening')
  const url = `http://127.0.0.1:${(web.address() as { port: number }).port}/image`
  const waitFor = async (state: string, path: string) =>
    expect.poll(async () => (await system.get(path)).json.state, { timeout: 10_000 }).toBe(state)

  const { uuid } = (await system.post('/artifacts', { url })).json
  await waitFor('created', `/artifacts/${uuid}`)
  const { blob_uuid: blob } = (await system.get(`/artifacts/${uuid}`)).json
  await flipBit(blob)
  await verify(blob)
  await system.post('/artifacts', { url })
  await waitFor('created', `/blobs/${blob}`)
  expect((await system.get(`/blobs/${blob}/data`)).bytes.equals(bytes)).toBe(true)

  const other = await store(randomBytes(50_000))
  other.bytes.copy(bytes)
  await flipBit(other.blob)
  await verify(other.blob)
  await system.post('/artifacts', { url: `${url}/2` })
  await waitFor('created', `/blobs/${other.blob}`)
  expect((await one.get(`/blobs/${other.blob}/data`)).bytes.equals(bytes)).toBe(true)
  await expect.poll(damagedBlobs, patient).toBe(0)
  web.closeAllConnections()
  web.close()
})

test('a damaged blob that nothing refers to is collected, with what was set aside', async () => {
  const { artifact, blob } = await store(randomBytes(1000))
  await flipBit(blob)
  await verify(blob)
  expect(await stored().read(blob, 'quarantine')).toBeDefined()
  await one.delete(`/artifacts/${artifact}`)
  await system.post('/admin/jobs/collect-blobs', { wait: 10 })
  expect((await system.get(`/admin/blobs/${blob}`)).json.state).toBe('deleted')
  expect(await stored().read(blob, 'quarantine')).toBeUndefined()
  await expect.poll(damagedBlobs, patient).toBe(0)
})

test('a damaged blob is healed when its own bytes come back', async () => {
  const { blob, bytes } = await store(randomBytes(1000))
  await flipBit(blob)
  await verify(blob)
  await stored().write(blob, bytes, 'quarantine')
  expect(await verify(blob)).toMatchObject({ verdict: 'healed' })
  expect((await one.get(`/blobs/${blob}/data`)).bytes.equals(bytes)).toBe(true)
})

describe('rot that nobody has found yet', () => {
  const rotten = async () => {
    const it = await store(randomBytes(4 * MiB))
    await flipBit(it.blob, 2.5 * MiB)
    return it
  }

  test('a whole reply breaks off before the bad block, and the blob is put in quarantine', async () => {
    const { blob, bytes } = await rotten()
    const { status, body, whole } = await readRaw(`/blobs/${blob}/data`)
    expect({ status, whole }).toEqual({ status: 200, whole: false })
    expect(body.length).toBeLessThanOrEqual(2 * MiB)
    expect(body.equals(bytes.subarray(0, body.length))).toBe(true)
    expect(await stateOf(blob)).toBe('quarantined')
  })

  test('a range beside the bad block is served, one within it is not', async () => {
    const { blob, bytes } = await rotten()
    const [from, to] = [3 * MiB, 3 * MiB + 99]
    const good = await readRaw(`/blobs/${blob}/data`, { range: `bytes=${from}-${to}` })
    expect([good.status, good.whole, good.body.equals(bytes.subarray(from, to + 1))]).toEqual([
      206,
      true,
      true,
    ])
    expect(await stateOf(blob)).toBe('created')
    // Not even the bytes of the block that are right.
    const bad = await readRaw(`/blobs/${blob}/data`, { range: `bytes=${2 * MiB}-${2 * MiB + 9}` })
    expect([bad.status, JSON.parse(bad.body.toString()).code]).toEqual([503, 'blob_damaged'])
    expect(await stateOf(blob)).toBe('quarantined')
  })

  test('offset and limit are checked, too', async () => {
    const { blob } = await rotten()
    const bad = await readRaw(`/blobs/${blob}/data?offset=${2.5 * MiB + 100}&limit=5`)
    expect([bad.status, JSON.parse(bad.body.toString()).code]).toEqual([503, 'blob_damaged'])
  })
})

test('the verification of all goes on after a restart where it stopped, and finds what is bad', async () => {
  const blobs = []
  for (let index = 0; index < 4; index++) blobs.push(await store(randomBytes(3 * MiB)))
  await flipBit(blobs[3]!.blob)
  const status = async () => (await system.get('/admin/verification')).json
  const asked = (await system.post('/admin/verification')).json
  expect(asked).toMatchObject({
    interval: 86_400,
    bytes_per_second: 8 * MiB,
    verifies_reads: true,
    unverified: 0,
    asked_at: expect.any(Number),
  })
  await expect.poll(async () => (await status()).due.bytes, { timeout: 10_000 }).toBeLessThan(asked.due.bytes)
  await server.stop('SIGKILL')

  const { dataDir } = server
  server = await startServer({ dataDir, settings: { ...settings, HOLDFAST_VERIFY_RATE: '0' } })
  system = await login(server.url, 'system', server.systemKey)
  const left = await status()
  expect(left.asked_at).toBe(asked.asked_at)
  expect(left.due.blobs).toBeLessThan(asked.due.blobs)
  expect(left.due.blobs).toBeGreaterThan(0)
  await system.post('/admin/jobs/verify-blobs', { wait: 10 })
  // Where reading is slow, the run outlasts the waiting for it.
  await expect
    .poll(status, { timeout: 10_000 })
    .toMatchObject({ due: { blobs: 0, bytes: 0 }, is_running: false })
  // What had been read before was not read again.
  expect(await verifiedBytes()).toBeLessThanOrEqual(left.due.bytes)
  const listed = (await system.get('/admin/quarantine')).json as { blob_uuid: string }[]
  expect(listed.map((entry) => entry.blob_uuid)).toContain(blobs[3]!.blob)
  expect((await status()).oldest_at).toBeGreaterThanOrEqual(asked.asked_at)
})
