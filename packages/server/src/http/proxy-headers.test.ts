import type { FastifyRequest } from 'fastify'
import { afterEach, describe, expect, test } from 'vitest'
import type { Config } from '../config.ts'
import { exchange, type Fixture, startHttp } from './http-fixture.ts'
import { createPlaces, createTrust, type Place } from './proxy-headers.ts'

let http: Fixture | undefined
afterEach(async () => {
  await http?.close()
  http = undefined
})

/** What the server makes of a request with these headers, which comes from 127.0.0.1. */
const heard = async (
  settings: Partial<Config>,
  headers: Record<string, string>,
): Promise<Place & { address: string }> => {
  const config = { trustedProxies: [], publicUrl: '', ...settings }
  const placeOf = createPlaces(config)
  http = await startHttp({
    settings: config,
    rawHandlers: {
      showRoot: async (_parts, { address }, request: FastifyRequest, reply) =>
        reply.send(JSON.stringify({ address, ...placeOf(request) })),
    },
  })
  const lines = Object.entries({ Host: 'inside', Connection: 'close', ...headers }).map((pair) =>
    pair.join(': '),
  )
  const reply = await exchange(http.port, `GET / HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
  return JSON.parse(reply.slice(reply.indexOf('\r\n\r\n') + 4))
}

const nearby = { trustedProxies: ['127.0.0.0/8'] } as const
const told = {
  'X-Forwarded-For': '198.51.100.7',
  'X-Forwarded-Proto': 'https',
  'X-Forwarded-Host': 'files.example',
  'X-Forwarded-Prefix': '/api/',
}
const standard = { Forwarded: 'for="[2001:db8::7]:4711";proto=https;host=files.example' }

test('nobody is believed who is not named', async () => {
  for (const trustedProxies of [[], ['10.0.0.0/8'], ['::1']])
    for (const proxyHeaders of ['x-forwarded', 'forwarded'] as const) {
      expect(await heard({ trustedProxies, proxyHeaders }, { ...told, ...standard })).toEqual({
        address: '127.0.0.1',
        path: '',
        url: '',
      })
      await http?.close()
    }
})

describe('X-Forwarded-*', () => {
  test('of a trusted proxy tells all', async () => {
    const path = '/api'
    expect(await heard(nearby, told)).toEqual({
      address: '198.51.100.7',
      path,
      url: 'https://files.example/api',
    })
  })

  test('a client cannot put itself in front: the first address that is not trusted counts', async () => {
    const headers = { ...told, 'X-Forwarded-For': '192.0.2.1, 198.51.100.7, 127.0.0.9' }
    expect(await heard(nearby, headers)).toMatchObject({ address: '198.51.100.7' })
  })

  test('of several values the nearest proxy has added the last', async () => {
    const headers = {
      ...told,
      'X-Forwarded-Host': 'evil.example, files.example',
      'X-Forwarded-Prefix': '/evil, /api',
    }
    expect(await heard(nearby, headers)).toMatchObject({ url: 'https://files.example/api' })
  })

  test.each(['//evil.example', 'https://evil.example', '/a"b', '/a/../..', '/%2f', 'api', '/'])(
    'a prefix like %s is no prefix',
    async (prefix) => {
      const { path } = await heard(nearby, { ...told, 'X-Forwarded-Prefix': prefix })
      expect(path).toBe('')
    },
  )

  test.each(['evil.example/x', 'a b', 'user@evil', '<script>'])('a host like %s is no host', async (host) => {
    expect(await heard(nearby, { ...told, 'X-Forwarded-Host': host })).toMatchObject({ url: '/api' })
  })

  test('Forwarded is not believed beside them', async () => {
    expect(await heard(nearby, standard)).toEqual({ address: '127.0.0.1', path: '', url: '' })
  })
})

describe('Forwarded', () => {
  const settings = { ...nearby, proxyHeaders: 'forwarded' } as const

  test('of a trusted proxy tells what it can', async () => {
    expect(await heard(settings, standard)).toEqual({
      address: '2001:db8::7',
      path: '',
      url: 'https://files.example',
    })
  })

  test('a client cannot put itself in front', async () => {
    const headers = {
      Forwarded: 'for=192.0.2.1;host=evil.example, for="198.51.100.7:80";host=files.example, for=127.0.0.9',
    }
    expect(await heard(settings, headers)).toMatchObject({ address: '198.51.100.7' })
  })

  test('and cannot hide behind nonsense', async () => {
    const headers = { Forwarded: 'for="nonsense, for=198.51.100.7' }
    expect(await heard(settings, headers)).toMatchObject({ address: '198.51.100.7' })
  })

  test('X-Forwarded-* are not believed beside it, and nonsense is none', async () => {
    const nothing = { address: '127.0.0.1', path: '', url: '' }
    expect(await heard(settings, told)).toEqual(nothing)
    await http?.close()
    expect(await heard(settings, { ...told, Forwarded: 'for=;;"' })).toEqual(nothing)
  })
})

test('the public URL counts for documents, what the proxy took off for links', async () => {
  const publicUrl = 'https://public.example/store'
  expect(await heard({ publicUrl }, {})).toMatchObject({ path: '/store', url: publicUrl })
  await http?.close()
  expect(await heard({ ...nearby, publicUrl }, told)).toMatchObject({ path: '/api', url: publicUrl })
})

test('addresses and networks of both kinds are trusted, IPv4 written as IPv6 too', () => {
  const isTrusted = createTrust({ trustedProxies: ['10.1.0.0/16', '192.0.2.1', '2001:db8::/32'] })
  for (const address of ['10.1.2.3', '192.0.2.1', '2001:db8::5', '::ffff:10.1.2.3'])
    expect([address, isTrusted(address)]).toEqual([address, true])
  for (const address of ['10.2.0.1', '192.0.2.2', '2001:db9::5', '::ffff:10.2.0.1', 'unknown', undefined])
    expect([address, isTrusted(address)]).toEqual([address, false])
})
