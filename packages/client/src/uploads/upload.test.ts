import { createHash } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type FaultyProxy, isAppend, startProxy } from '../../../../test/support/faulty-proxy.ts'
import { createClient as createWebClient } from '../index.ts'
import { fileStateStore, type NodeClient } from '../node/index.ts'
import { startTestServer, type TestServer } from '../test-server.ts'
import type { UploadProgress } from '../types.ts'

const MiB = 1024 * 1024
const sha512 = (bytes: Uint8Array) => createHash('sha512').update(bytes).digest('hex')

/** Holdfast, and a server without the extensions. */
let servers: readonly { readonly server: TestServer; readonly proxy: FaultyProxy }[]
let server: TestServer
let proxy: FaultyProxy
let client: NodeClient
beforeAll(async () => {
  servers = await Promise.all(
    [{}, { HOLDFAST_EXTENSIONS: 'off' }].map(async (settings) => {
      const server = await startTestServer(settings)
      return { server, proxy: await startProxy(server.url) }
    }),
  )
})
afterAll(async () => {
  for (const { server, proxy } of servers) {
    await proxy.close()
    await server.remove()
  }
})
const choose = (plain: boolean) => {
  ;({ server, proxy } = servers[plain ? 1 : 0]!)
  proxy.requests.length = 0
  proxy.options = {}
  client = server.client({ url: proxy.url })
}

const store = () => fileStateStore(join(server.directory, 'state'))
/** What the server really has. */
const digestOf = async (blob: string) => {
  const { content } = await server.client().download({ blob, to: 'blob' })
  return sha512(await content!.bytes())
}
/** An append before which some data is on the server, with the first chunks of either kind of server. */
const laterAppend = (plain: boolean) => (plain ? 4 : 2)
/** Calls `act` when the given append begins; that one then hangs. */
const atAppend = (nth: number, act: () => void): void => {
  let appends = 0
  proxy.options = {
    fault(method, path) {
      if (!isAppend(method, path) || ++appends !== nth) return undefined
      act()
      return { kind: 'stall', after: 0 }
    },
  }
}
/** Uploads until that append, and not further. */
const interrupted = async (plain: boolean, source: string, name: string): Promise<void> => {
  const controller = new AbortController()
  atAppend(laterAppend(plain), () => controller.abort(new Error('interrupted')))
  const { signal } = controller
  await expect(client.upload({ source, name, signal })).rejects.toThrow('interrupted')
  proxy.options = {}
}

