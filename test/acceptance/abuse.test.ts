import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createNamespace, login, publish, type Session, send, upload } from '../support/api.ts'
import { sendRaw } from '../support/raw.ts'
import { type RunningServer, startServer } from '../support/server.ts'

/**
 * Clients that mean harm: slow ones, many, and such whose requests two parsers would read differently. What is plainly
 * malformed is in `bad-input.test.ts`.
 */

const maxConnections = 2020

let server: RunningServer
let system: Session
let one: Session

beforeAll(async () => {
  server = await startServer({
    isDirect: true,
    settings: {
      HOLDFAST_REQUEST_TIMEOUT: '2',
      HOLDFAST_UPLOAD_STALL: '2',
      HOLDFAST_DOWNLOAD_STALL: '0.5',
      HOLDFAST_TRUSTED_PROXIES: '127.0.0.8/31',
      HOLDFAST_MAX_CONNECTIONS: String(maxConnections),
    },
  })
  system = await login(server.url, 'system', server.systemKey)
  one = await createNamespace(server.url, system)
  await publish(one, 'victim', 'victim')
})
afterAll(() => server.remove())

const sockets: Socket[] = []
const destroyAll = () => {
  for (const socket of sockets.splice(0)) socket.destroy()
}
afterAll(destroyAll)

/** A connection that the test leaves to its fate; `localAddress` is where the server sees it come from. */
const open = async (localAddress = '127.0.0.1'): Promise<Socket> => {
  const { hostname, port } = new URL(server.url)
  const socket = connect({ host: hostname, port: Number(port), localAddress })
  sockets.push(socket)
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}
/** What comes on a connection until the server closes it. */
const readAll = async (socket: Socket): Promise<string> => {
  let text = ''
  socket.setEncoding('latin1').on('data', (part) => {
    text += part
  })
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
  return text
}
/** What comes first on a connection; nothing if the server closes it unheard. */
const readSome = (socket: Socket): Promise<string> =>
  new Promise((resolve) => {
    socket.once('data', (part) => resolve(part.toString('latin1')))
    socket.once('close', () => resolve(''))
  })
const metric = async (name: string): Promise<number> => {
  const text = (await send(server.url, 'GET', '/metrics')).bytes.toString()
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)![1])
}
const isWell = async () => {
  expect((await one.get('/artifacts/victim')).json.state).toBe('created')
}
const request = (line: string, ...headers: string[]) =>
  `${[line, 'Host: x', `Authorization: Bearer ${one.token}`, ...headers].join('\r\n')}\r\n\r\n`

describe.concurrent('slow clients', () => {
  /** Writes a byte of `text` now and then until the server has had enough; answers what that says. */
  const drip = (socket: Socket, text: string): Promise<string> => {
    const reply = readAll(socket)
    let at = 0
    const timer = setInterval(() => socket.write(text[at++ % text.length]!), 20)
    return reply.finally(() => clearInterval(timer))
  }

  test('headers that come byte by byte, or not at all, are given up', async ({ expect }) => {
    const replies = await Promise.all([
      ...Array.from({ length: 50 }, async () =>
        drip(await open(), `GET / HTTP/1.1\r\nHost: x\r\n${'X-Slow: x\r\n'.repeat(1000)}`),
      ),
      ...Array.from({ length: 50 }, async () => readAll(await open())),
      isWell(),
    ])
    // A byte that arrives after the reply has left makes the kernel throw the reply away.
    const words = replies.filter((reply) => reply !== undefined && reply !== '')
    expect(words.length).toBeGreaterThan(0)
    for (const reply of words) expect(reply).toMatch(/^HTTP\/1.1 408 [\s\S]*"code":"request_timeout"/)
  })

  test('bodies of logins that come byte by byte keep nobody else from logging in', async ({ expect }) => {
    const head = 'POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n'
    const slow = Array.from({ length: 50 }, async () => {
      const socket = await open()
      socket.write(head)
      return drip(socket, ' ')
    })
    await login(server.url, 'system', server.systemKey)
    for (const reply of await Promise.all(slow)) expect(reply).toMatch(/^(HTTP\/1.1 408 |$)/)
  })

  test('an append that falls silent is given up; the upload is as it was, and free', async ({ expect }) => {
    const uuid = await upload(one, 'start')
    const socket = await open()
    socket.write(`${request(`POST /upload/${uuid} HTTP/1.1`, 'Content-Length: 9')}half`)
    expect(await readAll(socket)).toMatch(/^HTTP\/1.1 408 /)
    expect((await one.send('POST', `/upload/${uuid}`, { body: '!' })).json).toBe(6)
  })

  test('a download that nobody reads is cut', async ({ expect }) => {
    const large = await publish(one, 'large', Buffer.alloc(16 * 1024 * 1024))
    const socket = await open()
    socket.write(request(`GET /blobs/${large.blob_uuid}/data HTTP/1.1`))
    await once(socket, 'readable')
    await expect.poll(() => metric('holdfast_requests_in_flight'), { timeout: 10_000 }).toBe(0)
    await one.delete('/artifacts/large')
  })
})

