import { once } from 'node:events'
import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type Server, type TLSSocket } from 'node:tls'
import type { Logger } from 'pino'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { type CertificateRenewal, readCertificate, renewCertificate } from './certificate.ts'
import { ConfigError } from './config.ts'
import { otherCertificate, otherKey, testCertificate, testKey } from './fetch/test-certificate.ts'
import { type Fixture, startHttp } from './http/http-fixture.ts'
import { createMetrics } from './metrics.ts'

const directory = await mkdtemp(join(tmpdir(), 'holdfast-certificate-'))
afterAll(() => rm(directory, { recursive: true }))

const tlsCert = join(directory, 'live', 'cert.pem')
const tlsKey = join(directory, 'live', 'key.pem')
const settings = { tlsCert, tlsKey, tlsMinVersion: 'TLSv1.2' }

/** As programs that renew certificates do it: files in a directory of their own, and a link that is moved. */
const place = async (cert: string, key: string): Promise<void> => {
  const version = await mkdtemp(join(directory, 'version-'))
  await writeFile(join(version, 'cert.pem'), cert)
  await writeFile(join(version, 'key.pem'), key)
  await symlink(version, join(directory, 'next'))
  await rename(join(directory, 'next'), join(directory, 'live'))
}
beforeEach(() => place(testCertificate, testKey))

describe('a start is refused with words that name the setting', () => {
  test.each([
    [
      'one without the other',
      { tlsKey: '' },
      testCertificate,
      testKey,
      /HOLDFAST_TLS_CERT and HOLDFAST_TLS_KEY/,
    ],
    [
      'no such file',
      { tlsKey: '/nowhere/key' },
      testCertificate,
      testKey,
      /HOLDFAST_TLS_KEY: ENOENT.*\/nowhere\/key/,
    ],
    ['no certificate', {}, 'nonsense', testKey, /HOLDFAST_TLS_CERT: .*cert\.pem holds no certificate/],
    ['no key', {}, testCertificate, testCertificate, /HOLDFAST_TLS_KEY: .*key\.pem holds no private key/],
    ['the key of another', {}, testCertificate, otherKey, /HOLDFAST_TLS_KEY: the key in .* does not belong/],
  ])('%s', async (_what, changed, cert, key, words) => {
    await place(cert, key)
    const reading = readCertificate({ ...settings, ...changed })
    await expect(reading).rejects.toThrow(ConfigError)
    await expect(reading).rejects.toThrow(words)
  })
})

describe('a server with a certificate', () => {
  let http: Fixture
  let renewal: CertificateRenewal

  const withServer = async (use: () => Promise<void>, more = {}): Promise<void> => {
    const config = { ...settings, ...more }
    const certificate = (await readCertificate(config))!
    http = await startHttp({ tls: certificate.options })
    const parts = { log: http.app.log as Logger, metrics: createMetrics() }
    renewal = renewCertificate(config, certificate, http.app.server as unknown as Server, parts)
    try {
      await use()
    } finally {
      renewal.close()
      await http.close()
    }
  }

  const handshake = async (options = {}): Promise<TLSSocket> => {
    const socket = connect({ host: '127.0.0.1', port: http.port, rejectUnauthorized: false, ...options })
    await once(socket, 'secureConnect')
    return socket
  }
  /** The name in the certificate that new connections see. */
  const nameNow = async (): Promise<unknown> => {
    const socket = await handshake()
    const { CN } = socket.getPeerCertificate().subject
    socket.destroy()
    return CN
  }
  const ask = async (agent: Agent): Promise<number> => {
    const asked = request({ host: '127.0.0.1', port: http.port, path: '/healthz', agent }).end()
    const [reply] = await once(asked, 'response')
    reply.resume()
    await once(reply, 'end')
    return reply.statusCode
  }

  test('answers over HTTPS to who trusts it', () =>
    withServer(async () => {
      const agent = new Agent({ ca: testCertificate, servername: 'mirror.example' })
      expect(await ask(agent)).toBe(200)
    }))

  test('speaks no older version of TLS than it is told', () =>
    withServer(
      async () => {
        await expect(handshake({ maxVersion: 'TLSv1.2' })).rejects.toThrow(/protocol version/)
        const socket = await handshake({ maxVersion: 'TLSv1.3' })
        expect(socket.getProtocol()).toBe('TLSv1.3')
        socket.destroy()
      },
      { tlsMinVersion: 'TLSv1.3' },
    ))

  test('takes a new one into use when it is told, and connections that are open go on', () =>
    withServer(async () => {
      const agent = new Agent({
        ca: testCertificate,
        servername: 'mirror.example',
        keepAlive: true,
        maxSockets: 1,
      })
      await ask(agent)
      const [socket] = Object.values(agent.freeSockets).flat()
      await place(otherCertificate, otherKey)
      await renewal.renew()
      expect(await nameNow()).toBe('renewed.example')
      // Over a new connection it would not trust what it sees.
      expect(await ask(agent)).toBe(200)
      expect(Object.values(agent.freeSockets).flat()[0]).toBe(socket)
      agent.destroy()
    }))

  test('notices a new one by itself', () =>
    withServer(async () => {
      expect(await nameNow()).toBe('mirror.example')
      await place(otherCertificate, otherKey)
      await expect.poll(nameNow, { timeout: 15_000 }).toBe('renewed.example')
    }))

  test('keeps the old one while the new one is not whole', () =>
    withServer(async () => {
      await place(otherCertificate, testKey)
      await renewal.renew()
      expect(await nameNow()).toBe('mirror.example')
      expect(http.lines.findLast(({ reason }) => reason)?.reason).toMatch(/does not belong/)
      await place(otherCertificate, otherKey)
      await renewal.renew()
      expect(await nameNow()).toBe('renewed.example')
    }))

  test('survives who speaks something else', () =>
    withServer(async () => {
      await expect(fetch(http.url.replace('https', 'http'))).rejects.toThrow()
      expect(await nameNow()).toBe('mirror.example')
      expect(http.lines.map(({ msg }) => msg)).toContain('a TLS handshake failed')
    }))
})