describe.each([
  ['Holdfast', false],
  ['a server without the extensions', true],
])('an upload to %s', (words, plain) => {
  beforeEach(() => choose(plain))

  it('makes a version of a path, and finds the content again', async () => {
    const { path, bytes } = await server.file(`${words} path`, 9 * MiB + 7)
    const phases = new Map<string, UploadProgress>()
    const onProgress = (progress: UploadProgress) => phases.set(progress.phase, progress)
    const result = await client.upload({ source: path, name: `${words} path`, onProgress })
    expect(result).toMatchObject({
      version: 1,
      hit: false,
      size: bytes.length,
      sha512: sha512(bytes),
      resumed: 0,
    })
    expect(result.sent).toBe(bytes.length)
    expect(await digestOf(result.blobUuid)).toBe(sha512(bytes))
    for (const phase of ['hash', 'send', 'convert'])
      expect(phases.get(phase)).toMatchObject({ finished: true })
    expect(phases.get('send')).toMatchObject({ done: bytes.length, total: bytes.length })

    const again = await client.upload({ source: path, name: `${words} again` })
    expect(again.blobUuid).toBe(result.blobUuid)
    expect(again.version).toBe(1)
    expect(await store().list()).toEqual([])
  })

  it('looks a small file up before it makes an upload', async () => {
    const { path } = await server.file(`${words} small`, 1000)
    await client.upload({ source: path, name: `${words} small` })
    proxy.requests.length = 0
    const result = await client.upload({ source: path, name: `${words} small, second` })
    expect(result).toMatchObject({ hit: true, sent: 0 })
    expect(proxy.requests.some((request) => request === 'POST /upload')).toBe(false)
  })

  it.each([
    ['a blob', (bytes: Buffer<ArrayBuffer>) => new Blob([bytes])],
    ['an iterable', (bytes: Buffer) => [bytes.subarray(0, 10), bytes.subarray(10)]],
    ['a stream', (bytes: Buffer) => Readable.from([bytes], { objectMode: false })],
  ])('takes %s', async (form, make) => {
    const { bytes } = await server.file('form', 3 * MiB + 1)
    const result = await client.upload({
      source: make(bytes as Buffer<ArrayBuffer>),
      name: `${words} ${form}`,
    })
    expect(result).toMatchObject({ size: bytes.length, sha512: sha512(bytes) })
    expect(await digestOf(result.blobUuid)).toBe(sha512(bytes))
  })

  it('goes on after an interruption, in another process', async () => {
    const { path, bytes } = await server.file(`${words} resumed`, 6 * MiB)
    const name = `${words} resumed`
    await interrupted(plain, path, name)
    expect((await store().list()).map(({ record }) => [record.target.name, record.path])).toEqual([
      [name, path],
    ])
    const result = await server.client({ url: proxy.url }).upload({ source: path, name })
    expect(result.resumed).toBeGreaterThan(0)
    expect(result.sent).toBeLessThan(bytes.length)
    expect(await digestOf(result.blobUuid)).toBe(sha512(bytes))
    expect(result.version).toBe(1)
    expect(await store().list()).toEqual([])
  })

  it('starts again when the upload is gone', async () => {
    const { path, bytes } = await server.file(`${words} expired`, 6 * MiB)
    const name = `${words} expired`
    await interrupted(plain, path, name)
    const [entry] = await store().list()
    await server.client().artifacts.convert(`${name}, half`, { upload_uuid: entry!.record.uploadUuid })
    const result = await client.upload({ source: path, name })
    expect(result.resumed).toBe(0)
    expect(await digestOf(result.blobUuid)).toBe(sha512(bytes))
  })

  it('sends nothing again when the earlier run had come to its version', async () => {
    const { path } = await server.file(`${words} unnoticed`, 6 * MiB)
    const name = `${words} unnoticed`
    const controller = new AbortController()
    // The server has acted, and its reply is at the proxy
    const act = () => controller.abort(new Error('killed'))
    proxy.options = {
      fault: (_, url) =>
        url.startsWith('/artifacts/upload/') ? { kind: 'call', of: 'reply', after: 0, act } : undefined,
    }
    await expect(client.upload({ source: path, name, signal: controller.signal })).rejects.toThrow('killed')
    proxy.options = {}
    expect(await client.upload({ source: path, name })).toMatchObject({ version: 1, hit: true, sent: 0 })
    expect(await client.artifacts.versions(name)).toHaveLength(1)
    expect(await store().list()).toEqual([])
  })

  it('does not continue with another state of the file', async () => {
    const { path } = await server.file(`${words} touched`, 6 * MiB)
    const name = `${words} touched`
    await interrupted(plain, path, name)
    await utimes(path, 1, 1)
    expect((await client.upload({ source: path, name })).resumed).toBe(0)
    expect(await store().list()).toEqual([])
  })

  it('notices that the file changes under its hands', async () => {
    const { path } = await server.file(`${words} growing`, 6 * MiB)
    let appends = 0
    proxy.options = {
      fault(method, url) {
        if (isAppend(method, url) && ++appends === laterAppend(plain)) appendFileSync(path, 'more')
        return undefined
      },
    }
    const name = `${words} growing`
    await expect(client.upload({ source: path, name })).rejects.toMatchObject({
      name: 'SourceChangedError',
    })
    await expect(client.artifacts.show(name)).rejects.toMatchObject({ code: 'artifact_not_found' })
    expect(await store().list()).toEqual([])
  })

  it('finds the version when only the reply to the conversion was lost', async () => {
    const { path, bytes } = await server.file(`${words} lost reply`, 5 * MiB)
    let broken = 1
    proxy.options = {
      fault: (_, url) =>
        url.startsWith('/artifacts/upload/') && broken-- > 0 ? { kind: 'cut-reply', after: -1 } : undefined,
    }
    const result = await client.upload({ source: path, name: `${words} lost reply` })
    expect(result).toMatchObject({ version: 1, sha512: sha512(bytes) })
    expect(await client.artifacts.versions(`${words} lost reply`)).toHaveLength(1)
  })

  it('repairs chunks that are cut or stall', async () => {
    const { path, bytes } = await server.file(`${words} faulty`, 6 * MiB)
    let appends = 0
    proxy.options = {
      fault(method, url) {
        if (!isAppend(method, url)) return undefined
        const turn = appends++ % 5
        if (turn === 0) return { kind: 'cut-request', after: 100_000 }
        if (turn === 1) return { kind: 'cut-reply', after: -1 }
        if (turn === 2) return { kind: 'status', status: 502 }
        return appends === 4 ? { kind: 'stall', after: 50_000 } : undefined
      },
    }
    const patient = server.client({ url: proxy.url, stallMs: 1500 })
    const result = await patient.upload({ source: path, name: `${words} faulty` })
    expect(await digestOf(result.blobUuid)).toBe(sha512(bytes))
    expect(result.version).toBe(1)
  })

  it('refuses an empty file clearly and leaves nothing behind', async () => {
    const { path } = await server.file('empty', 0)
    await expect(client.upload({ source: path, name: 'empty' })).rejects.toMatchObject({
      code: 'upload_empty',
    })
    expect(await store().list()).toEqual([])
    // A server without the extensions cannot be told to drop an upload
    if (!plain) expect((await server.client().uploads.list()).filter(({ size }) => size === 0)).toEqual([])
  })
})

