import { request as httpRequest } from 'node:http'
import { HoldfastError } from '@holdfast/api/errors'
import { paths, type RouteName, splitPath } from '@holdfast/api/paths'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Fixture, startHttp } from './http-fixture.ts'

let http: Fixture

beforeAll(async () => {
  http = await startHttp({
    handlers: {
      truncateUpload: async () => null,
      addKey: async (_parts, { params, body }) => `${params.namespace}/${body.key_name}`,
      listBlobs: async (_parts, { setHeader }) => {
        setHeader('link', '<?cursor=x>; rel="next"')
        return []
      },
      showBlob: async () => {
        throw new Error('secret detail of a bug')
      },
      showUpload: async () => {
        throw new HoldfastError('too_many_requests', { detail: { retry_after: 7.2 } })
      },
      deleteUpload: async () => {
        throw new HoldfastError('unavailable')
      },
    },
  })
})
afterAll(() => http.close())

interface Answer {
  readonly status: number
  readonly headers: Record<string, string | undefined>
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: replies of every shape
  readonly json: any
}

const ask = (
  method: string,
  path: string,
  body?: string | Buffer,
  headers: Record<string, string> = { authorization: 'Bearer good' },
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = httpRequest({ port: http.port, host: '127.0.0.1', method, path, headers, agent: false })
    request.on('error', reject).on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers as Answer['headers'],
          text,
          json:
            response.headers['content-type']?.startsWith('application/json') && text !== ''
              ? JSON.parse(text)
              : undefined,
        }),
      )
    })
    // Node sends a body with GET and DELETE only when it is told the length.
    if (body !== undefined) request.setHeader('content-length', Buffer.byteLength(body))
    request.end(body)
  })

test('every route of the contract reaches its handler, and HEAD wherever GET does', async () => {
  for (const name of Object.keys(paths) as RouteName[]) {
    const { method, path } = splitPath(name)
    expect(http.app.hasRoute({ method: method as 'GET', url: path.replace(/\{(\w+)\}/g, ':$1') }), name).toBe(
      true,
    )
    if (method === 'GET')
      expect(http.app.hasRoute({ method: 'HEAD', url: path.replace(/\{(\w+)\}/g, ':$1') }), name).toBe(true)
  }
})

test('parameters and queries become numbers where the contract says so, bodies stay what they are', async () => {
  const listed = await ask('GET', '/artifacts?limit=5&created_after=1.5', '{"node": null}')
  expect(listed.json).toMatchObject({ query: { limit: 5, created_after: 1.5 }, body: { node: null } })
  const made = await ask('POST', '/upload', '{"size": "12"}')
  expect(made.json.body).toEqual({ size: '12' })
  expect((await ask('POST', '/upload', '{"size": true}')).json).toMatchObject({
    status: 400,
    code: 'invalid_request',
    detail: { place: 'body', field: 'size' },
  })
})

test('a JSON body is read for GET and DELETE, and whatever its Content-Type', async () => {
  for (const type of ['text/plain', 'nonsense', 'application/json; charset=wrong', ''])
    for (const [method, path] of [
      ['GET', '/artifacts/a/events'],
      ['DELETE', '/artifacts'],
      ['POST', '/upload'],
    ] as const) {
      const answer = await ask(method, path, '{"extra": [1]}', {
        authorization: 'Bearer good',
        'content-type': type,
      })
      expect([type, method, answer.json?.body]).toEqual([type, method, { extra: [1] }])
    }
})

test('no body and an empty one are an empty object', async () => {
  const headers = { authorization: 'Bearer good', 'content-type': 'application/json' }
  expect((await ask('POST', '/upload', undefined, headers)).json.body).toEqual({})
  expect((await ask('POST', '/upload', ' \n', headers)).json.body).toEqual({})
  const chunked = { ...headers, 'transfer-encoding': 'chunked' }
  expect((await ask('POST', '/upload', undefined, chunked)).json.body).toEqual({})
})

test('null, text and lists are answered as JSON', async () => {
  const nothing = await ask('POST', '/upload/x/truncate/3')
  expect([nothing.text, nothing.headers['content-type']]).toEqual(['null', 'application/json; charset=utf-8'])
  expect((await ask('POST', '/auth/namespaces/n/keys', '{"key_name":"k","key":"s"}')).text).toBe('"n/k"')
  const list = await ask('GET', '/blobs')
  expect([list.text, list.headers.link]).toEqual(['[]', '<?cursor=x>; rel="next"'])
})

test('HEAD answers the headers of GET', async () => {
  const head = await ask('HEAD', '/blobs')
  expect([head.status, head.text, head.headers.link]).toEqual([200, '', '<?cursor=x>; rel="next"'])
})

