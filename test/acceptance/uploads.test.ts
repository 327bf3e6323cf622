import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNamespace, login, publish, type Session, upload } from '../support/api.ts'
import { sendRaw } from '../support/raw.ts'
import { directUrlOf, type RunningServer, startServer } from '../support/server.ts'

let server: RunningServer
let system: Session
let one: Session
let two: Session
const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

beforeAll(async () => {
  server = await startServer()
  system = await login(server.url, 'system', server.systemKey)
  one = await createNamespace(server.url, system)
  two = await createNamespace(server.url, system)
})
afterAll(() => server.remove())

const create = async (session = one): Promise<string> => (await session.post('/upload')).json.uuid
const append = (uuid: string, body: Buffer | string, offset?: number) =>
  one.send('POST', `/upload/${uuid}`, {
    body,
    ...(offset === undefined ? {} : { headers: { 'Upload-Offset': `${offset}` } }),
  })
const sizeOf = async (uuid: string): Promise<number> => (await one.get(`/upload/${uuid}`)).json.size
/** What the server holds, seen by converting and reading back. */
const contentOf = async (uuid: string): Promise<Buffer> => {
  const { json } = await one.post(`/artifacts/upload/${uuid}`, { upload_uuid: uuid })
  return (await one.get(`/blobs/${json.blob_uuid}/data`)).bytes
}
const until = async (what: () => Promise<boolean>): Promise<void> => {
  for (let tries = 0; tries < 100; tries += 1) {
    if (await what()) return
    await sleep(50)
  }
  throw new Error('it did not come true in 5 seconds')
}
const head = (uuid: string, length: number | 'chunked', extra = '') =>
  `POST /upload/${uuid} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${one.token}\r\nConnection: close\r\n${extra}` +
  `${length === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`}\r\n\r\n`

test('the view of a new upload', async () => {
  const before = Date.now() / 1000
  const { status, json } = await one.post('/upload')
  expect(status).toBe(200)
  expect(json).toMatchObject({
    uuid: expect.stringMatching(uuidPattern),
    state: 'created',
    metadata: {},
    version: 3,
    node: expect.stringMatching(/^node-\d$/),
    namespace: one.namespace,
    size: 0,
    declared_size: null,
  })
  expect(json.created_at).toBeGreaterThan(before - 5)
  expect(json.expires_at - json.last_data_at).toBeCloseTo(24 * 3600, 0)
})

test('appends answer the new total as a bare integer, whatever the Content-Type, never parsed', async () => {
  const uuid = await create()
  const parts = [
    ['{"a": 1}', 'application/json'],
    ['12345', 'application/json; charset=utf-8'],
    ['a=b&c=d', 'application/x-www-form-urlencoded'],
    ['', 'application/octet-stream'],
    ['plain', 'text/plain'],
    ['odd', 'x/y z; ?'],
  ] as const
  let total = 0
  for (const [body, type] of parts) {
    const answer = await one.send('POST', `/upload/${uuid}`, { body, headers: { 'Content-Type': type } })
    total += body.length
    expect([answer.status, answer.bytes.toString()]).toEqual([200, `${total}`])
    expect(answer.headers['upload-offset']).toBe(`${total}`)
  }
  const chunked = await one.send('POST', `/upload/${uuid}`, {
    body: Readable.from([Buffer.from('chunk'), Buffer.from('ed')]),
  })
  expect(chunked.json).toBe(total + 7)
  expect((await contentOf(uuid)).toString()).toBe('{"a": 1}12345a=b&c=dplainoddchunked')
})

test('status: GET, HEAD, list and delete', async () => {
  const uuid = await upload(one, 'hello')
  expect((await one.get(`/upload/${uuid}`)).json).toMatchObject({ uuid, size: 5 })
  const answer = await one.send('HEAD', `/upload/${uuid}`)
  expect([answer.status, answer.headers['upload-offset'], answer.bytes.length]).toEqual([200, '5', 0])
  expect((await one.get('/upload')).json.map((entry: { uuid: string }) => entry.uuid)).toContain(uuid)
  expect((await two.get('/upload')).json).toEqual([])
  expect((await one.delete(`/upload/${uuid}`)).json).toBe(null)
  expect((await one.get(`/upload/${uuid}`)).json.error).toBe('upload not found')
  expect((await one.delete(`/upload/${uuid}`)).status).toBe(404)
  expect((await append(uuid, 'x')).status).toBe(404)
})

test("someone else's upload does not exist", async () => {
  const uuid = await upload(one, 'mine')
  for (const [method, path] of [
    ['GET', ''],
    ['HEAD', ''],
    ['POST', ''],
    ['POST', '/truncate/0'],
    ['DELETE', ''],
  ] as const) {
    expect([method, path, (await two.send(method, `/upload/${uuid}${path}`)).status]).toEqual([
      method,
      path,
      404,
    ])
  }
  expect((await two.post('/artifacts/upload/stolen', { upload_uuid: uuid })).json.error).toBe(
    'upload not found',
  )
  expect(await sizeOf(uuid)).toBe(4)
  expect((await system.get(`/upload/${uuid}`)).status).toBe(200)
})

describe('truncating', () => {
  test('cuts, and the bytes and the digest that follow are right', async () => {
    const first = randomBytes(3 * 1024 * 1024 + 17)
    const uuid = await upload(one, first.subarray(0, 1_000_000), first.subarray(1_000_000))
    for (const size of [2_500_000, 1_000_000, 999_999]) {
      const answer = await one.post(`/upload/${uuid}/truncate/${size}`)
      expect([answer.status, answer.json, await sizeOf(uuid)]).toEqual([200, null, size])
    }
    const rest = randomBytes(70_000)
    await append(uuid, rest)
    const wanted = Buffer.concat([first.subarray(0, 999_999), rest])
    const sha512 = createHash('sha512').update(wanted).digest('hex')
    const view = (await one.post('/artifacts/upload/cut', { upload_uuid: uuid, sha512, size: wanted.length }))
      .json
    expect((await one.get(`/blobs/${view.blob_uuid}`)).json.sha512).toBe(sha512)
    expect((await one.get(`/blobs/${view.blob_uuid}/data`)).bytes.equals(wanted)).toBe(true)
  })

  test('to 0 before any data, and to the size it has', async () => {
    const uuid = await create()
    expect((await one.post(`/upload/${uuid}/truncate/0`)).status).toBe(200)
    await append(uuid, 'abc')
    expect((await one.post(`/upload/${uuid}/truncate/3`)).status).toBe(200)
    expect(await sizeOf(uuid)).toBe(3)
  })

  test.each(['4', '-1', 'abc', '1.5', '99999999999999999999', '%20', '0x1', '1e0', '+1', '%201'])(
    'to %s is refused and changes nothing',
    async (size) => {
      const uuid = await upload(one, 'abc')
      expect((await one.post(`/upload/${uuid}/truncate/${size}`)).status).toBe(400)
      expect(await sizeOf(uuid)).toBe(3)
    },
  )
})

describe('a plain append is atomic', () => {
  test('cut short: nothing of it stays, and the same request again succeeds', async () => {
    const uuid = await upload(one, 'start')
    await sendRaw(server.url, [head(uuid, 3_000_000), Buffer.alloc(2_000_000, 'x')], {
      cut: true,
      pauseMs: 100,
    })
    const data = randomBytes(3_000_000)
    expect((await append(uuid, data)).json).toBe(3_000_005)
    expect((await contentOf(uuid)).equals(Buffer.concat([Buffer.from('start'), data]))).toBe(true)
  })

  test('a chunked body that ends without its last chunk is not applied', async () => {
    const uuid = await upload(one, 'start')
    await sendRaw(server.url, [head(uuid, 'chunked'), '5\r\nhello\r\n'], { cut: true, pauseMs: 100 })
    expect((await append(uuid, '!')).json).toBe(6)
    expect((await contentOf(uuid)).toString()).toBe('start!')
  })

  test('many at once: each is applied whole, one after the other', async () => {
    const uuid = await create()
    const bodies = Array.from({ length: 8 }, (_, index) => Buffer.alloc(100_000 + index, `${index}`))
    const totals = (await Promise.all(bodies.map((body) => append(uuid, body)))).map(
      (answer) => answer.json as number,
    )
    expect(new Set(totals).size).toBe(8)
    const content = (await contentOf(uuid)).toString()
    expect(content.replace(/(.)\1*/g, '$1')).toHaveLength(8)
    expect(content).toHaveLength(Math.max(...totals))
  })

  test('a body longer than its Content-Length adds no byte more than announced', async () => {
    const uuid = await create()
    await sendRaw(server.url, [head(uuid, 3), 'abcdef'])
    await until(async () => (await sizeOf(uuid)) === 3)
    expect((await contentOf(uuid)).toString()).toBe('abc')
  })
})

describe('a conditional append', () => {
  test('is refused with the true offset when the size differs', async () => {
    const uuid = await upload(one, 'hello')
    for (const offset of [0, 4, 6]) {
      const answer = await append(uuid, 'xyz', offset)
      expect([answer.status, answer.json.code, answer.headers['upload-offset']]).toEqual([
        409,
        'offset_mismatch',
        '5',
      ])
      expect(answer.json.detail.offset).toBe(5)
    }
    expect((await append(uuid, ' world', 5)).json).toBe(11)
    expect((await contentOf(uuid)).toString()).toBe('hello world')
  })

  test.each(['-1', 'abc', '1.5', '', '99999999999999999999'])(
    'with the offset %j is a 400',
    async (offset) => {
      const uuid = await upload(one, 'hello')
      const answer = await one.send('POST', `/upload/${uuid}`, {
        body: 'x',
        headers: { 'Upload-Offset': offset },
      })
      expect(answer.status).toBe(400)
      expect(await sizeOf(uuid)).toBe(5)
    },
  )

  test('keeps what arrived before a cut', async () => {
    const uuid = await upload(one, 'start')
    const data = randomBytes(5_000_000)
    await sendRaw(
      server.url,
      [head(uuid, data.length, 'Upload-Offset: 5\r\n'), data.subarray(0, 3_000_000)],
      { cut: true, pauseMs: 200 },
    )
    await until(
      async () => (await one.send('HEAD', `/upload/${uuid}`)).headers['upload-offset'] === '3000005',
    )
    expect((await append(uuid, data.subarray(3_000_000), 3_000_005)).json).toBe(5_000_005)
    expect((await contentOf(uuid)).subarray(5).equals(data)).toBe(true)
  })

  test('takes over from one that hangs', async () => {
    const uuid = await create()
    const hanging = sendRaw(server.url, [head(uuid, 1000, 'Upload-Offset: 0\r\n'), 'a'.repeat(400)], {
      timeoutMs: 8000,
    })
    await sleep(300)
    let offset = Number((await one.send('HEAD', `/upload/${uuid}`)).headers['upload-offset'])
    let answer = await append(uuid, 'b'.repeat(100), offset)
    if (answer.status === 409) {
      offset = Number(answer.headers['upload-offset'])
      answer = await append(uuid, 'b'.repeat(100), offset)
    }
    expect(offset).toBe(400)
    expect(answer.json).toBe(500)
    await hanging
    expect((await contentOf(uuid)).toString()).toBe('a'.repeat(400) + 'b'.repeat(100))
  })
})

test('a declared size is told, and is a limit', async () => {
  const { json } = await one.post('/upload', { size: 10 })
  expect(json.declared_size).toBe(10)
  expect((await append(json.uuid, 'x'.repeat(11))).json.code).toBe('size_exceeds_declared')
  expect(await sizeOf(json.uuid)).toBe(0)
  expect((await append(json.uuid, 'x'.repeat(10))).json).toBe(10)
  expect((await append(json.uuid, 'x')).status).toBe(413)
})

test('Expect: 100-continue is answered before the body is sent', async () => {
  const uuid = await create()
  const answer = await sendRaw(directUrlOf(server), [head(uuid, 3, 'Expect: 100-continue\r\n'), 'abc'], {
    pauseMs: 100,
  })
  expect(answer!.head).toMatch(/^HTTP\/1.1 100 Continue/)
  expect(await sizeOf(uuid)).toBe(3)
  const refused = await sendRaw(
    directUrlOf(server),
    [head('00000000-0000-4000-8000-000000000000', 3, 'Expect: 100-continue\r\n')],
    { until: /"request_id"/ },
  )
  expect(refused!.head).toMatch(/^HTTP\/1.1 404/)
})

describe('limits', () => {
  let small: RunningServer
  let session: Session
  beforeAll(async () => {
    small = await startServer({
      settings: { HOLDFAST_MAX_FILE_SIZE: '1 MiB', HOLDFAST_MAX_APPEND_SIZE: '600 KiB' },
    })
    session = await login(small.url, 'system', small.systemKey)
  })
  afterAll(() => small.remove())

  test('a body over the limit is refused before it is read', async () => {
    const { uuid } = (await session.post('/upload')).json
    const answer = await sendRaw(small.url, [
      `POST /upload/${uuid} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${session.token}\r\nConnection: close\r\nContent-Length: 700000\r\n\r\n`,
    ])
    expect(answer!.status).toBe(413)
    expect(JSON.parse(answer!.body)).toMatchObject({ status: 413 })
  })

  test('a file over the limit is refused, and what was there stays', async () => {
    const { uuid } = (await session.post('/upload')).json
    const half = Buffer.alloc(600 * 1024)
    expect((await session.send('POST', `/upload/${uuid}`, { body: half })).json).toBe(half.length)
    const answer = await session.send('POST', `/upload/${uuid}`, { body: half })
    expect([answer.status, answer.json.code]).toEqual([413, 'file_too_large'])
    const unknownLength = await session.send('POST', `/upload/${uuid}`, { body: Readable.from([half]) })
    expect(unknownLength.status).toBe(413)
    expect((await session.get(`/upload/${uuid}`)).json.size).toBe(half.length)
    expect((await session.post('/upload', { size: 2 ** 21 })).json.code).toBe('file_too_large')
  })

  test('a disk without room for the reserve takes nothing: 507', async () => {
    const full = await startServer({ settings: { HOLDFAST_FREE_SPACE_RESERVE: '8191 TiB' } })
    try {
      const owner = await login(full.url, 'system', full.systemKey)
      for (const body of [{}, { size: 10 }]) {
        const { json, status } = await owner.post('/upload', body)
        expect([status, json.code]).toEqual([507, 'storage_full'])
      }
      expect((await owner.get('/upload')).json).toEqual([])
    } finally {
      await full.remove()
    }
  })
})

test('idle uploads expire, counted from the last data; busy ones stay', async () => {
  const quick = await startServer({ settings: { HOLDFAST_UPLOAD_EXPIRY: '2', HOLDFAST_JOB_INTERVAL: '0.2' } })
  try {
    const owner = await login(quick.url, 'system', quick.systemKey)
    const idle = await upload(owner, 'idle')
    const busy = await upload(owner, 'busy')
    const kept = await publish(owner, 'kept', 'kept')
    const gone = async () => (await owner.get(`/upload/${idle}`)).status === 404
    for (let tries = 0; tries < 60 && !(await gone()); tries += 1) {
      await owner.send('POST', `/upload/${busy}`, { body: '.' })
      await sleep(100)
    }
    expect(await gone()).toBe(true)
    expect((await owner.get(`/upload/${busy}`)).status).toBe(200)
    expect((await owner.get(`/artifacts/${kept.uuid}`)).json.state).toBe('created')
  } finally {
    await quick.remove()
  }
})