describe('an upload', () => {
  beforeEach(() => choose(false))

  it('sends after all when the blob that was found is gone', async () => {
    const { path, bytes } = await server.file('vanishing', 5 * MiB)
    const first = await client.upload({ source: path, name: 'vanishing' })
    // The server tells of a blob that it does not have
    const ghost = await startProxy(proxy.url, {
      rewrite: (url, text) =>
        url.startsWith('/blob_checksums/') ? text.replaceAll(first.blobUuid, crypto.randomUUID()) : text,
    })
    const through = server.client({ url: ghost.url })
    const result = await through.upload({ source: path, name: 'vanishing, second' })
    expect(result.hit).toBe(false)
    expect(await digestOf(result.blobUuid)).toBe(sha512(bytes))
    await ghost.close()
  })

  it('gives up when nothing moves, and can be continued then', async () => {
    const { path } = await server.file('dead line', 6 * MiB)
    let appends = 0
    let dead = false
    proxy.options = {
      fault(method, url) {
        if (isAppend(method, url) && ++appends === 2) dead = true
        return dead ? { kind: 'status', status: 503 } : undefined
      },
    }
    const retry = { baseMs: 1, maxMs: 5, attempts: 3, patienceMs: 100 }
    const impatient = server.client({ url: proxy.url, retry })
    await expect(impatient.upload({ source: path, name: 'dead line' })).rejects.toMatchObject({
      name: 'NetworkError',
    })
    dead = false
    const result = await impatient.upload({ source: path, name: 'dead line' })
    expect(result.resumed).toBeGreaterThan(0)
  })

  it('cannot repeat what a stream gave only once', async () => {
    const known = new Set((await server.client().uploads.list()).map(({ uuid }) => uuid))
    const ours = async () => (await server.client().uploads.list()).find(({ uuid }) => !known.has(uuid))
    async function* source() {
      // More is asked for only when the client has let go of what the server has
      for (let i = 0; i < 16; i++) yield Buffer.alloc(MiB, i)
      await server.client().uploads.truncate((await ours())!.uuid, 0)
      yield Buffer.alloc(8 * MiB)
    }
    await expect(client.upload({ source: source(), name: 'rewound' })).rejects.toMatchObject({
      name: 'NotRepeatableError',
    })
    expect(await ours()).toBeUndefined()
  })

  it('works on fetch, without a hash', async () => {
    const web = createWebClient({ url: proxy.url, namespace: 'system', key: server.key })
    const { bytes } = await server.file('web', 5 * MiB)
    const result = await web.upload({ source: new Blob([bytes as Buffer<ArrayBuffer>]), name: 'web' })
    expect(result).toMatchObject({ sha512: undefined, hit: false, size: bytes.length })
    expect(await digestOf(result.blobUuid)).toBe(sha512(bytes))
  })
})
