import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNamespace, login, publish, type Session, send, upload } from '../support/api.ts'
import { sendRaw } from '../support/raw.ts'
import { directUrlOf, type RunningServer, startServer } from '../support/server.ts'

/** What no client should send. Each gets a 4xx with `error`, `status` and `code`, and changes nothing. */

let server: RunningServer
let system: Session
let one: Session

beforeAll(async () => {
  server = await startServer()
  system = await login(server.url, 'system', server.systemKey)
  one = await createNamespace(server.url, system)
  await publish(one, 'thing', 'thing')
})
afterAll(() => server.remove())

/** Everything that one may see of a namespace's state. */
const everything = async () =>
  JSON.stringify([
    (await one.get('/artifacts')).json,
    (await one.get('/upload')).json,
    (await one.get('/auth/namespaces')).json,
  ])
const unchanged = async (work: () => Promise<void>) => {
  const before = await everything()
  await work()
  expect(await everything()).toBe(before)
}
const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)

describe('bodies that are not JSON objects', () => {
  const bodies = {
    'cut JSON': '{"upload_uuid": "x"',
    'no JSON': 'hello',
    'a trailing comma': '{"a": 1,}',
    'two values': '{} {}',
    'invalid UTF-8': Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
    'an array': '[1, 2]',
    'a number': '7',
    'a string': '"text"',
    'deep nesting': `{"value": ${deep(100_000)}}`,
    'a NUL': '\u0000',
  }
  test.each(Object.entries(bodies))('%s', async (_what, body) => {
    await unchanged(async () => {
      for (const [method, target] of [
        ['POST', '/artifacts/upload/x'],
        ['POST', '/artifacts'],
        ['DELETE', '/artifacts'],
        ['POST', '/label/x'],
        ['POST', '/artifacts/thing/metadata'],
        ['POST', '/artifacts/thing/versions'],
        ['POST', '/upload'],
      ] as const) {
        const answer = await one.send(method, target, { body })
        expect([method, target, answer.status, typeof answer.json.code]).toEqual([
          method,
          target,
          400,
          'string',
        ])
      }
    })
  })

  test('prototype keys are just keys', async () => {
    const answer = await one.send('POST', '/artifacts/thing/metadata', {
      body: '{"key": "__proto__", "value": {"polluted": true}}',
    })
    expect(answer.status).toBeLessThan(500)
    const metadata = await one.get('/artifacts/thing/metadata')
    expect(metadata.status).toBe(200)
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
    await one.delete('/artifacts/thing/metadata/__proto__')
  })
})

test('wrong types', async () => {
  await unchanged(async () => {
    for (const [target, body] of [
      ['/artifacts/upload/x', { upload_uuid: {} }],
      ['/artifacts/upload/x', { blob_uuid: ['a'] }],
      ['/artifacts/upload/x', { upload_uuid: 'a', shared: 'maybe' }],
      ['/artifacts/upload/x', { upload_uuid: 'a', source_url: 5 }],
      ['/artifacts/upload/x', { upload_uuid: 'a', source_url: 'x'.repeat(5000) }],
      ['/artifacts/upload/x', { upload_uuid: 'a', size: -1 }],
      ['/artifacts/upload/x', { upload_uuid: 'a', size: 'many' }],
      ['/artifacts/upload/x', { upload_uuid: 'a', namespace: {} }],
      ['/upload', { size: -1 }],
      ['/upload', { size: 1.5 }],
      ['/upload', { size: 'x' }],
      ['/upload', { size: 1e20 }],
      ['/artifacts', {}],
      ['/artifacts', { url: 5 }],
      ['/artifacts/thing/metadata', { key: 5, value: 1 }],
      ['/artifacts/thing/metadata', { key: '', value: 1 }],
      ['/artifacts/thing/metadata', { key: 'x'.repeat(1000), value: 1 }],
    ] as const) {
      const answer = await one.post(target, body)
      expect([target, body, answer.status]).toEqual([target, body, 400])
    }
  })
})

test('unknown keys of a body are ignored', async () => {
  const answer = await one.post('/artifacts/upload/extra', {
    upload_uuid: await upload(one, 'extra'),
    name: 'other',
    artifact_ref: 'thing',
    colour: 'red',
  })
  expect([answer.status, answer.json.name]).toEqual([200, 'extra'])
})

