import { decodeJwt, SignJWT, UnsecuredJWT } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createNamespace, login, type Session, send } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'

let server: RunningServer
let system: Session

beforeAll(async () => {
  server = await startServer()
  system = await login(server.url, 'system', server.systemKey)
})
afterAll(() => server.remove())

const auth = (json: unknown) => send(server.url, 'POST', '/auth', { json })

test('a key is exchanged for a bearer token', async () => {
  const answer = await auth({ namespace: 'system', key: server.systemKey })
  expect(answer.status).toBe(200)
  expect(answer.json).toEqual({ access_token: expect.any(String), token_type: 'Bearer', expires_in: 900 })
  expect(JSON.stringify(decodeJwt(answer.json.access_token))).not.toContain(server.systemKey)
})

test.each([
  ['wrong key', { namespace: 'system', key: 'wrong' }, 401, 'unauthorized'],
  ['unknown namespace', { namespace: 'nobody', key: 'wrong' }, 404, 'namespace not found'],
  ['no namespace', { key: 'wrong' }, 400, 'missing namespace in request'],
  ['no key', { namespace: 'system' }, 400, 'missing key in request'],
  ['a number for a key', { namespace: 'system', key: 7 }, 400, 'key is not a string'],
  ['no object', [1], 400, 'missing namespace in request'],
])('%s', async (_case, body, status, error) => {
  const answer = await auth(body)
  expect([answer.status, answer.json.error]).toEqual([status, error])
})

test('no body at all', async () => {
  const answer = await send(server.url, 'POST', '/auth')
  expect([answer.status, answer.json.error]).toEqual([400, 'missing namespace in request'])
})

test('a missing header has the words that the original has', async () => {
  const answer = await send(server.url, 'GET', '/artifacts')
  expect([answer.status, answer.json.error]).toEqual([401, 'Missing Authorization Header'])
})

test('garbage, foreign signatures, unsigned and out-of-time tokens are 401 with JSON', async () => {
  const claims = decodeJwt(system.token)
  const foreign = new TextEncoder().encode('another key, long enough to sign with it')
  const [head, body, signature] = system.token.split('.') as [string, string, string]
  const bad = {
    garbage: 'garbage',
    empty: '',
    'three dots': '...',
    'foreign signature': await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(foreign),
    unsigned: new UnsecuredJWT(claims).encode(),
    'cut signature': `${head}.${body}.${signature.slice(0, -4)}`,
    'changed body': `${head}.${Buffer.from(JSON.stringify({ ...claims, sub: 'x' })).toString('base64url')}.${signature}`,
    huge: 'x'.repeat(8000),
  }
  for (const [what, token] of Object.entries(bad)) {
    const answer = await send(server.url, 'GET', '/artifacts', {
      headers: { Authorization: `Bearer ${token}` },
    })
    expect([what, answer.status]).toEqual([what, 401])
  }
  const basic = await send(server.url, 'GET', '/artifacts', {
    headers: { Authorization: `Basic ${system.token}` },
  })
  expect(basic.status).toBe(401)
})

test('replacing or deleting a key kills its tokens at once, and no others', async () => {
  const owner = await createNamespace(server.url, system)
  const keys = `/auth/namespaces/${owner.namespace}/keys`
  expect((await owner.post(keys, { key_name: 'second', key: 'two' })).json).toBe('second')
  const second = await login(server.url, owner.namespace, 'two')
  expect((await second.get('/artifacts')).status).toBe(200)

  await owner.put(keys, { key_name: 'second', key: 'new two' })
  expect((await second.get('/artifacts')).json.code).toBe('token_revoked')
  expect((await auth({ namespace: owner.namespace, key: 'two' })).status).toBe(401)
  const again = await login(server.url, owner.namespace, 'new two')
  expect((await owner.delete(`${keys}/second`)).json).toBe(null)
  expect((await again.get('/artifacts')).status).toBe(401)
  expect((await owner.get('/artifacts')).status).toBe(200)
})

test('a token of a deleted namespace is worth nothing, also when the name is made anew', async () => {
  const owner = await createNamespace(server.url, system)
  expect((await system.delete(`/auth/namespaces/${owner.namespace}`)).json).toBe(null)
  expect((await owner.get('/artifacts')).status).toBe(401)
  expect((await auth({ namespace: owner.namespace, key: `key of ${owner.namespace}` })).status).toBe(404)
  await system.post('/auth/namespaces', { namespace: owner.namespace, key_name: 'first', key: 'other' })
  expect((await owner.get('/artifacts')).status).toBe(401)
  expect((await auth({ namespace: owner.namespace, key: `key of ${owner.namespace}` })).status).toBe(401)
})

test('an expired token is refused', async () => {
  const brief = await startServer({ settings: { HOLDFAST_TOKEN_LIFETIME: '1' } })
  try {
    const session = await login(brief.url, 'system', brief.systemKey)
    expect((await session.get('/artifacts')).status).toBe(200)
    let answer = await session.get('/artifacts')
    for (let tries = 0; tries < 50 && answer.status === 200; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      answer = await session.get('/artifacts')
    }
    expect([answer.status, answer.json.code]).toEqual([401, 'token_expired'])
  } finally {
    await brief.remove()
  }
})
