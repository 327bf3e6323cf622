/** Requests at any node, for uploads that are on another one. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNamespace, login, type Session, send } from '../support/api.ts'
import { type RunningNodes, startNodes } from '../support/nodes.ts'
import { sendRaw } from '../support/raw.ts'

const patient = { timeout: 15_000 }
let store: RunningNodes
let system: readonly Session[]
/** The same namespace at each node. */
let one: readonly Session[]
let two: Session

/** A session with the same token, at another node. */
const at = (place: number, { token, namespace }: Session): Session => {
  const by = (method: string) => (target: string, json?: unknown) =>
    send(store.nodes[place]!.url, method, target, { token, json })
  return {
    namespace,
    token,
    get: by('GET'),
    post: by('POST'),
    put: by('PUT'),
    delete: by('DELETE'),
    send: (method, target, ask) => send(store.nodes[place]!.url, method, target, { token, ...ask }),
  }
}

beforeAll(async () => {
  store = await startNodes(3)
  const { url, systemKey } = store.nodes[0]!
  const first = await login(url, 'system', systemKey)
  system = [0, 1, 2].map((place) => at(place, first))
  const made = await createNamespace(url, first)
  one = [0, 1, 2].map((place) => at(place, made))
  two = at(1, await createNamespace(store.nodes[2]!.url, at(2, first)))
})
afterAll(() => store[Symbol.asyncDispose]())

const create = async (): Promise<string> => (await one[0]!.post('/upload')).json.uuid
const append = (place: number, uuid: string, body: Buffer | string, offset?: number) =>
  one[place]!.send('POST', `/upload/${uuid}`, {
    body,
    ...(offset !== undefined && { headers: { 'Upload-Offset': `${offset}` } }),
  })

test('all nodes are known at each of them, and one key and one token are good at all', async () => {
  const keys = new Set(store.nodes.map(({ systemKey }) => systemKey))
  expect(keys.size).toBe(1)
  for (const [place, session] of system.entries()) {
    const nodes = async () => (await session.get('/nodes')).json
    await expect.poll(nodes, patient).toMatchObject(
      [0, 1, 2].map((other) => ({
        name: `node-${other + 1}`,
        state: 'up',
        url: store.nodes[other]!.url,
        answers: other === place,
      })),
    )
  }
  expect((await one[1]!.get('/nodes')).json.code).toBe('system_only')
})

