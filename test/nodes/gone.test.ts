/** Nodes that go, come back, are frozen, or have a wrong clock. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, type NodeClient } from '@holdfast/client/node'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { login, publish, type Session } from '../support/api.ts'
import { type RunningNodes, startNodes } from '../support/nodes.ts'
import { sendRaw } from '../support/raw.ts'
import { type Spread, startSpread } from '../support/spread.ts'

const patient = { timeout: 60_000, interval: 200 }
const long = 180_000
const settings = {
  HOLDFAST_JOB_INTERVAL: '0.3',
  HOLDFAST_COLLECT_GRACE: '0',
  HOLDFAST_UPLOAD_EXPIRY: '3600',
  HOLDFAST_LEASE_LIFETIME: '1',
  HOLDFAST_UPLOAD_STALL: '600',
}
let store: RunningNodes
let balancer: Spread
let client: NodeClient
let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-gone-'))
  store = await startNodes(2, settings)
  balancer = await startSpread(store.nodes.map(({ url }) => url))
  client = createClient({
    url: balancer.url,
    namespace: 'system',
    key: store.nodes[0]!.systemKey,
    retry: { baseMs: 100, maxMs: 1000 },
  })
}, long)
afterAll(async () => {
  client?.close()
  await balancer?.[Symbol.asyncDispose]()
  await store?.[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

/** Requests as `system` at one of the nodes. */
const at = (place: number): Promise<Session> =>
  login(store.nodes[place]!.url, 'system', store.nodes[0]!.systemKey)
const kill = (place: number, signal: NodeJS.Signals) => store.nodes[place]!.process.kill(signal)
const stateOf = async (session: Session, name: string): Promise<string> =>
  (await session.get('/nodes')).json.find((node: { name: string }) => node.name === name).state
const placeOf = (node: string) => Number(node.split('-')[1]) - 1
const file = async (name: string, size: number): Promise<{ path: string; bytes: Buffer }> => {
  const path = join(directory, name)
  const bytes = randomBytes(size)
  await writeFile(path, bytes)
  return { path, bytes }
}
const contentOf = async (place: number, blob: string): Promise<Buffer> =>
  (await (await at(place)).get(`/blobs/${blob}/data`)).bytes

test(
  'uploads of a node that is gone have a refusal of their own, and go on when it comes back',
  async () => {
    const one = await at(0)
    const two = await at(1)
    const { uuid } = (await two.post('/upload')).json
    const spare = (await two.post('/upload')).json.uuid
    await two.send('POST', `/upload/${uuid}`, { body: 'first' })
    kill(1, 'SIGKILL')
    const look = async () => (await one.get(`/upload/${uuid}`)).json.code
    // It may only be starting again: who asks is to come back.
    expect(await look()).toBe('unavailable')
    await expect.poll(look, patient).toBe('upload_node_gone')
    expect(await stateOf(one, 'node-2')).toBe('gone')
    const refused = await one.post('/artifacts/upload/any', { upload_uuid: uuid })
    expect(refused.json).toMatchObject({ status: 503, code: 'upload_node_gone', detail: { node: 'node-2' } })
    expect(refused.headers['retry-after']).toBe(undefined)
    const listed = (await one.get('/upload')).json as { uuid: string }[]
    expect(listed.map((upload) => upload.uuid)).toContain(uuid)
    // Giving one up needs no file.
    expect((await one.delete(`/upload/${spare}`)).json).toBe(null)

    await store.restart(1)
    await expect.poll(look, patient).toBe(undefined)
    const headers = { 'Upload-Offset': '5' }
    const more = await one.send('POST', `/upload/${uuid}`, { body: ' and second', headers })
    expect(more.json).toBe(16)
    const { json } = await one.post('/artifacts/upload/any', { upload_uuid: uuid })
    expect((await contentOf(1, json.blob_uuid)).toString()).toBe('first and second')
    expect((await one.get(`/upload/${spare}`)).json.code).toBe('upload_not_found')
  },
  long,
)

test(
  'the client library begins an upload again by itself when its node is gone',
  async () => {
    const { path, bytes } = await file('moved', 20 * 1024 * 1024)
    const uploads: { uuid: string; node: string }[] = []
    let isKilled = false
    const result = await client.upload({
      source: path,
      name: 'moved',
      lookup: false,
      resume: false,
      onUpload: (upload) => uploads.push(upload),
      onProgress: ({ phase, done }) => {
        if (phase !== 'send' || done === 0 || isKilled) return
        isKilled = true
        kill(placeOf(uploads[0]!.node), 'SIGKILL')
      },
    })
    expect(isKilled).toBe(true)
    expect(uploads.length).toBe(2)
    expect(uploads[1]!.node).not.toBe(uploads[0]!.node)
    const left = placeOf(uploads[1]!.node)
    expect((await contentOf(left, result.blobUuid)).equals(bytes)).toBe(true)
    await store.restart(1 - left)
  },
  long,
)

