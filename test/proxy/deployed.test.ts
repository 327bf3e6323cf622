import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { login, publish, send } from '../support/api.ts'
import { freePort } from '../support/ports.ts'
import { startServer } from '../support/server.ts'
import { startCaddy } from './caddy.ts'

/** The files of `deploy`, as they are given to operators. */

const deploy = fileURLToPath(new URL('../../deploy', import.meta.url))
const MiB = 1024 * 1024

test('nginx takes the configuration of the compose file', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-deploy-'))
  try {
    const text = await readFile(join(deploy, 'nginx', 'nginx.conf'), 'utf8')
    // Names and places that are there in the containers only.
    const here = text
      .replaceAll(/node-\d:/g, '127.0.0.1:')
      .replaceAll(/\/var\/cache\/nginx|\/run/g, directory)
      .replace('include holdfast-proxy.conf', `include ${deploy}/nginx/holdfast-proxy.conf`)
    await writeFile(join(directory, 'nginx.conf'), here)
    execFileSync('nginx', ['-t', '-q', '-e', 'stderr', '-c', join(directory, 'nginx.conf')])
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('behind Caddy clients are known by their address, whatever they say, and uploads are streamed', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-deploy-'))
  const port = await freePort()
  const server = await startServer({
    settings: { HOLDFAST_TRUSTED_PROXIES: '127.0.0.1', HOLDFAST_PUBLIC_URL: `http://127.0.0.1:${port}/api` },
  })
  const caddy = await startCaddy(directory, port, new URL(server.url).host)
  const agent = new Agent({ localAddress: '127.0.0.5' })
  const base = `http://127.0.0.1:${port}/api`
  try {
    const spoof = {
      'X-Forwarded-For': '192.0.2.1',
      'X-Forwarded-Prefix': '/evil',
      'X-Request-ID': 'through-caddy',
    }
    const page = await send(base, 'GET', '/', { agent, headers: spoof, unchecked: true })
    expect(page.headers['x-request-id']).toBe('through-caddy')
    expect(page.bytes.toString()).toContain('href="/api/ui/"')
    const line = () =>
      server
        .output()
        .split('\n')
        .find((text) => text.includes('through-caddy'))
    await expect.poll(line).toContain('"address":"127.0.0.5"')
    expect((await send(base, 'GET', '/metrics', { unchecked: true })).status).toBe(403)

    const session = await login(base, 'system', server.systemKey, agent)
    const { uuid } = (await session.post('/upload')).json
    const body = new PassThrough()
    const headers = { 'Content-Length': String(5 * MiB) }
    const sent = session.send('POST', `/upload/${uuid}`, { body, headers })
    body.write(Buffer.alloc(4 * MiB, 1))
    const file = join(server.dataDir, 'uploads', `${uuid}.data`)
    await expect
      .poll(async () => (await stat(file)).size, { timeout: 10_000 })
      .toBeGreaterThanOrEqual(3 * MiB)
    body.end(Buffer.alloc(MiB, 2))
    expect((await sent).json).toBe(5 * MiB)
    const { blob_uuid } = await publish(session, 'grün 50%', 'some bytes')
    const part = await session.send('GET', `/blobs/${blob_uuid}/data`, { headers: { Range: 'bytes=5-' } })
    expect([part.status, part.bytes.toString()]).toEqual([206, 'bytes'])
  } finally {
    agent.destroy()
    await caddy.stop()
    await server.remove()
    await rm(directory, { recursive: true })
  }
}, 60_000)