describe('an upload on the first node', () => {
  test('grows, is looked at, cut, and converted at the others', async () => {
    const bytes = randomBytes(3_000_000)
    const uuid = await create()
    const first = await append(1, uuid, bytes.subarray(0, 1000))
    expect([first.json, first.headers['upload-offset']]).toEqual([1000, '1000'])
    expect((await append(2, uuid, bytes.subarray(1000), 1000)).json).toBe(bytes.length)
    expect((await one[1]!.get(`/upload/${uuid}`)).json).toMatchObject({ node: 'node-1', size: bytes.length })
    const head = await one[2]!.send('HEAD', `/upload/${uuid}`)
    expect([head.status, head.headers['upload-offset']]).toEqual([200, `${bytes.length}`])
    expect((await one[1]!.post(`/upload/${uuid}/truncate/2000000`)).json).toBe(null)
    const input = { upload_uuid: uuid, size: 2_000_000 }
    const made = await one[2]!.post('/artifacts/upload/any', input)
    expect(made.status).toBe(200)
    // The reply was lost: the repetition is answered by whoever gets it.
    for (const session of one)
      expect((await session.post('/artifacts/upload/any', input)).json).toEqual(made.json)
    const { bytes: read } = await one[1]!.get(`/blobs/${made.json.blob_uuid}/data`)
    expect(read.equals(bytes.subarray(0, 2_000_000))).toBe(true)
    expect((await append(1, uuid, 'x')).json.code).toBe('upload_not_found')
  })

  test('is refused as at its own node, with the offset, and keeps what it had', async () => {
    const uuid = await create()
    await append(0, uuid, 'hello')
    for (const place of [0, 1]) {
      const refused = await append(place, uuid, 'x', 3)
      expect([refused.json.code, refused.json.detail, refused.headers['upload-offset']]).toEqual([
        'offset_mismatch',
        { offset: 5 },
        '5',
      ])
    }
    expect((await one[1]!.post(`/upload/${uuid}/truncate/9`)).json.code).toBe('truncate_out_of_range')
    const wrong = await one[1]!.post('/artifacts/upload/any', { upload_uuid: uuid, size: 4 })
    expect(wrong.json).toMatchObject({ code: 'size_mismatch', detail: { size: 5 } })
    expect((await one[2]!.get(`/upload/${uuid}`)).json.size).toBe(5)
  })

  test('is refused before its body is asked for, when the client waits for that', async () => {
    const uuid = await create()
    const answer = await sendRaw(
      store.nodes[1]!.url,
      [
        `POST /upload/${uuid} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${one[0]!.token}\r\nUpload-Offset: 7\r\n` +
          'Expect: 100-continue\r\nContent-Length: 50000000\r\n\r\n',
      ],
      { until: /"request_id"/ },
    )
    expect(answer!.status).toBe(409)
  })

  test('keeps of a cut conditional append what came, and of a plain one nothing', async () => {
    for (const [offset, kept] of [
      ['', 0],
      ['Upload-Offset: 0\r\n', 300_000],
    ] as const) {
      const uuid = await create()
      const head = `POST /upload/${uuid} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${one[0]!.token}\r\n${offset}`
      await sendRaw(store.nodes[1]!.url, [`${head}Content-Length: 500000\r\n\r\n`, randomBytes(300_000)], {
        cut: true,
        pauseMs: 200,
      })
      const size = async () => (await one[2]!.get(`/upload/${uuid}`)).json.size
      // What it takes over ends it.
      await expect.poll(size, patient).toBe(kept)
      expect((await append(2, uuid, 'more', kept)).json).toBe(kept + 4)
    }
  })

  test('streams: the owner has bytes while the client still sends', async () => {
    const uuid = await create()
    const head = `POST /upload/${uuid} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${one[0]!.token}\r\nUpload-Offset: 0\r\n`
    const piece = randomBytes(1024 * 1024)
    const rest = `${head}Transfer-Encoding: chunked\r\n\r\n${piece.length.toString(16)}\r\n`
    const sending = sendRaw(store.nodes[1]!.url, [rest, piece, '\r\n', '0\r\n\r\n'], {
      pauseMs: 400,
      until: /\r\n\r\n\d+$/,
    })
    await sleep(900)
    expect((await one[0]!.get(`/upload/${uuid}`)).status).toBe(200)
    expect((await sending)!.body).toContain(String(piece.length))
  })

  test('does not exist for others, and is in the lists of all nodes', async () => {
    const uuid = await create()
    await append(2, uuid, 'seven b')
    for (const [method, target] of [
      ['GET', `/upload/${uuid}`],
      ['POST', `/upload/${uuid}`],
      ['DELETE', `/upload/${uuid}`],
    ] as const)
      expect((await two.send(method, target)).json.code).toBe('upload_not_found')
    for (const session of one) {
      const { json } = await session.get('/upload')
      expect(json.find((upload: { uuid: string }) => upload.uuid === uuid)).toMatchObject({ size: 7 })
    }
    expect((await one[1]!.delete(`/upload/${uuid}`)).json).toBe(null)
    expect((await one[0]!.get(`/upload/${uuid}`)).json.code).toBe('upload_not_found')
  })
})

test('the request keeps its name, and a request that pretends to be passed on is refused', async () => {
  const uuid = await create()
  const headers = { 'X-Request-ID': 'the-name-of-it' }
  const { headers: got } = await one[1]!.send('POST', `/upload/${uuid}`, { body: 'x', headers })
  expect(got['x-request-id']).toBe('the-name-of-it')
  const line = () =>
    store.nodes[0]!.output()
      .split('\n')
      .find((text) => text.includes('the-name-of-it'))
  await expect.poll(line, patient).toContain('"passedBy":"node-2"')
  for (const node of store.nodes) expect(node.output()).not.toContain(one[0]!.token)
  const forged = await one[1]!.send('GET', `/upload/${uuid}`, { headers: { 'Holdfast-Passed': 'e30.e30.x' } })
  expect(forged.json.code).toBe('token_invalid')
})

test('a key that is replaced at one node is void at all', async () => {
  const session = await createNamespace(store.nodes[0]!.url, system[0]!)
  expect((await at(1, session).get('/artifacts')).status).toBe(200)
  await system[2]!.put(`/auth/namespaces/${session.namespace}/keys/first`, { key: 'another' })
  for (const place of [0, 1, 2])
    expect((await at(place, session).get('/artifacts')).json.code).toBe('token_revoked')
})