describe('many', () => {
  afterEach(destroyAll)

  test('thousands of idle connections keep nobody from being served; more than allowed are not taken', async () => {
    const openFiles = Number(execFileSync('sh', ['-c', 'ulimit -n']).toString())
    const count = Math.min(2000, openFiles - 300)
    const greeting = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
    for (let made = 0; made < count; made += 100)
      await Promise.all(
        Array.from({ length: Math.min(100, count - made) }, async () => {
          const socket = await open()
          socket.write(greeting)
          await once(socket, 'data')
        }),
      )
    expect(await metric('holdfast_connections')).toBeGreaterThanOrEqual(count)
    await isWell()
    const uuid = await upload(one, 'served')
    expect((await one.delete(`/upload/${uuid}`)).status).toBe(200)
    if (count < 2000) return
    const more = await Promise.all(
      Array.from({ length: 40 }, async () => {
        const socket = await open().catch(() => undefined)
        socket?.write(greeting)
        return socket && (await readSome(socket)) !== '' ? 'served' : 'closed'
      }),
    )
    expect(new Set(more)).toEqual(new Set(['served', 'closed']))
    destroyAll()
    await expect
      .poll(() => metric('holdfast_dropped_connections_total').catch(() => 0), { timeout: 10_000 })
      .toBeGreaterThan(0)
    await isWell()
  })

  test('a pipeline of hundreds of requests is answered in order, and others are served meanwhile', async () => {
    const socket = await open()
    let received = ''
    socket.setEncoding('latin1').on('data', (part) => (received += part))
    const paths = Array.from({ length: 500 }, (_, index) => `/artifacts/none-${index}`)
    for (const path of paths) socket.write(request(`GET ${path} HTTP/1.1`, `X-Request-ID: ${path}`))
    await isWell()
    socket.write(request('GET /healthz HTTP/1.1', 'Connection: close'))
    await once(socket, 'close')
    const answered = [...received.matchAll(/^x-request-id: (\/\S+)\r$/gim)].map((match) => match[1])
    expect(answered).toEqual(paths)
    expect(received.match(/HTTP\/1\.1 (404|429) /g)).toHaveLength(paths.length)
  })
})

