/** Rules that hold for a store, whichever nodes are asked: quotas, jobs. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createNamespace, login, publish, type Session, send } from '../support/api.ts'
import { type RunningNodes, startNodes } from '../support/nodes.ts'

const patient = { timeout: 30_000, interval: 100 }
let store: RunningNodes
let system: Session

beforeAll(async () => {
  store = await startNodes(2)
  system = await login(store.nodes[0]!.url, 'system', store.nodes[0]!.systemKey)
}, 120_000)
afterAll(() => store?.[Symbol.asyncDispose]())

const ask = (place: number, { token }: Session, method: string, target: string, body?: Buffer) =>
  send(store.nodes[place]!.url, method, target, { token, ...(body && { body }) })

test('two nodes do not admit two uploads to the same room', async () => {
  const one = await createNamespace(store.nodes[0]!.url, system)
  await system.put(`/auth/namespaces/${one.namespace}/limits`, { max_bytes: 1_000_000 })
  const bytes = randomBytes(600_000)
  for (let round = 0; round < 3; round++) {
    const uuids: string[] = []
    for (const place of [0, 1]) uuids.push((await ask(place, one, 'POST', '/upload')).json.uuid)
    const answers = await Promise.all(
      uuids.map((uuid, place) => ask(place, one, 'POST', `/upload/${uuid}`, bytes)),
    )
    const codes = answers.map(({ status, json }) => (status === 200 ? 'stored' : json.code)).sort()
    expect(codes).toEqual(['quota_exceeded', 'stored'])
    for (const place of [0, 1]) {
      const usage = async () => (await ask(place, one, 'GET', `/auth/namespaces/${one.namespace}/usage`)).json
      await expect.poll(usage, patient).toMatchObject({ upload_bytes: 600_000, bytes: 600_000 })
    }
    for (const uuid of uuids) expect((await ask(1, one, 'DELETE', `/upload/${uuid}`)).json).toBe(null)
  }
})

test('a run that is asked for at one node is seen at the other, and ends once for all', async () => {
  const sessions = [system, await login(store.nodes[1]!.url, 'system', store.nodes[0]!.systemKey)]
  for (const name of ['collect-blobs', 'expire-uploads'])
    for (const session of sessions) {
      const { json: asked } = await session.post(`/admin/jobs/${name}`, { wait: 0 })
      for (const other of sessions) {
        const runs = async () => (await other.get(`/admin/jobs/${name}`)).json.runs
        await expect.poll(runs, patient).toBeGreaterThanOrEqual(asked.run)
      }
    }
})

test('verification that is asked for at one node can be followed at the other', async () => {
  const { blob_uuid } = await publish(system, 'verified', 'bytes to be verified')
  const two = await login(store.nodes[1]!.url, 'system', store.nodes[0]!.systemKey)
  await system.post(`/admin/blobs/${blob_uuid}/verification`, { wait: 10 })
  const verdict = async () => (await two.get(`/admin/blobs/${blob_uuid}/verification`)).json.verdict
  await expect.poll(verdict, patient).toBe('good')
  await system.post('/admin/check', {})
  const check = async () => (await two.get('/admin/check')).json
  await expect.poll(check, patient).toMatchObject({ state: 'done', found: 0 })
})
