/** Nodes with a certificate of their own authority speak https with each other, and with nobody who has another one. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { Agent } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { login } from '../support/api.ts'
import { type CertificateFiles, makeCertificate } from '../support/certificates.ts'
import { sharedSettings } from '../support/nodes.ts'
import { freePort } from '../support/ports.ts'
import { dropDatabaseOf } from '../support/postgres.ts'
import { spawnServer } from '../support/server.ts'

const patient = { timeout: 60_000, interval: 200 }

const startSecure = async (
  directory: string,
  name: string,
  { cert, key }: CertificateFiles,
  trusted: CertificateFiles,
) => {
  const listen = `127.0.0.1:${await freePort()}`
  const { child, output } = spawnServer({
    ...(await sharedSettings(directory)),
    HOLDFAST_LISTEN: listen,
    HOLDFAST_DATA_DIR: join(directory, name),
    HOLDFAST_NODE_NAME: name,
    HOLDFAST_SYSTEM_KEY: 'key of system',
    HOLDFAST_TLS_CERT: cert,
    HOLDFAST_TLS_KEY: key,
    NODE_EXTRA_CA_CERTS: trusted.cert,
  })
  const url = `https://${listen}`
  await expect.poll(output, patient).toContain(`Holdfast listens at ${url}`)
  const agent = new Agent({ ca: await readFile(cert) })
  return { child, session: () => login(url, 'system', 'key of system', agent) }
}

test('requests are passed on over https, to nodes whose certificate is trusted only', {
  timeout: 180_000,
}, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-https-'))
  const [ours, foreign] = ['ours', 'foreign'].map((name) => makeCertificate(directory, name)) as [
    CertificateFiles,
    CertificateFiles,
  ]
  const nodes: Awaited<ReturnType<typeof startSecure>>[] = []
  try {
    for (const [name, cert] of [
      ['node-1', ours],
      ['node-2', ours],
      ['node-3', foreign],
    ] as const)
      nodes.push(await startSecure(directory, name, cert, ours))
    const [one, two, three] = await Promise.all(nodes.map(({ session }) => session()))
    const { uuid } = (await two!.post('/upload')).json
    expect((await one!.send('POST', `/upload/${uuid}`, { body: 'over https' })).json).toBe(10)
    expect((await three!.get(`/upload/${uuid}`)).json).toMatchObject({ node: 'node-2', size: 10 })
    const { uuid: theirs } = (await three!.post('/upload')).json
    const refused = await one!.send('POST', `/upload/${theirs}`, { body: 'not to be sent' })
    expect(refused.json).toMatchObject({ code: 'unavailable', detail: { node: 'node-3' } })
    expect((await three!.get(`/upload/${theirs}`)).json.size).toBe(0)
  } finally {
    for (const { child } of nodes) child.kill('SIGKILL')
    await dropDatabaseOf(directory)
    await rm(directory, { recursive: true, force: true })
  }
})