test.each([
  ['POST', '/auth', '{}', 'namespace_missing', 'missing namespace in request'],
  ['POST', '/auth', '[]', 'namespace_missing', 'missing namespace in request'],
  ['POST', '/auth', '{"namespace":"n"}', 'key_missing', 'missing key in request'],
  ['POST', '/auth', '{"namespace":"n","key":""}', 'key_missing', 'missing key in request'],
  ['POST', '/auth', '{"namespace":"n","key":5}', 'key_not_string', 'key is not a string'],
  ['POST', '/artifacts/upload/%01', '{}', 'name_invalid', 'invalid artifact name'],
  ['POST', '/artifacts/upload/a%2Fb', '{}', 'name_invalid', 'invalid artifact name'],
  ['POST', '/artifacts/upload/', '{}', 'name_invalid', 'invalid artifact name'],
  ['POST', `/artifacts/upload/${'x'.repeat(10_000)}`, '{}', 'name_invalid', 'invalid artifact name'],
  [
    'POST',
    '/artifacts/a/versions',
    '{"max_versions":0}',
    'max_versions_invalid',
    'max version is not an integer',
  ],
  [
    'DELETE',
    '/artifacts/a/versions/x',
    undefined,
    'version_index_invalid',
    'version index is not an integer',
  ],
  ['POST', '/upload/u/truncate/-1', undefined, 'truncate_out_of_range', /./],
  ['POST', '/artifacts/a/metadata', '{"key":"k"}', 'value_not_specified', 'no value specified'],
  ['GET', '/artifacts?limit=0', undefined, 'invalid_request', 'query field limit must be >= 1'],
  ['GET', '/artifacts?limit=1&limit=2', undefined, 'invalid_request', /query field limit/],
  ['GET', '/blobs?limit=many', undefined, 'invalid_request', 'query field limit must be integer'],
  ['POST', '/upload', '7', 'invalid_request', 'body must be object'],
  [
    'POST',
    '/artifacts/upload/n',
    '{"sha512":"x"}',
    'invalid_request',
    /^body field sha512 must match pattern/,
  ],
  ['POST', '/upload', '{', 'invalid_json', 'the request body is not valid JSON'],
  ['GET', '/artifacts/%zz', undefined, 'invalid_request', 'the URL is not valid'],
])('%s %s with %s is %s', async (method, path, body, code, message) => {
  const answer = await ask(method, path, body)
  expect([answer.json.code, answer.status]).toEqual([code, answer.json.status])
  expect(answer.json.error).toMatch(message)
  expect(answer.json.request_id).toBe(answer.headers['x-request-id'])
})

test('without a good token nothing is read or said, but what cannot be routed is told', async () => {
  const refused = await ask('POST', '/artifacts/upload/%01', '{', {})
  expect([refused.status, refused.json.code, refused.headers['www-authenticate']]).toEqual([
    401,
    'token_invalid',
    'Bearer',
  ])
  expect((await ask('GET', '/nowhere', '{', {})).json.code).toBe('route_not_found')
})

test('another method is 405 with the ones that are allowed', async () => {
  for (const method of ['PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY']) {
    const answer = await ask(method, '//upload/x?y')
    expect([method, answer.status, answer.headers.allow]).toEqual([method, 405, 'DELETE, GET, HEAD, POST'])
  }
})

test('doubled slashes count once', async () => {
  expect((await ask('GET', '//artifacts//a//metadata')).json.params).toEqual({ artifact_ref: 'a' })
})

test('a fault is 500 without its reason, which is logged with the request', async () => {
  const answer = await ask('GET', '/blobs/b', undefined, {
    authorization: 'Bearer good',
    'x-request-id': 'mine',
  })
  expect(answer.json).toEqual({
    error: 'internal server error',
    status: 500,
    code: 'internal',
    request_id: 'mine',
  })
  const line = http.lines.find((entry) => entry.requestId === 'mine' && entry.level === 50)
  expect(line?.err).toMatchObject({ message: 'secret detail of a bug' })
})

test('who may come again is told when', async () => {
  expect((await ask('GET', '/upload/x')).headers['retry-after']).toBe('8')
  expect((await ask('DELETE', '/upload/x')).headers['retry-after']).toBe('5')
})

test('a request is one line, without its query and its secrets', async () => {
  await ask('GET', '/artifacts?cursor=hush', '{"node":"hush"}', {
    authorization: 'Bearer good',
    'x-request-id': 'told',
  })
  const lines = http.lines.filter((line) => line.requestId === 'told')
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatchObject({
    route: 'listArtifacts',
    path: '/artifacts',
    status: 200,
    namespace: 'one',
  })
  expect(Number(lines[0]!.received)).toBeGreaterThan(50)
  expect(JSON.stringify(http.lines)).not.toMatch(/hush|Bearer/)
})

test('request ids are echoed when they are fit to be, and made otherwise', async () => {
  for (const [given, expected] of [
    ['a-1', /^a-1$/],
    ['x'.repeat(129), /^[0-9a-f-]{36}$/],
    ['two words', /^[0-9a-f-]{36}$/],
  ] as const)
    for (const path of ['/auth/namespaces', '/nowhere', '/artifacts/%zz'])
      expect((await ask('GET', path, undefined, { 'x-request-id': given })).headers['x-request-id']).toMatch(
        expected,
      )
})
