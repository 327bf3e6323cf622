import { once } from 'node:events'
import { copyFile, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { login, publish, send, upload } from '../support/api.ts'
import { makeCertificate } from '../support/certificates.ts'
import { freePort } from '../support/ports.ts'
import { sendRaw } from '../support/raw.ts'
import { spawnServer, startServer } from '../support/server.ts'

/** The server as a process: start, stop, crash, and what it leaves on disk and in its output. */

const mode = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8)

test('a first start makes the data directory, a key, and a client configuration; secrets are private and never printed; a second start is refused', async () => {
  const server = await startServer()
  try {
    const file = join(server.dataDir, 'client.json')
    const configuration = JSON.parse(await readFile(file, 'utf8'))
    expect(configuration).toEqual({ namespace: 'system', key: server.systemKey, apiurl: server.url })
    for (const name of ['client.json', 'token.key', 'system.key'])
      expect([name, await mode(join(server.dataDir, name))]).toEqual([name, '600'])
    expect(await mode(server.dataDir)).toBe('700')
    const session = await login(server.url, 'system', server.systemKey)
    await session.post('/auth/namespaces', {
      namespace: 'quiet',
      key_name: 'k',
      key: 'a-secret-nobody-prints',
    })
    await send(server.url, 'POST', '/auth', { json: { namespace: 'quiet', key: 'a-wrong-secret' } })
    await send(server.url, 'GET', '/artifacts?token=a-secret-in-a-query', { token: session.token })
    const output = server.output()
    expect(output).toContain(file)
    expect(output).toMatch(/holdfast artifact upload/)
    for (const secret of [
      server.systemKey,
      session.token,
      'a-secret-nobody-prints',
      'a-wrong-secret',
      'a-secret-in-a-query',
    ])
      expect(output).not.toContain(secret)

    // A second start on the same data directory is refused with words that help, and does no harm.
    const second = spawnServer({
      HOLDFAST_DATA_DIR: server.dataDir,
      HOLDFAST_LISTEN: `127.0.0.1:${await freePort()}`,
    })
    const [code] = await once(second.child, 'exit')
    expect(code).toBe(1)
    expect(second.output()).toContain(server.dataDir)
    expect(second.output()).toMatch(/in use/)
    expect(second.output()).not.toMatch(/\n\s+at /)
    expect((await send(server.url, 'GET', '/readyz')).status).toBe(200)
  } finally {
    await server.remove()
  }
})

test('bad settings and a taken port end the start with one clear message', async () => {
  const server = await startServer()
  const dataDir = await mkdtemp(join(tmpdir(), 'holdfast-test-'))
  try {
    const attempts = [
      [{ HOLDFAST_MAX_FILE_SIZE: 'big' }, 'HOLDFAST_MAX_FILE_SIZE'],
      [{ HOLDFAST_LISTEN: 'nowhere' }, 'HOLDFAST_LISTEN'],
      [{ HOLDFAST_LISTEN: new URL(server.url).host }, new URL(server.url).port],
      [{ HOLDFAST_FETCH_ALLOW: '300.1.2.3/99' }, 'HOLDFAST_FETCH_ALLOW'],
    ] as const
    await Promise.all(
      attempts.map(async ([settings, words], i) => {
        const { child, output } = spawnServer({ HOLDFAST_DATA_DIR: join(dataDir, String(i)), ...settings })
        const [code] = await once(child, 'exit')
        expect([settings, code === 1 || code === 2]).toEqual([settings, true])
        expect(output()).toContain(words)
        expect(output()).not.toMatch(/\n\s+at /)
      }),
    )
  } finally {
    await server.remove()
    await rm(dataDir, { recursive: true, force: true })
  }
})

test('everything is there after a restart, and old tokens still work', async () => {
  const first = await startServer()
  const session = await login(first.url, 'system', first.systemKey)
  const view = await publish(session, 'lasting', 'lasting bytes')
  const uuid = await upload(session, 'half ')
  expect(await first.stop()).toBe(0)
  const second = await startServer({ dataDir: first.dataDir, port: Number(new URL(first.url).port) })
  try {
    expect(second.systemKey).toBe(first.systemKey)
    expect((await session.get(`/blobs/${view.blob_uuid}/data`)).bytes.toString()).toBe('lasting bytes')
    expect((await session.send('POST', `/upload/${uuid}`, { body: 'done' })).json).toBe(9)
    const done = (await session.post('/artifacts/upload/finished', { upload_uuid: uuid })).json
    expect((await session.get(`/blobs/${done.blob_uuid}/data`)).bytes.toString()).toBe('half done')
  } finally {
    await second.remove()
  }
})

