import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, createNamespace, login, publish, type Session, upload } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'

let server: RunningServer
let system: Session
let one: Session
let two: Session
let blob: string
const data = randomBytes(3 * 1024 * 1024 + 12_345)
const digest = (algorithm: string, bytes: Buffer | string = data) =>
  createHash(algorithm).update(bytes).digest('hex')
const etag = `"${digest('sha512')}"`

beforeAll(async () => {
  server = await startServer()
  system = await login(server.url, 'system', server.systemKey)
  one = await createNamespace(server.url, system)
  two = await createNamespace(server.url, system)
  blob = (await publish(one, 'data', data)).blob_uuid
})
afterAll(() => server.remove())

/** Waits for the digests that are computed after the conversion. */
const digested = async (uuid: string): Promise<void> => {
  for (let tries = 0; tries < 100; tries += 1) {
    if ((await one.get(`/blobs/${uuid}/checksum/xxh128`)).json !== null) return
    await sleep(50)
  }
  throw new Error('the other digests were not computed within 5 seconds')
}

test('the view', async () => {
  await digested(blob)
  const { json } = await one.get(`/blobs/${blob}`)
  expect(json).toMatchObject({
    uuid: blob,
    state: 'created',
    metadata: {},
    version: 6,
    size: data.length,
    modified: expect.any(Number),
    fetched_at: expect.any(Number),
    depends_on: null,
    transcodes: {},
    locations: [expect.stringMatching(/^node-[1-3]$/)],
    reference_count: 1,
    sha512: digest('sha512'),
    instances: [],
    'file format': 'raw',
    'virtual size': data.length,
    'mime-type': 'application/octet-stream',
    checksums: {
      sha512: digest('sha512'),
      sha256: digest('sha256'),
      sha1: digest('sha1'),
      xxh128: expect.stringMatching(/^[0-9a-f]{32}$/),
    },
  })
  expect(json).toHaveProperty('disk size')
  expect(json).toHaveProperty('last_used')
})

test('list: system only', async () => {
  expect((await one.get('/blobs')).json).toMatchObject({ status: 401, error: 'unauthorized' })
  const all = (await system.get('/blobs', { node: null })).json
  expect(all.map((view: { uuid: string }) => view.uuid)).toContain(blob)
})