describe('requests that two parsers might read differently', () => {
  const smuggled = () => request('DELETE /artifacts/victim HTTP/1.1', 'Connection: close')
  const post = (...headers: string[]) => request('POST /artifacts/victim/metadata HTTP/1.1', ...headers)
  const length = () => Buffer.byteLength(smuggled())

  test.each<[string, () => string]>([
    ['a length and chunks', () => `${post('Content-Length: 5', 'Transfer-Encoding: chunked')}0\r\n\r\n`],
    [
      'chunks and a length',
      () => `${post('Transfer-Encoding: chunked', `Content-Length: ${length()}`)}0\r\n\r\n`,
    ],
    ['two equal lengths', () => post('Content-Length: 0', 'Content-Length: 0')],
    ['a list of lengths', () => post('Content-Length: 0, 0')],
    ['a length with a sign', () => post('Content-Length: +0')],
    ['a length in hex', () => post('Content-Length: 0x0')],
    ['an empty length', () => post('Content-Length:')],
    ['an enormous length', () => post(`Content-Length: 1${'0'.repeat(30)}`)],
    ['an encoding nobody knows', () => `${post('Transfer-Encoding: xchunked')}0\r\n\r\n`],
    [
      'chunks that are not the last encoding',
      () => `${post('Transfer-Encoding: chunked, identity')}0\r\n\r\n`,
    ],
    ['a compressed transfer', () => `${post('Transfer-Encoding: gzip')}0\r\n\r\n`],
    ['two encodings', () => `${post('Transfer-Encoding: chunked', 'Transfer-Encoding: identity')}0\r\n\r\n`],
    ['a space before the colon', () => `${post('Transfer-Encoding : chunked')}0\r\n\r\n`],
    ['a tab in a name', () => post('Content\tLength: 0')],
    ['a vertical tab before a value', () => `${post('Transfer-Encoding: \u000bchunked')}0\r\n\r\n`],
    ['a folded header', () => post('X-Folded: a', ' Content-Length: 7', 'Content-Length: 0')],
    ['a folded first header', () => request('POST /artifacts HTTP/1.1').replace('Host', ' Host')],
    ['line feeds alone', () => post('Content-Length: 0').replaceAll('\r\n', '\n')],
    ['a line feed alone among the headers', () => post('X-A: b\nContent-Length: 9', 'Content-Length: 0')],
    ['a carriage return alone', () => post('X-A: b\rContent-Length: 9', 'Content-Length: 0')],
    ['a NUL in a header', () => post('X-A: b\u0000c', 'Content-Length: 0')],
    ['a NUL in the target', () => request('POST /artifacts\u0000x HTTP/1.1', 'Content-Length: 0')],
    ['a space in the target', () => request('POST /artifacts x HTTP/1.1', 'Content-Length: 0')],
    ['a chunk size with 0x', () => `${post('Transfer-Encoding: chunked')}0x0\r\n\r\n`],
    ['a negative chunk size', () => `${post('Transfer-Encoding: chunked')}-1\r\n\r\n`],
    ['an enormous chunk size', () => `${post('Transfer-Encoding: chunked')}fffffffffffffffff\r\n\r\n`],
    ['a chunk longer than its size', () => `${post('Transfer-Encoding: chunked')}2\r\n{}}\r\n0\r\n\r\n`],
    [
      'a chunk size that ends in a line feed',
      () => `${post('Transfer-Encoding: chunked')}2\n{}\r\n0\r\n\r\n`,
    ],
    ['a chunk that ends in a line feed', () => `${post('Transfer-Encoding: chunked')}2\r\n{}\n0\r\n\r\n`],
    [
      'endless chunk extensions',
      () => `${post('Transfer-Encoding: chunked')}2;${'x'.repeat(100_000)}\r\n{}\r\n0\r\n\r\n`,
    ],
    ['a preface of HTTP/2', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ])('%s', async (_what, text) => {
    const answer = await sendRaw(server.url, [text() + smuggled()])
    const all = `${answer!.head}\r\n\r\n${answer!.body}`
    const statuses = [...all.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]))
    // One reply, and nothing after it was taken for a request.
    expect([statuses.length, statuses[0]! >= 400 && statuses[0]! < 500]).toEqual([1, true])
    expect(JSON.parse(answer!.body)).toMatchObject({ status: statuses[0], code: expect.any(String) })
    await isWell()
  })

  test.each([
    ['two hosts', () => post('Host: y', 'Connection: close', 'Content-Length: 0')],
    ['no host', () => post('Connection: close', 'Content-Length: 0').replace('Host: x\r\n', '')],
  ])('%s', async (_what, text) => {
    const answer = await sendRaw(server.url, [text()])
    expect(JSON.parse(answer!.body)).toMatchObject({ status: 400, code: 'invalid_request' })
  })

  test('the body of a refused request is never taken for a request', async () => {
    for (const refused of [
      request('POST /artifacts/upload/x HTTP/1.1', `Content-Length: ${length()}`, 'Content-Encoding: gzip'),
      request('POST /nowhere HTTP/1.1', `Content-Length: ${length()}`),
      request('GET /artifacts/none HTTP/1.1', `Content-Length: ${length()}`),
      request('PATCH /artifacts HTTP/1.1', `Content-Length: ${length()}`),
      request('POST /upload/00000000-0000-4000-8000-000000000000 HTTP/1.1', `Content-Length: ${length()}`),
    ]) {
      const closing = request('GET /healthz HTTP/1.1', 'Connection: close')
      const answer = await sendRaw(server.url, [refused + smuggled() + closing])
      const all = `${answer!.head}\r\n\r\n${answer!.body}`
      const statuses = [...all.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]))
      expect(statuses[0]).toBeGreaterThanOrEqual(400)
      expect([[200], []]).toContainEqual(statuses.slice(1))
      await isWell()
    }
  })
})