test(
  'an upload goes on through the restart of its node, and so does the next one',
  async () => {
    for (const place of [0, 1]) {
      const { path, bytes } = await file(`rolling-${place}`, 20 * 1024 * 1024)
      const uploads: string[] = []
      let restarting: Promise<unknown> | undefined
      const result = await client.upload({
        source: path,
        name: 'rolling',
        lookup: false,
        resume: false,
        onUpload: ({ uuid }) => uploads.push(uuid),
        onProgress: ({ phase, done }) => {
          if (phase !== 'send' || done === 0 || restarting) return
          const stopped = store.nodes[place]!.stop('SIGTERM')
          restarting = stopped.then(() => store.restart(place))
        },
      })
      await restarting
      expect(uploads.length).toBe(1)
      expect((await contentOf(place, result.blobUuid)).equals(bytes)).toBe(true)
    }
  },
  long,
)

test(
  'an append whose client left while the node was frozen is not passed on, and holds nobody up',
  async () => {
    const [one, two] = [await at(0), await at(1)]
    const { uuid } = (await one.post('/upload')).json
    for (const headers of ['', 'Upload-Offset: 0\r\n']) {
      kill(1, 'SIGSTOP')
      const head = `POST /upload/${uuid} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${two.token}\r\n${headers}Content-Length: 100000\r\n\r\n`
      await sendRaw(store.nodes[1]!.url, [head, randomBytes(50_000)], { cut: true })
      kill(1, 'SIGCONT')
      await expect.poll(() => stateOf(two, 'node-2'), patient).toBe('up')
      // Answered by the node that was frozen, after all that came to it before.
      expect((await two.get(`/upload/${uuid}`)).json.size).toBe(0)
    }
    // The owner would wait for the rest of a body for longer than this test may take.
    expect((await one.send('POST', `/upload/${uuid}`, { body: 'all there is' })).json).toBe(12)
  },
  long,
)

test(
  'jobs go on without a frozen node, and it does no harm when it is continued',
  async () => {
    const two = await at(1)
    const kept = await publish(two, 'kept', 'kept bytes')
    const dropped = await publish(two, 'dropped', 'dropped bytes')
    kill(0, 'SIGSTOP')
    await expect.poll(() => stateOf(two, 'node-1'), patient).toBe('gone')
    await two.delete(`/artifacts/${dropped.uuid}`)
    const blob = async () => (await two.get(`/admin/blobs/${dropped.blob_uuid}`)).json.state
    await expect.poll(blob, patient).toBe('deleted')
    kill(0, 'SIGCONT')
    await expect.poll(() => stateOf(two, 'node-1'), patient).toBe('up')
    for (const place of [0, 1]) {
      expect((await contentOf(place, kept.blob_uuid)).toString()).toBe('kept bytes')
      expect(await (await at(place)).get('/admin/quarantine')).toMatchObject({ json: [] })
    }
  },
  long,
)

test(
  'a node whose clock is hours ahead agrees with the others',
  async () => {
    expect(await store.nodes[1]!.stop('SIGTERM')).toBe(0)
    await store.restart(1, { preload: new URL('../support/wrong-clock.ts', import.meta.url) })
    const one = await at(0)
    const two = await at(1)
    const before = Date.now() / 1000 - 5
    const { json: upload } = await two.post('/upload')
    expect(upload.created_at).toBeGreaterThan(before)
    expect(upload.created_at).toBeLessThan(before + 60)
    // Its own clock would have the upload expire at once, and the tokens of the other node.
    const ran = (await two.post('/admin/jobs/expire-uploads', { wait: 10 })).json
    expect(ran.runs).toBeGreaterThanOrEqual(ran.run)
    expect((await one.get(`/upload/${upload.uuid}`)).json).toMatchObject({ node: 'node-2', size: 0 })
    const nodes = (await one.get('/nodes')).json as { seen_at: number }[]
    expect(Math.abs(nodes[0]!.seen_at - nodes[1]!.seen_at)).toBeLessThan(60)
  },
  long,
)

test(
  'a name belongs to a data directory',
  async () => {
    const again = store.restart(1, {
      dataDir: join(directory, 'another'),
      port: 0,
      settings: { HOLDFAST_NODE_NAME: 'node-1' },
    })
    await expect(again).rejects.toThrow('Another node with the name node-1 is running')
  },
  long,
)
