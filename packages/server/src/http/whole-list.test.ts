import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { exchange, type Fixture, startHttp } from './http-fixture.ts'
import { WholeList } from './list-reply.ts'

let http: Fixture
let read = 0
let parts = 0

async function* rows(): AsyncGenerator<readonly string[], void> {
  for (read = 0; read < parts; read += 1) {
    if (parts === 13 && read === 5) throw new Error('the disk is gone')
    yield [`${read}`, 'x'.repeat(100_000)]
  }
}

beforeAll(async () => {
  http = await startHttp({ handlers: { listBlobs: async () => new WholeList(rows()) as never } })
})
afterAll(() => http.close())

const get = async (count: number) => {
  parts = count
  return fetch(`${http.url}/blobs`, { headers: { authorization: 'Bearer good' } })
}

test.each([0, 1, 2, 3, 50])('a list of %d parts is one array', async (count) => {
  const reply = await get(count)
  expect(reply.headers.get('content-type')).toMatch('application/json')
  expect(reply.headers.has('content-length')).toBe(count < 2)
  const list = (await reply.json()) as string[]
  expect(list.filter((_, at) => at % 2 === 0)).toEqual(Array.from({ length: count }, (_, n) => `${n}`))
})

test('HEAD has the same headers and no body', async () => {
  parts = 3
  const text = await exchange(
    http.port,
    'HEAD /blobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nConnection: close\r\n\r\n',
  )
  expect(text).toMatch(/^HTTP\/1.1 200 OK\r\n/)
  expect(text).toMatch(/\r\n\r\n$/)
})

test('what fails half-way is never a whole reply', async () => {
  const reply = await get(13)
  expect(reply.status).toBe(200)
  await expect(reply.text()).rejects.toThrow()
  expect(http.lines.map((line) => line.msg)).toContain('a list broke off')
})

test('only what the client takes is read, and nothing more once it has gone', async () => {
  parts = 2000
  const socket = connect(http.port, '127.0.0.1')
  socket.write('GET /blobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n\r\n')
  await once(socket, 'readable')
  let before = -1
  for (let rounds = 0; before !== read && rounds < 100; rounds += 1) {
    before = read
    await sleep(50)
  }
  // 200 MB in all; sockets hold a few.
  expect(read).toBeLessThan(500)
  socket.destroy()
  await sleep(50)
  const atEnd = read
  await sleep(50)
  expect(read).toBe(atEnd)
})