describe('names and paths', () => {
  test.each([
    ['dots', '%2e%2e', [400, 200]],
    ['a slash', 'a%2fb', [400]],
    ['dots and slashes', '..%2f..%2f..%2fetc%2fpasswd', [400]],
    ['a NUL', 'a%00b', [400]],
    ['a line break', 'a%0d%0ab', [400]],
    ['overlong UTF-8', '%c0%ae%c0%ae%c0%af', [400]],
    ['half a surrogate', '%ed%a0%80', [400]],
    ['too long', 'x'.repeat(256), [400]],
    ['much too long', 'x'.repeat(12_000), [400]],
    ['dots that stay encoded', '%252e%252e', [200]],
    ['dots as they are', '../../etc/passwd', [404]],
  ])('%s', async (_what, name, expected) => {
    const uuid = await upload(one, 'content')
    const answer = await one.send('POST', `/artifacts/upload/${name}`, {
      json: { upload_uuid: uuid },
      unchecked: true,
    })
    expect([answer.bytes.toString(), expected.includes(answer.status)]).toEqual([expect.any(String), true])
    if (answer.status === 200) {
      // It is a name like any other: found and deleted by itself, and it leads nowhere else.
      expect(answer.json.name).toBe(decodeURIComponent(name))
      expect((await one.delete(`/artifacts/${answer.json.uuid}`)).status).toBe(200)
    } else await one.delete(`/upload/${uuid}`)
    for (const path of [`/label/${name}`, `/auth/namespaces/${name}`, `/upload/${name}`, `/blobs/${name}`]) {
      const refused = await one.send('GET', path, { unchecked: true })
      expect([path, refused.status >= 400 && refused.status < 500]).toEqual([path, true])
    }
  })

  test.each([
    ['GET http://169.254.169.254/latest HTTP/1.1'],
    ['GET //evil.example/artifacts HTTP/1.1'],
    ['GET /artifacts/../../../../etc/passwd HTTP/1.1'],
    ['GET \\artifacts HTTP/1.1'],
    ['GET /artifacts/%2 HTTP/1.1'],
    ['CONNECT 127.0.0.1:22 HTTP/1.1'],
    ['OPTIONS * HTTP/1.1'],
    ['TRACE / HTTP/1.1'],
  ])('%s', async (line) => {
    const answer = await sendRaw(server.url, [request(line, 'Connection: close')])
    // Closing the connection is an answer, too.
    if (answer)
      expect([answer.status >= 400 && answer.status < 500, answer.head.includes('passwd')]).toEqual([
        true,
        false,
      ])
    await isWell()
  })
})