test('paths that mean mischief', async () => {
  await unchanged(async () => {
    for (const target of [
      '/artifacts/..%2f..%2fetc%2fpasswd',
      '/blobs/..%2f..%2f..%2fholdfast.db/data',
      '/blobs/%00/data',
      '/upload/..%2Fholdfast.db',
      '/upload/....//....//x',
      '/artifacts/%ff%fe',
      '/artifacts/%',
      '/artifacts/%zz',
      `/artifacts/${'x'.repeat(10_000)}`,
      '/artifacts/a/b/c/d/e',
      '/label//',
      '/apidocs/../../../../etc/passwd',
      '/apidocs/static/..%2f..%2f..%2fpackage.json',
    ]) {
      const ask = { token: one.token, unchecked: true } as const
      const answer = await send(directUrlOf(server), 'GET', target, ask)
      expect([target, answer.status >= 400 && answer.status < 500, typeof answer.json?.code]).toEqual([
        target,
        true,
        'string',
      ])
    }
  })
})

test('a body over the limit for JSON', async () => {
  const body = JSON.stringify({ key: 'k', value: 'x'.repeat(2 * 1024 * 1024) })
  const answer = await one.send('POST', '/artifacts/thing/metadata', { body })
  expect([answer.status, answer.json.code]).toEqual([413, 'body_too_large'])
})

test('a compressed body is refused, not decompressed', async () => {
  const uuid = await upload(one, 'x')
  for (const target of [`/upload/${uuid}`, '/artifacts/upload/x']) {
    const answer = await one.send('POST', target, { body: 'zzz', headers: { 'Content-Encoding': 'gzip' } })
    expect([target, answer.status, answer.json.code]).toEqual([target, 415, 'unsupported_encoding'])
  }
  expect((await one.get(`/upload/${uuid}`)).json.size).toBe(1)
})

describe('byte by byte', () => {
  const authorised = () => `Host: x\r\nAuthorization: Bearer ${one.token}\r\n`
  test.each([
    ['no HTTP', ['hello\r\n\r\n']],
    ['an unknown version', ['GET / HTTP/9.9\r\n\r\n']],
    ['a header without a name', ['GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n']],
    [
      'two lengths',
      ['POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde'],
    ],
    [
      'a length and chunks',
      ['POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ],
    ['a negative length', ['POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n']],
    ['a length that is no number', ['POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n']],
    [
      'a chunk of no size',
      ['POST /auth HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n'],
    ],
    ['huge headers', [`GET / HTTP/1.1\r\nHost: x\r\nX-Big: ${'x'.repeat(100_000)}\r\n\r\n`]],
    [
      'many headers',
      [
        `GET / HTTP/1.1\r\nHost: x\r\n${Array.from({ length: 5000 }, (_, index) => `X-${index}: y\r\n`).join('')}\r\n`,
      ],
    ],
  ])('%s', async (_what, parts) => {
    const answer = await sendRaw(directUrlOf(server), parts)
    expect(answer!.status).toBeGreaterThanOrEqual(400)
    expect(answer!.status).toBeLessThan(500)
    expect(JSON.parse(answer!.body)).toMatchObject({
      error: expect.any(String),
      status: answer!.status,
      code: expect.any(String),
    })
    expect((await send(server.url, 'GET', '/healthz')).status).toBe(200)
  })

  test('a JSON body shorter than its length is never acted on', async () => {
    await unchanged(async () => {
      const body = '{"key": "half", "value": 1}'
      await sendRaw(
        directUrlOf(server),
        [
          `POST /artifacts/thing/metadata HTTP/1.1\r\n${authorised()}Content-Length: ${body.length + 10}\r\n\r\n${body}`,
        ],
        { cut: true, pauseMs: 100 },
      )
    })
  })

  test('a JSON body longer than its length is refused or cut to it', async () => {
    await unchanged(async () => {
      const answer = await sendRaw(directUrlOf(server), [
        `POST /artifacts/thing/metadata HTTP/1.1\r\n${authorised()}Connection: close\r\nContent-Length: 10\r\n\r\n{"key": "long", "value": 1}`,
      ])
      expect(answer!.status).toBe(400)
    })
  })
})

test('nothing that was thrown at it made the server log an error or leak a stack', async () => {
  const errors = server
    .output()
    .split('\n')
    .filter((line) => /"level":(50|60|"error"|"fatal")/.test(line))
  expect(errors).toEqual([])
})