describe('data', () => {
  const read = (query = '', headers: Record<string, string> = {}, method = 'GET') =>
    one.send(method, `/blobs/${blob}/data${query}`, { headers })
  const check = (answer: Answer, status: number, bytes: Buffer) => {
    expect([answer.status, answer.headers['content-length']]).toEqual([status, `${bytes.length}`])
    expect(answer.bytes.equals(bytes)).toBe(true)
  }

  test('whole, with its headers', async () => {
    const answer = await read()
    check(answer, 200, data)
    expect(answer.headers).toMatchObject({
      'content-type': expect.stringMatching(/^text\/plain/),
      'accept-ranges': 'bytes',
      etag,
      'repr-digest': `sha-512=:${createHash('sha512').update(data).digest('base64')}:`,
      'content-disposition': expect.stringMatching(/^attachment/),
    })
    const head = await read('', {}, 'HEAD')
    expect([head.status, head.bytes.length, head.headers['content-length'], head.headers.etag]).toEqual([
      200,
      0,
      `${data.length}`,
      etag,
    ])
  })

  test.each([
    ['?offset=0', 0, data.length],
    ['?offset=1', 1, data.length],
    ['?offset=1048576', 1048576, data.length],
    ['?offset=1048575&limit=2', 1048575, 1048577],
    ['?limit=10', 0, 10],
    ['?offset=5&limit=0', 5, data.length],
    [`?offset=${data.length - 1}`, data.length - 1, data.length],
    [`?offset=${data.length - 1}&limit=100`, data.length - 1, data.length],
    [`?offset=${data.length}`, 0, 0],
    [`?offset=${data.length + 5}`, 0, 0],
    ['?offset=9007199254740991', 0, 0],
  ])('%s is always 200', async (query, from, to) => {
    const answer = await read(query)
    check(answer, 200, data.subarray(from, to))
    expect(answer.headers['content-range']).toBeUndefined()
  })

  test.each([
    'offset=-1',
    'offset=abc',
    'offset=1.5',
    'limit=-1',
    'limit=x',
    'offset=99999999999999999999',
    'offset=1&offset=2',
  ])('?%s is a 400', async (query) => {
    expect((await read(`?${query}`)).status).toBe(400)
  })

  test.each([
    ['bytes=0-0', 0, 1],
    ['bytes=100-199', 100, 200],
    ['bytes=1048570-1048580', 1048570, 1048581],
    ['bytes=-5', data.length - 5, data.length],
    [`bytes=${data.length - 3}-`, data.length - 3, data.length],
    [`bytes=5-${data.length * 2}`, 5, data.length],
    [`bytes=-${data.length * 2}`, 0, data.length],
  ])('Range: %s is a 206', async (range, from, to) => {
    const answer = await read('', { Range: range })
    check(answer, 206, data.subarray(from, to))
    expect(answer.headers['content-range']).toBe(`bytes ${from}-${to - 1}/${data.length}`)
  })

  test.each([`bytes=${data.length}-`, 'bytes=99999999999-', 'bytes=-0'])(
    'Range: %s is a 416',
    async (range) => {
      const answer = await read('', { Range: range })
      expect([answer.status, answer.headers['content-range']]).toEqual([416, `bytes */${data.length}`])
    },
  )

  test.each(['bytes=5-1', 'bytes=a-b', 'items=0-1', 'bytes=', 'nonsense'])(
    'Range: %s is ignored',
    async (range) => {
      check(await read('', { Range: range }), 200, data)
    },
  )

  test('If-Range and If-None-Match', async () => {
    expect((await read('', { Range: 'bytes=0-9', 'If-Range': etag })).status).toBe(206)
    check(await read('', { Range: 'bytes=0-9', 'If-Range': '"other"' }), 200, data)
    check(await read('', { Range: 'bytes=0-9', 'If-Range': `W/${etag}` }), 200, data)
    const unchanged = await read('', { 'If-None-Match': etag })
    expect([unchanged.status, unchanged.bytes.length, unchanged.headers.etag]).toEqual([304, 0, etag])
    expect((await read('', { 'If-None-Match': `"x", W/${etag}` })).status).toBe(304)
    check(await read('', { 'If-None-Match': '"x"' }), 200, data)
  })

  test('many readers at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) => read(`?offset=${index * 1000}`)),
    )
    for (const [index, answer] of answers.entries()) check(answer, 200, data.subarray(index * 1000))
  })
})

test('metadata and events', async () => {
  const path = `/blobs/${blob}/metadata`
  expect((await one.put(`${path}/note`, { value: 'mine' })).json).toBe(null)
  expect((await one.post(path, { key: 'n', value: 1 })).json).toBe(null)
  expect((await one.get(path)).json).toEqual({ note: 'mine', n: 1 })
  expect((await one.delete(`${path}/n`)).json).toBe(null)
  expect((await one.get(`/blobs/${blob}`)).json.metadata).toEqual({ note: 'mine' })
  expect((await two.get(path)).status).toBe(404)
  const events = (await one.get(`/blobs/${blob}/events`)).json
  expect(events.length).toBeGreaterThan(0)
  expect((await one.get(`/blobs/${blob}/events`, { limit: '1' })).json).toEqual(events.slice(0, 1))
})

