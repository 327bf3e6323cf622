import { decodeJwt, decodeProtectedHeader, SignJWT, UnsecuredJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { callerOf, createTestParts, type TestParts } from '../test-parts.ts'
import { authenticate, deleteKey, setKey } from './keys.ts'
import { createNamespace, deleteNamespace, ensureSystem } from './namespaces.ts'
import { issueToken, verifyToken } from './tokens.ts'

const system = callerOf('system')
let parts: TestParts

beforeAll(async () => {
  parts = await createTestParts()
  await ensureSystem(parts)
})
afterAll(() => parts[Symbol.asyncDispose]())

let count = 0
let namespace: string
let token: string
beforeEach(async () => {
  count += 1
  namespace = `tenant ${count}`
  await createNamespace(parts, system, namespace, { keyName: 'first', key: 'secret' })
  token = await authenticate(parts, { namespace, key: 'secret' }, '192.0.2.1')
})

const verify = (header: string | undefined) => verifyToken(parts, header, 'request-7')
const refused = (code: string) => expect.objectContaining({ code })

test('a token tells who asks, in whatever case the scheme is written', async () => {
  const caller = { namespace, keyName: 'first', requestId: 'request-7' }
  for (const scheme of ['Bearer', 'bearer', 'BEARER', 'bEaReR '])
    expect(await verify(`${scheme} ${token}`)).toEqual(caller)
})

test('a token holds no secret and its header names one algorithm', () => {
  expect(decodeProtectedHeader(token)).toEqual({ alg: 'HS256' })
  const claims = decodeJwt(token)
  expect(Object.keys(claims).sort()).toEqual(['exp', 'iat', 'nbf', 'nonce', 'sub'])
  expect(JSON.parse(claims.sub!)).toEqual([namespace, 'first'])
  expect(claims.exp! - claims.iat!).toBe(parts.config.tokenLifetime)
})

test('no header', async () => {
  await expect(verify(undefined)).rejects.toEqual(refused('authorization_missing'))
  await expect(verify('')).rejects.toEqual(refused('authorization_missing'))
})

describe('what is not a token of ours', () => {
  const sign = (claims: object, { alg = 'HS256', key = parts.tokenKey } = {}) =>
    new SignJWT({ ...claims }).setProtectedHeader({ alg }).sign(key)
  const cases: Record<string, () => string | Promise<string>> = {
    'another scheme': () => `Basic ${token}`,
    'no token': () => 'Bearer ',
    'two tokens': () => `Bearer ${token} ${token}`,
    garbage: () => 'Bearer garbage',
    dots: () => 'Bearer ...',
    'no signature': () => `Bearer ${token.slice(0, token.lastIndexOf('.') + 1)}`,
    'signed with another key': async () =>
      `Bearer ${await sign(decodeJwt(token), { key: new Uint8Array(32).fill(1) })}`,
    'signed with another algorithm': async () =>
      `Bearer ${await sign(decodeJwt(token), { alg: 'HS512', key: Buffer.concat([parts.tokenKey, parts.tokenKey]) })}`,
    'the right key, another algorithm': async () => {
      const { subtle } = globalThis.crypto
      const key = await subtle.importKey(
        'raw',
        new Uint8Array(parts.tokenKey),
        { name: 'HMAC', hash: 'SHA-512' },
        false,
        ['sign'],
      )
      return `Bearer ${await new SignJWT(decodeJwt(token)).setProtectedHeader({ alg: 'HS512' }).sign(key)}`
    },
    unsigned: () => `Bearer ${new UnsecuredJWT(decodeJwt(token)).encode()}`,
    'not yet valid': async () => {
      const { nbf, ...claims } = decodeJwt(token)
      return `Bearer ${await sign({ ...claims, nbf: nbf! + 120 })}`
    },
    'no expiry': async () => {
      const { exp: _, ...claims } = decodeJwt(token)
      return `Bearer ${await sign(claims)}`
    },
    'no nonce': async () => {
      const { nonce: _, ...claims } = decodeJwt(token)
      return `Bearer ${await sign(claims)}`
    },
    'a subject that is no JSON': async () => `Bearer ${await sign({ ...decodeJwt(token), sub: namespace })}`,
    'a subject that is no pair': async () => `Bearer ${await sign({ ...decodeJwt(token), sub: '{}' })}`,
    'a subject of numbers': async () => `Bearer ${await sign({ ...decodeJwt(token), sub: '[1,2]' })}`,
  }
  test.each(Object.keys(cases))('%s', async (name) => {
    await expect(verify(await cases[name]!())).rejects.toEqual(refused('token_invalid'))
  })
})

test('a token is good for its lifetime and not longer', async () => {
  parts.clock.advance(parts.config.tokenLifetime - 1)
  expect(await verify(`Bearer ${token}`)).toMatchObject({ namespace })
  parts.clock.advance(1)
  await expect(verify(`Bearer ${token}`)).rejects.toEqual(refused('token_expired'))
})

test('a lifetime that begins within a second is not cut short', async () => {
  parts.clock.advance(0.9)
  const row = await parts.db.read
    .selectFrom('namespace_keys')
    .selectAll()
    .where('namespace', '=', namespace)
    .executeTakeFirstOrThrow()
  const brief = { ...parts, config: { ...parts.config, tokenLifetime: 1 } }
  const issued = await issueToken(brief, { namespace, keyName: 'first', nonce: row.nonce })
  parts.clock.advance(0.99)
  expect(await verify(`Bearer ${issued}`)).toMatchObject({ namespace })
})

describe('a token is revoked at once', () => {
  const caller = () => callerOf(namespace)

  test('when its key is replaced, even by the same key', async () => {
    await setKey(parts, caller(), namespace, { keyName: 'second', key: 'other' }, 'add or replace')
    const other = await authenticate(parts, { namespace, key: 'other' }, '192.0.2.1')
    await setKey(parts, caller(), namespace, { keyName: 'first', key: 'secret' }, 'replace')
    await expect(verify(`Bearer ${token}`)).rejects.toEqual(refused('token_revoked'))
    expect(await verify(`Bearer ${other}`)).toMatchObject({ keyName: 'second' })
  })

  test('when its key is deleted, and stays so when one of the same name and content is made', async () => {
    await deleteKey(parts, caller(), namespace, 'first')
    await expect(verify(`Bearer ${token}`)).rejects.toEqual(refused('token_revoked'))
    await setKey(parts, caller(), namespace, { keyName: 'first', key: 'secret' }, 'add or replace')
    await expect(verify(`Bearer ${token}`)).rejects.toEqual(refused('token_revoked'))
  })

  test('when its namespace is deleted, and stays so when the name is given away again', async () => {
    await deleteNamespace(parts, system, namespace)
    await expect(verify(`Bearer ${token}`)).rejects.toEqual(refused('token_revoked'))
    await createNamespace(parts, system, namespace, { keyName: 'first', key: 'secret' })
    await expect(verify(`Bearer ${token}`)).rejects.toEqual(refused('token_revoked'))
  })
})
