/** What becomes of the things of a node that does not come back, or comes back too late. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { access } from 'node:fs/promises'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makePlace } from '../cli/run.ts'
import { login, type Session } from '../support/api.ts'
import { type RunningNodes, startNodes } from '../support/nodes.ts'
import { askPostgres } from '../support/postgres.ts'

const patient = { timeout: 60_000, interval: 200 }
const long = 180_000
const expirySeconds = 6
const content = randomBytes(300_000)
let store: RunningNodes
let web: Server
let origin: string
/** Of the first request for each path only a part is answered, and then nothing more. */
const held = new Map<string, ServerResponse>()

beforeAll(async () => {
  web = createServer(({ url }, response) => {
    response.writeHead(200, { 'Content-Length': content.length })
    if (held.has(url!)) return response.end(content)
    held.set(url!, response)
    response.write(content.subarray(0, 1000))
  }).listen(0, '127.0.0.1')
  await once(web, 'listening')
  origin = `http://127.0.0.1:${(web.address() as { port: number }).port}`
  store = await startNodes(2, {
    HOLDFAST_JOB_INTERVAL: '0.3',
    HOLDFAST_UPLOAD_EXPIRY: `${expirySeconds}`,
    HOLDFAST_FETCH_ALLOW: '127.0.0.1/32',
  })
}, long)
afterAll(async () => {
  web?.closeAllConnections()
  web?.close()
  await store?.[Symbol.asyncDispose]()
})

/** Requests as `system` at one of the nodes. */
const at = (place: number): Promise<Session> =>
  login(store.nodes[place]!.url, 'system', store.nodes[0]!.systemKey)
const kill = (place: number, signal: NodeJS.Signals) => store.nodes[place]!.process.kill(signal)
const stateOf = async (session: Session, name: string): Promise<string | undefined> =>
  (await session.get('/nodes')).json.find((node: { name: string }) => node.name === name)?.state

test(
  'uploads of a node that is gone expire, and it removes their files when it comes back',
  async () => {
    const one = await at(0)
    const two = await at(1)
    const { uuid } = (await two.post('/upload')).json
    expect((await two.send('POST', `/upload/${uuid}`, { body: 'never converted' })).json).toBe(15)
    const file = join(store.nodes[1]!.dataDir, 'uploads', `${uuid}.data`)
    await access(file)
    kill(1, 'SIGKILL')
    const code = async () => (await one.get(`/upload/${uuid}`)).json.code
    await expect.poll(code, patient).toBe('upload_not_found')
    expect((await one.get('/upload')).json).toEqual([])
    // Its node has removed nothing.
    await access(file)
    const again = await store.restart(1)
    await expect(access(file)).rejects.toThrow()
    expect((await (await at(1)).get(`/upload/${uuid}`)).json.code).toBe('upload_not_found')
    expect(again.process.exitCode).toBe(null)
  },
  long,
)

test.for(['SIGKILL', 'SIGSTOP'] as const)(
  'a fetch is taken over from a node that got %s in the middle of it, and makes one version',
  { timeout: long },
  async (signal) => {
    const path = `/${signal}.raw`
    const asked = await (await at(0)).post('/artifacts', {
      url: `${origin}${path}`,
      shared: false,
      namespace: null,
    })
    expect(asked.status).toBe(200)
    await expect.poll(() => held.has(path), patient).toBe(true)
    // Any node may have come first.
    const [{ name }] = (await askPostgres(
      store.databaseUrl,
      `SELECT nodes.name FROM fetches JOIN nodes USING (run) WHERE artifact_uuid = '${asked.json.uuid}'`,
    )) as [{ name: string }]
    const place = Number(name.split('-')[1]) - 1
    kill(place, signal)
    const left = await at(1 - place)
    const view = async () => (await left.get(`/artifacts/${asked.json.uuid}`)).json
    await expect.poll(view, patient).toMatchObject({ state: 'created', index: 1 })
    const { blob_uuid } = await view()
    if (signal === 'SIGSTOP') {
      // What the late one still gets is worth nothing any more.
      held.get(path)!.end(content.subarray(1000))
      kill(place, 'SIGCONT')
    } else await store.restart(place)
    await expect.poll(() => stateOf(left, name), patient).toBe('up')
    const uploads = async () => (await left.get('/upload')).json
    await expect.poll(uploads, patient).toEqual([])
    expect(await view()).toMatchObject({ state: 'created', index: 1, blob_uuid })
    const { bytes } = await (await at(place)).get(`/blobs/${blob_uuid}/data`)
    expect(bytes.equals(content)).toBe(true)
  },
)

test(
  'a node that will not come back is forgotten with its uploads, and its directory has to be emptied',
  async () => {
    const one = await at(0)
    const place = await makePlace({
      SHAKENFIST_API_URL: store.nodes[0]!.url,
      SHAKENFIST_NAMESPACE: 'system',
      SHAKENFIST_KEY: store.nodes[0]!.systemKey,
    })
    try {
      const running = await place.run('admin', 'forget-node', 'node-2')
      expect([running.code === 0, running.stderr]).toEqual([false, 'holdfast: the node is running\n'])
      expect((await one.delete('/nodes/nobody')).json.code).toBe('node_not_found')
      const { uuid } = (await (await at(1)).post('/upload')).json
      kill(1, 'SIGKILL')
      await expect.poll(() => stateOf(one, 'node-2'), patient).toBe('gone')
      expect((await place.run('admin', 'nodes')).stdout).toMatch(/node-2 .*gone/)
      const forgotten = await place.run('admin', 'forget-node', 'node-2')
      expect([forgotten.code, forgotten.stdout, forgotten.stderr]).toEqual([0, 'Forgot node-2.\n', ''])
      await expect.poll(() => stateOf(one, 'node-2'), patient).toBe(undefined)
      expect((await one.get(`/upload/${uuid}`)).json.code).toBe('upload_not_found')
    } finally {
      await place.remove()
    }
    await expect(store.restart(1)).rejects.toThrow('holds files of which this database knows nothing')
    await store.restart(1, { dataDir: join(store.nodes[0]!.dataDir, '..', 'new-node-2') })
    await expect.poll(() => stateOf(one, 'node-2'), patient).toBe('up')
  },
  long,
)
