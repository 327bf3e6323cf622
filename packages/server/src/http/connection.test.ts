import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { HoldfastError } from '@holdfast/api/errors'
import { maxJsonBytes } from '@holdfast/api/limits'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exchange, type Fixture, startHttp } from './http-fixture.ts'
import { RequestBody } from './request-body.ts'

/** What only shows in the bytes of a connection. */

let http: Fixture
/** Bodies that were given up, by the code of the reason. */
const givenUp: string[] = []

beforeAll(async () => {
  http = await startHttp({
    handlers: {
      showNamespace: async (_parts, { params }) => {
        await sleep(100)
        return params as never
      },
    },
    rawHandlers: {
      appendUpload: async (_parts, { params, signal }, { raw }, reply) => {
        if (params.upload_uuid === 'missing') throw new HoldfastError('upload_not_found')
        const body = new RequestBody(raw, 300)
        let size = 0
        try {
          for await (const chunk of body) {
            size += chunk.length
            if (params.upload_uuid === 'small' && size > 100_000) throw new HoldfastError('file_too_large')
          }
        } catch (error) {
          givenUp.push(`${params.upload_uuid} ${(error as HoldfastError).code} ${signal.aborted}`)
          throw error
        }
        return reply.type('application/json').send(String(size))
      },
    },
  })
})
afterAll(() => http.close())

const head = (target: string, ...lines: string[]) =>
  `${[`POST ${target} HTTP/1.1`, 'Host: x', 'Authorization: Bearer good', ...lines].join('\r\n')}\r\n\r\n`
const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => Number(match[1]))

describe('Expect: 100-continue', () => {
  test('is answered when the body is asked for', async () => {
    const text = await exchange(
      http.port,
      `${head('/upload/u', 'Expect: 100-continue', 'Content-Length: 3', 'Connection: close')}abc`,
    )
    expect(statuses(text)).toEqual([100, 200])
    expect(text).toMatch(/\r\n3$/)
  })

  test.each([
    ['a missing upload', head('/upload/missing', 'Expect: 100-continue', 'Content-Length: 3'), 404],
    [
      'a bad token',
      head('/upload/u', 'Expect: 100-continue', 'Content-Length: 3').replace('good', 'bad'),
      401,
    ],
    ['a large JSON body', head('/artifacts', 'Expect: 100-continue', 'Content-Length: 9999999'), 413],
    ['an unknown route', head('/nowhere', 'Expect: 100-continue', 'Content-Length: 3'), 404],
  ])('is not answered for %s', async (_what, request, status) => {
    const text = await exchange(http.port, request, /"request_id"/)
    expect(statuses(text)).toEqual([status])
    expect(text.toLowerCase()).toContain('connection: close')
  })
})

/** Sends more than any buffer on the way holds, as clients do that only then look for a reply. */
const sendBlindly = async (request: string, bytes: number): Promise<string> => {
  const socket = connect(http.port, '127.0.0.1')
  let received = ''
  socket.setEncoding('utf8').on('data', (part: string) => {
    received += part
  })
  socket.write(request)
  const chunk = Buffer.alloc(1024 * 1024)
  for (let sent = 0; sent < bytes; sent += chunk.length) if (!socket.write(chunk)) await once(socket, 'drain')
  socket.end()
  await once(socket, 'close')
  return received
}

test('a refusal reaches a client that sends its whole body first', async () => {
  const bytes = 32 * 1024 * 1024
  for (const [target, status] of [
    ['/upload/missing', 404],
    ['/upload/small', 413],
    ['/artifacts', 413],
  ] as const) {
    const text = await sendBlindly(head(target, `Content-Length: ${bytes}`), bytes)
    expect([target, statuses(text)]).toEqual([target, [status]])
  }
})

test('a small refused body does not cost the connection', async () => {
  const text = await exchange(
    http.port,
    `${head('/upload/missing', 'Content-Length: 5')}abcde${head('/upload/u', 'Content-Length: 2', 'Connection: close')}ok`,
  )
  expect(statuses(text)).toEqual([404, 200])
})