test('kill -9 loses nothing that was acknowledged', async () => {
  const first = await startServer()
  const port = Number(new URL(first.url).port)
  const session = await login(first.url, 'system', first.systemKey)
  const view = await publish(session, 'acknowledged', 'version bytes')
  const uuid = await upload(session, 'a'.repeat(100_000), 'b'.repeat(100_000))
  const cut = sendRaw(
    first.url,
    [
      `POST /upload/${uuid} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${session.token}\r\nContent-Length: 9000000\r\n\r\n`,
      'c'.repeat(3_000_000),
    ],
    { timeoutMs: 3000 },
  )
  await sleep(300)
  expect(await first.stop('SIGKILL')).toBe('SIGKILL')
  await cut
  const second = await startServer({ dataDir: first.dataDir, port })
  try {
    expect((await session.get(`/upload/${uuid}`)).json.size).toBe(200_000)
    const done = (await session.post('/artifacts/upload/recovered', { upload_uuid: uuid })).json
    expect((await session.get(`/blobs/${done.blob_uuid}/data`)).bytes.toString()).toBe(
      'a'.repeat(100_000) + 'b'.repeat(100_000),
    )
    expect((await session.get(`/blobs/${view.blob_uuid}/data`)).bytes.toString()).toBe('version bytes')
  } finally {
    await second.remove()
  }
})

test('SIGTERM lets a request in flight finish, and ends within a bounded time when one hangs', async () => {
  const server = await startServer({ settings: { HOLDFAST_SHUTDOWN_TIMEOUT: '20' } })
  const session = await login(server.url, 'system', server.systemKey)
  const uuid = await upload(session, 'start')
  const head = (length: number) =>
    `POST /upload/${uuid} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${session.token}\r\nConnection: close\r\nContent-Length: ${length}\r\n\r\n`
  const slow = sendRaw(server.url, [head(6), 'abc', 'def'], { pauseMs: 1000 })
  // Long enough for a busy machine to have taken the request up, and not so long that it is over.
  await sleep(700)
  const ended = server.stop()
  expect((await slow)?.body).toBe('11')
  expect(await ended).toBe(0)

  const again = await startServer({
    dataDir: server.dataDir,
    port: Number(new URL(server.url).port),
    settings: { HOLDFAST_SHUTDOWN_TIMEOUT: '1' },
  })
  const hanging = sendRaw(again.url, [head(100), 'x'], { timeoutMs: 15_000 })
  await sleep(300)
  expect(await again.stop()).toBe(0)
  await hanging
  await rm(server.dataDir, { recursive: true, force: true })
})

test('a server with a certificate speaks HTTPS, reads it again at SIGHUP, and refuses a wrong pair at its start', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'holdfast-test-'))
  const port = await freePort()
  const [first, second] = ['first.example', 'second.example'].map((name) => makeCertificate(dataDir, name))
  const settings = {
    HOLDFAST_DATA_DIR: join(dataDir, 'data'),
    HOLDFAST_LISTEN: `127.0.0.1:${port}`,
    HOLDFAST_TLS_CERT: join(dataDir, 'cert.pem'),
    HOLDFAST_TLS_KEY: join(dataDir, 'key.pem'),
  }
  await copyFile(first!.cert, settings.HOLDFAST_TLS_CERT)
  await copyFile(second!.key, settings.HOLDFAST_TLS_KEY)
  const refused = spawnServer(settings)
  expect(await once(refused.child, 'exit')).toEqual([2, null])
  expect(refused.output()).toMatch(/^holdfast: HOLDFAST_TLS_KEY: the key in .* does not belong/m)

  await copyFile(first!.key, settings.HOLDFAST_TLS_KEY)
  const { child, output } = spawnServer(settings)
  try {
    await expect.poll(output, { timeout: 50_000 }).toContain(`Holdfast listens at https://127.0.0.1:${port}`)
    await copyFile(second!.key, settings.HOLDFAST_TLS_KEY)
    await copyFile(second!.cert, settings.HOLDFAST_TLS_CERT)
    child.kill('SIGHUP')
    const agent = new Agent({ ca: await readFile(second!.cert) })
    const ask = () =>
      new Promise((resolve) => {
        const asked = request({ host: '127.0.0.1', port, path: '/readyz', agent }, (reply) =>
          resolve(reply.resume().statusCode),
        )
        asked.on('error', resolve).end()
      })
    await expect.poll(ask, { timeout: 50_000 }).toBe(200)
  } finally {
    child.kill('SIGTERM')
    await once(child, 'exit')
    await rm(dataDir, { recursive: true })
  }
})