describe('guessing keys', () => {
  const attempt = async (namespace: string, key: string, from: string, forwardedFor = 'nobody') => {
    const body = JSON.stringify({ namespace, key })
    const socket = await open(from)
    socket.write(
      `POST /auth HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: ${forwardedFor}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    const reply = await readAll(socket)
    return {
      status: Number(reply.slice(9, 12)),
      retryAfter: Number(/^retry-after: (\d+)/im.exec(reply)?.[1]),
    }
  }

  test('is limited by address and namespace, and tells when to come again', async () => {
    const own = await createNamespace(server.url, system)
    const key = `key of ${own.namespace}`
    const guesses = []
    for (let count = 0; count < 11; count += 1)
      guesses.push(await attempt(own.namespace, `guess ${count}`, '127.0.0.2'))
    expect(guesses.map(({ status }) => status)).toEqual([...Array(10).fill(401), 429])
    expect(guesses.at(-1)!.retryAfter).toBeGreaterThan(200)
    // The right key does not help who guessed; others and other namespaces have nothing to do with it.
    expect((await attempt(own.namespace, key, '127.0.0.2')).status).toBe(429)
    expect((await attempt(own.namespace, key, '127.0.0.3')).status).toBe(200)
    expect((await attempt(one.namespace, `key of ${one.namespace}`, '127.0.0.2')).status).toBe(200)
  })

  test('behind a proxy the address is the one that the proxy tells, and nobody else’s word counts', async () => {
    const own = await createNamespace(server.url, system)
    const key = `key of ${own.namespace}`
    for (let count = 0; count < 10; count += 1)
      await attempt(own.namespace, 'guess', '127.0.0.9', '127.0.0.5, 192.0.2.1')
    const statusOf = async (...where: [from: string, forwardedFor: string]) =>
      (await attempt(own.namespace, key, ...where)).status
    expect(await statusOf('127.0.0.8', '192.0.2.1')).toBe(429)
    expect(await statusOf('127.0.0.9', '192.0.2.2')).toBe(200)
    expect(await statusOf('127.0.0.5', '192.0.2.1')).toBe(200)
  })
})

describe('fetching from inside', () => {
  test('reaches nothing, however the address is written or found', async () => {
    let connections = 0
    const inside = createServer((_request, response) => void response.end('secret'))
    inside.on('connection', () => (connections += 1))
    inside.listen(0, '127.0.0.1')
    await once(inside, 'listening')
    const { port } = inside.address() as { port: number }
    try {
      for (const host of [
        '127.0.0.1',
        '127.1',
        '0x7f.1',
        '017700000001',
        '2130706433',
        '0',
        '[::1]',
        '[::ffff:7f00:1]',
        '①②⑦.0.0.1',
      ]) {
        const answer = await one.post('/artifacts', { url: `http://${host}:${port}/` })
        expect([host, answer.status, answer.json.code]).toEqual([host, 403, 'url_forbidden'])
      }
      // What a name leads to is only known when it is looked up, and that is the address that is then connected to.
      const { json } = await one.post('/artifacts', { url: `http://localhost:${port}/` })
      const view = async () => (await one.get(`/artifacts/${json.uuid}`)).json
      await expect.poll(async () => (await view()).state, { timeout: 10_000 }).toBe('error')
      expect((await view()).error).toContain('may not fetch from localhost')
      expect(connections).toBe(0)
    } finally {
      inside.close()
    }
  })
})

test('nothing of this made the server log an error', () => {
  const errors = server
    .output()
    .split('\n')
    .filter((line) => /"level":(50|60)/.test(line))
  expect(errors).toEqual([])
})