test('a JSON body that grows beyond the limit is refused while it is read', async () => {
  const chunk = `${maxJsonBytes.toString(16)}\r\n${' '.repeat(maxJsonBytes)}\r\n`
  const text = await exchange(
    http.port,
    head('/artifacts', 'Transfer-Encoding: chunked') + chunk + chunk,
    /"request_id"/,
  )
  expect(statuses(text)).toEqual([413])
})

test('an encoded body is refused, identity is not', async () => {
  const gzip = head('/upload', 'Content-Length: 2', 'Content-Encoding: gzip', 'Connection: close')
  expect(statuses(await exchange(http.port, `${gzip}{}`))).toEqual([415])
  const identity = head('/upload', 'Content-Length: 2', 'Content-Encoding: identity', 'Connection: close')
  expect(statuses(await exchange(http.port, `${identity}{}`))).toEqual([200])
})

test('silence ends a body and is told, slowness does not', async () => {
  const silent = await exchange(http.port, `${head('/upload/silent', 'Content-Length: 9')}abc`)
  expect(statuses(silent)).toEqual([408])
  expect(givenUp).toContain('silent request_timeout false')
  const socket = connect(http.port, '127.0.0.1').setEncoding('utf8')
  socket.write(head('/upload/slow', 'Content-Length: 5', 'Connection: close'))
  for (const byte of 'abcde') {
    await sleep(150)
    socket.write(byte)
  }
  const [reply] = (await once(socket, 'data')) as [string]
  expect(statuses(reply)).toEqual([200])
})

test('a cut body is body_incomplete for the handler, and logged as given up by the client', async () => {
  const socket = connect(http.port, '127.0.0.1')
  socket.write(`${head('/upload/cut', 'Content-Length: 9', 'X-Request-ID: cut')}abc`)
  await sleep(100)
  socket.destroy()
  await expect.poll(() => givenUp).toContain('cut body_incomplete true')
  await expect
    .poll(() => http.lines.find((line) => line.requestId === 'cut'))
    .toMatchObject({ status: 499, aborted: true })
})

test('half a body and no more is told to a client that still listens', async () => {
  const socket = connect({ port: http.port, host: '127.0.0.1', allowHalfOpen: true }).setEncoding('utf8')
  socket.end(`${head('/artifacts', 'Content-Length: 9')}{"a"`)
  const [reply] = (await once(socket, 'data')) as [string]
  expect(reply).toContain('"code":"body_incomplete"')
})

describe('what is not HTTP', () => {
  test.each([
    ['nonsense', 'hello\r\n\r\n', 400, 'invalid_request'],
    [
      'two lengths',
      'POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
      400,
      'invalid_request',
    ],
    [
      'huge headers',
      `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`,
      431,
      'headers_too_large',
    ],
    [
      'a bad chunk',
      'POST /auth HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n',
      400,
      'invalid_request',
    ],
    ['no host', 'GET /artifacts HTTP/1.1\r\nConnection: close\r\n\r\n', 400, 'invalid_request'],
  ])('%s', async (_what, request, status, code) => {
    const text = await exchange(http.port, request)
    expect(statuses(text)).toEqual([status])
    const body = JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4))
    expect(body).toMatchObject({ status, code, error: expect.any(String) })
    expect(text.match(/x-request-id: (\S+)/i)?.[1]).toBe(body.request_id)
  })

  test('after a good request leaves that one its reply', async () => {
    const request = `GET /auth/namespaces/one HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n\r\n`
    const text = await exchange(http.port, `${request}garbage\r\n\r\n`)
    expect(statuses(text)).toEqual([200])
    expect(text).toContain('{"namespace":"one"}')
  })
})

test('going down: requests in flight finish, and no new ones are taken', async () => {
  const other = await startHttp({
    handlers: {
      showNamespace: async (_parts, { params }) => {
        await sleep(300)
        return params as never
      },
    },
  })
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n\r\n`
  const flying = exchange(other.port, get('/auth/namespaces/one') + get('/artifacts'))
  await sleep(100)
  const closed = other.close()
  const text = await flying
  await closed
  expect(statuses(text)[0]).toBe(200)
  await expect(fetch(other.url)).rejects.toThrow()
})
