import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type FaultyProxy, isAppend, startProxy } from '../../../../test/support/faulty-proxy.ts'
import { startTestServer, type TestServer } from '../test-server.ts'

const MiB = 1024 * 1024
const gone = { error: 'gone', status: 503, code: 'upload_node_gone', detail: { node: 'node-2' } }
let server: TestServer
let proxy: FaultyProxy
/** Uploads whose node is not there any more: every request that names them is refused. */
const lost = new Set<string>()

beforeAll(async () => {
  server = await startTestServer()
  proxy = await startProxy(server.url)
})
afterAll(async () => {
  await proxy.close()
  await server.remove()
})
beforeEach(() => {
  lost.clear()
  proxy.options = {
    fault: (method, path) =>
      method !== 'DELETE' && [...lost].some((uuid) => path.includes(uuid))
        ? { kind: 'status', status: 503, json: gone }
        : undefined,
  }
})

test('an upload whose node is gone is begun again, with every byte', async () => {
  const { path, bytes } = await server.file('moved', 9 * MiB)
  const uploads: string[] = []
  const isGone = proxy.options.fault!
  let appends = 0
  proxy.options = {
    fault(method, target, socket) {
      // The first one is small and arrives, so that there is something to be lost.
      if (isAppend(method, target) && ++appends === 2) lost.add(uploads[0]!)
      return isGone(method, target, socket)
    },
  }
  const result = await server.client({ url: proxy.url }).upload({
    source: path,
    name: 'moved',
    lookup: false,
    onUpload: ({ uuid }) => uploads.push(uuid),
  })
  expect(uploads.length).toBe(2)
  expect(result).toMatchObject({ version: 1, size: bytes.length, resumed: 0 })
  const { sha512 } = await server.client().blobs.show(result.blobUuid)
  expect(sha512).toBe(createHash('sha512').update(bytes).digest('hex'))
  // What it gave up is nobody's concern any more.
  expect(await server.client().uploads.list()).toEqual([])
})

test('so is one that an earlier run has left there', async () => {
  const { path } = await server.file('left', 9 * MiB)
  const controller = new AbortController()
  const uploads: string[] = []
  const options = {
    source: path,
    name: 'left',
    lookup: false,
    onUpload: ({ uuid }: { uuid: string }) => uploads.push(uuid),
  }
  proxy.options = {
    fault(method, target) {
      if (!isAppend(method, target) || uploads.length !== 1) return undefined
      controller.abort(new Error('interrupted'))
      return { kind: 'stall', after: 0 }
    },
  }
  const { signal } = controller
  await expect(server.client({ url: proxy.url }).upload({ ...options, signal })).rejects.toThrow(
    'interrupted',
  )
  lost.add(uploads[0]!)
  proxy.options = {
    fault: (method, target) =>
      method !== 'DELETE' && target.includes(uploads[0]!)
        ? { kind: 'status', status: 503, json: gone }
        : undefined,
  }
  const result = await server.client({ url: proxy.url }).upload(options)
  expect([uploads.length, result.version, result.resumed]).toEqual([2, 1, 0])
})
