/** A node that is stopped in good order, and what the others and a balancer see of it. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { login, send } from '../support/api.ts'
import { type RunningNodes, startNodes } from '../support/nodes.ts'

const patient = { timeout: 60_000, interval: 50 }
const long = 180_000
let store: RunningNodes

beforeAll(async () => {
  store = await startNodes(2, { HOLDFAST_STOP_DELAY: '8' })
}, long)
afterAll(() => store?.[Symbol.asyncDispose]())

test(
  'it says that it leaves, and goes on as before for HOLDFAST_STOP_DELAY',
  async () => {
    const [first, second] = store.nodes as [(typeof store.nodes)[0], (typeof store.nodes)[0]]
    const one = await login(first.url, 'system', first.systemKey)
    const two = await login(second.url, 'system', first.systemKey)
    const { uuid } = (await two.post('/upload')).json
    const stopped = second.stop('SIGTERM')
    const readiness = async () => (await send(second.url, 'GET', '/readyz')).status
    await expect.poll(readiness, patient).toBe(503)
    // A balancer that has not noticed yet asks it as before; so do the others.
    expect((await two.post('/upload')).status).toBe(200)
    expect((await one.send('POST', `/upload/${uuid}`, { body: 'late' })).json).toBe(4)
    const states = async () => (await one.get('/nodes')).json.map(({ state }: { state: string }) => state)
    await expect.poll(states, patient).toEqual(['up', 'stopping'])
    expect(await stopped).toBe(0)
    expect((await one.get(`/upload/${uuid}`)).json.code).toBe('unavailable')
    await store.restart(1)
    const size = async () => (await one.get(`/upload/${uuid}`)).json.size
    await expect.poll(size, patient).toBe(4)
  },
  long,
)