describe('look-ups by checksum', () => {
  test('each algorithm searches its own digests, in any case', async () => {
    await digested(blob)
    const { checksums } = (await one.get(`/blobs/${blob}`)).json
    for (const algorithm of ['sha512', 'sha256', 'sha1', 'xxh128']) {
      const hash = checksums[algorithm]
      expect((await one.get(`/blob_checksums/${algorithm}/${hash}`)).json.uuid).toBe(blob)
      expect((await one.get(`/blob_checksums/${algorithm}/${hash.toUpperCase()}`)).json.uuid).toBe(blob)
      expect((await one.get(`/blobs/${blob}/checksum/${algorithm}`)).json).toBe(hash)
    }
    expect((await one.get(`/blob_checksums/sha1/${checksums.sha256}`)).json).toBe(null)
    expect((await one.get(`/blob_checksums/sha512/${'0'.repeat(128)}`)).json).toBe(null)
    expect((await one.get('/blob_checksums/sha512/nonsense')).json).toBe(null)
    expect((await one.get('/blob_checksums/md5/abc')).json).toMatchObject({
      status: 400,
      error: 'unknown hash algorithm',
    })
    expect((await one.get(`/blobs/${blob}/checksum/md5`)).json).toMatchObject({
      status: 400,
      error: 'unknown hash algorithm',
    })
  })

  test('a hash alone shows nothing to others', async () => {
    await digested(blob)
    for (const algorithm of ['sha512', 'sha256', 'sha1']) {
      const answer = await two.get(`/blob_checksums/${algorithm}/${digest(algorithm)}`)
      expect([algorithm, answer.status, answer.json]).toEqual([algorithm, 200, null])
    }
    for (const path of ['', '/data', '/checksum/sha512', '/events', '/metadata']) {
      expect([path, (await two.get(`/blobs/${blob}${path}`)).json.error]).toEqual([path, 'blob not found'])
    }
  })

  test('what one stored is found by oneself, with counts of one alone', async () => {
    const mine = await publish(two, 'the same data', data)
    expect(mine.blob_uuid).toBe(blob)
    const found = (await two.get(`/blob_checksums/sha512/${digest('sha512')}`)).json
    expect([found.uuid, found.reference_count, found.metadata]).toEqual([blob, 1, {}])
    expect(
      (await two.get(`/blobs/${blob}/events`)).json.some((event: { extra: object }) =>
        JSON.stringify(event).includes(one.namespace),
      ),
    ).toBe(false)
    expect((await system.get(`/blobs/${blob}`)).json.reference_count).toBe(2)
  })
})

test('a hit leases the blob: it can be used after its last version is gone, and goes when nobody wants it', async () => {
  const quick = await startServer({
    settings: { HOLDFAST_LEASE_LIFETIME: '3', HOLDFAST_COLLECT_GRACE: '0.5', HOLDFAST_JOB_INTERVAL: '0.2' },
  })
  try {
    const owner = await login(quick.url, 'system', quick.systemKey)
    const leased = await publish(owner, 'leased', 'leased bytes')
    const loose = await publish(owner, 'loose', 'loose bytes')
    const { uuid, expires_at: until } = (
      await owner.get(`/blob_checksums/sha512/${digest('sha512', 'leased bytes')}`)
    ).json
    expect(until).toBeGreaterThan(Date.now() / 1000)
    await owner.delete('/artifacts/leased')
    await owner.delete('/artifacts/loose')
    const gone = async (blobUuid: string) => {
      for (let tries = 0; tries < 100; tries += 1) {
        if ((await owner.get(`/blobs/${blobUuid}`)).status === 404) return true
        await sleep(50)
      }
      return false
    }
    expect(await gone(loose.blob_uuid)).toBe(true)
    const kept = await owner.post('/artifacts/upload/kept', { blob_uuid: uuid })
    expect([kept.status, kept.json.blob_uuid]).toEqual([200, leased.blob_uuid])
    expect((await owner.get(`/blobs/${uuid}/data`)).bytes.toString()).toBe('leased bytes')
    await owner.delete('/artifacts/kept')
    expect(await gone(uuid)).toBe(true)
    expect((await owner.post('/artifacts/upload/late', { blob_uuid: uuid })).json.error).toBe(
      'blob not found',
    )
    const anew = await publish(owner, 'anew', 'leased bytes')
    expect((await owner.get(`/blobs/${anew.blob_uuid}/data`)).bytes.toString()).toBe('leased bytes')
    expect(await upload(owner, 'x')).toBeTruthy()
  } finally {
    await quick.remove()
  }
})
