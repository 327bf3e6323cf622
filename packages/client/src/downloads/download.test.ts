import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { lstat, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Writable } from 'node:stream'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type FaultyProxy, isBlobData, startProxy } from '../../../../test/support/faulty-proxy.ts'
import { createClient as createWebClient } from '../index.ts'
import type { NodeClient } from '../node/index.ts'
import { quickRetry } from '../test-retry.ts'
import { startTestServer, type TestServer } from '../test-server.ts'
import type { DownloadProgress } from '../types.ts'

const MiB = 1024 * 1024
const size = 20 * MiB + 11
const sha512 = (bytes: Uint8Array) => createHash('sha512').update(bytes).digest('hex')

/** Holdfast, and a server without the extensions, with the same content. */
let servers: readonly { readonly server: TestServer; readonly proxy: FaultyProxy; readonly blob: string }[]
let server: TestServer
let proxy: FaultyProxy
let client: NodeClient
let digest: string
let blob: string
let targets = 0
let to: string

beforeAll(async () => {
  const content = randomBytes(size)
  digest = sha512(content)
  servers = await Promise.all(
    [{}, { HOLDFAST_EXTENSIONS: 'off' }].map(async (settings) => {
      const server = await startTestServer(settings)
      await server.client().upload({ source: new Blob(['older']), name: 'versions' })
      await server.client().upload({ source: new Blob(['newer']), name: 'versions' })
      const { blobUuid } = await server.client().upload({ source: [content], name: 'content' })
      return { server, proxy: await startProxy(server.url), blob: blobUuid }
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
  ;({ server, proxy, blob } = servers[plain ? 1 : 0]!)
  proxy.requests.length = 0
  proxy.options = {}
  client = server.client({ url: proxy.url })
  to = join(server.directory, `target-${targets++}`)
}

/** Files that a download to `to` left. */
const left = async () =>
  (await readdir(server.directory)).filter((name) => name.startsWith(basename(to))).sort()
const digestOfFile = async (path: string) => sha512(await readFile(path))

/** Downloads until some data came, and not further. */
const interrupted = async (plain: boolean): Promise<void> => {
  const controller = new AbortController()
  let reads = 0
  proxy.options = {
    fault(method, path) {
      if (!isBlobData(method, path)) return undefined
      // The later connections end the whole download once the first ones have their data
      if (++reads <= (plain ? 1 : 3)) return { kind: 'cut-reply', after: 3 * MiB }
      controller.abort(new Error('interrupted'))
      return { kind: 'stall', after: 0 }
    },
  }
  const download = client.download({ blob, to, connections: 1, signal: controller.signal })
  await expect(download).rejects.toThrow('interrupted')
  proxy.options = {}
}

describe.each([
  ['Holdfast', false],
  ['a server without the extensions', true],
])('a download from %s', (_, plain) => {
  beforeEach(() => choose(plain))

  it('puts verified bytes under the name', async () => {
    const phases = new Map<string, DownloadProgress>()
    const onProgress = (progress: DownloadProgress) => phases.set(progress.phase, progress)
    const result = await client.download({ artifact: 'content', to, onProgress })
    expect(result).toMatchObject({
      blobUuid: blob,
      size,
      sha512: digest,
      verified: true,
      resumed: 0,
      received: size,
    })
    expect(await digestOfFile(to)).toBe(digest)
    expect(await left()).toEqual([basename(to)])
    expect(phases.get('receive')).toMatchObject({ done: size, total: size, finished: true })
    expect(phases.get('verify')).toMatchObject({ done: size, finished: true })
    const ranges = proxy.requests.filter((request) => isBlobData('GET', request.slice(4))).length
    if (plain) expect(ranges).toBe(1)
    else expect(ranges).toBeGreaterThanOrEqual(4)
  })

  it('goes on after an interruption, in another process', async () => {
    await interrupted(plain)
    expect(await left()).toEqual([`${basename(to)}.part`, `${basename(to)}.part.json`])
    const result = await server.client({ url: proxy.url }).download({ blob, to })
    expect(result.resumed).toBeGreaterThan(0)
    expect(result.resumed + result.received).toBe(size)
    expect(result.verified).toBe(true)
    expect(await digestOfFile(to)).toBe(digest)
    expect(await left()).toEqual([basename(to)])
  })

  it('starts over by itself when the part of an earlier run was bad', async () => {
    await interrupted(plain)
    const part = await readFile(`${to}.part`)
    part[0]! ^= 1
    await writeFile(`${to}.part`, part)
    const result = await client.download({ blob, to })
    expect(result).toMatchObject({ verified: true, resumed: 0 })
    expect(await digestOfFile(to)).toBe(digest)
  })

  it('ignores a part that belongs to something else', async () => {
    await writeFile(`${to}.part`, 'anything')
    await writeFile(
      `${to}.part.json`,
      JSON.stringify({ format: 1, blob: 'x', size, sha512: digest, done: [[0, 8]] }),
    )
    expect(await client.download({ blob, to })).toMatchObject({ resumed: 0, verified: true })
    expect(await digestOfFile(to)).toBe(digest)
  })

  it('refuses wrong bytes and leaves nothing', async () => {
    const other = await startProxy(proxy.url, {
      rewrite: (_, text) => text.replaceAll(digest, sha512(Buffer.from('something else'))),
    })
    const deceived = server.client({ url: other.url })
    // If-Range would already tell Holdfast that another blob is meant
    const expected = plain ? { name: 'VerificationError' } : { code: 'range_not_satisfiable' }
    await expect(deceived.download({ blob, to })).rejects.toMatchObject(expected)
    if (plain) expect(await left()).toEqual([])
    else expect(await left()).not.toContain(basename(to))
    await other.close()
  })

  it('survives cut, silent and refused replies', async () => {
    let reads = 0
    proxy.options = {
      fault(method, path) {
        if (!isBlobData(method, path)) return undefined
        const turn = reads++
        if (turn === 0) return { kind: 'cut-reply', after: 5 }
        if (turn === 1) return { kind: 'status', status: 503, retryAfter: '0' }
        if (turn === 2) return { kind: 'delay', ms: 1500 }
        return turn < 6 ? { kind: 'cut-reply', after: 2 * MiB } : undefined
      },
    }
    const patient = server.client({ url: proxy.url, stallMs: 1500 })
    const result = await patient.download({ blob, to })
    expect(result.verified).toBe(true)
    expect(await digestOfFile(to)).toBe(digest)
  })

  it('writes to streams and blobs, from any offset', async () => {
    const pieces: Uint8Array[] = []
    const stream = new Writable({
      write(piece, _encoding, done) {
        pieces.push(piece)
        setImmediate(done)
      },
    })
    expect(await client.download({ blob, to: stream })).toMatchObject({ verified: true, received: size })
    expect(sha512(Buffer.concat(pieces))).toBe(digest)

    let received = 0
    const web = new WritableStream<Uint8Array>({
      write(piece) {
        received += piece.length
      },
    })
    const tail = await client.download({ blob, to: web, offset: size - 3 * MiB })
    expect(tail).toMatchObject({ verified: false, received: 3 * MiB })
    expect(received).toBe(3 * MiB)

    const { content } = await client.download({ artifact: 'content', to: 'blob' })
    expect(sha512(await content!.bytes())).toBe(digest)
  })
})

describe('a download', () => {
  beforeEach(() => choose(false))

  it('takes the newest version, or the one that is asked for', async () => {
    const text = async (version?: number) => {
      const ref = version === undefined ? {} : { version }
      return await (await client.download({ artifact: 'versions', ...ref, to: 'blob' })).content!.text()
    }
    expect(await text()).toBe('newer')
    expect(await text(1)).toBe('older')
    await expect(text(3)).rejects.toMatchObject({ code: 'version_not_found' })
  })

  it('ends when the target ends or the caller has had enough, although nobody takes the bytes', async () => {
    const closing = new Writable({ highWaterMark: 1, write: () => {} })
    setTimeout(() => closing.destroy(), 50)
    await expect(client.download({ blob, to: closing })).rejects.toThrow('closed before it had everything')
    const stuck = new Writable({ highWaterMark: 1, write: () => {} })
    const signal = AbortSignal.timeout(50)
    await expect(client.download({ blob, to: stuck, signal })).rejects.toMatchObject({ name: 'TimeoutError' })
  })

  it('writes to a named pipe, and keeps a symbolic link to a file', async () => {
    execFileSync('mkfifo', [to])
    const [result, bytes] = await Promise.all([client.download({ blob, to }), readFile(to)])
    expect(result).toMatchObject({ size, verified: true })
    expect(sha512(bytes)).toBe(digest)
    expect((await lstat(to)).isFIFO()).toBe(true)
    const [link, file] = [`${to}-link`, `${to}-file`]
    await writeFile(file, 'old')
    await symlink(file, link)
    await client.download({ blob, to: link })
    expect((await lstat(link)).isSymbolicLink()).toBe(true)
    expect(await digestOfFile(file)).toBe(digest)
    await expect(client.download({ blob, to: server.directory })).rejects.toMatchObject({ code: 'EISDIR' })
  })

  it('keeps its connections from one range to the next', async () => {
    const sockets = new Set<unknown>()
    let ranges = 0
    proxy.options = {
      fault(method, path, socket) {
        if (!isBlobData(method, path)) return undefined
        ranges++
        sockets.add(socket)
        return undefined
      },
    }
    await client.download({ blob, to, connections: 1 })
    expect(ranges).toBeGreaterThan(1)
    expect(sockets.size).toBeLessThan(ranges)
  })

  it('works on fetch', async () => {
    const retry = quickRetry
    const web = createWebClient({ url: proxy.url, namespace: 'system', key: server.key, retry })
    let reads = 0
    proxy.options = {
      fault: (method, path) =>
        isBlobData(method, path) && reads++ === 0 ? { kind: 'cut-reply', after: MiB } : undefined,
    }
    const result = await web.download({ blob, to: 'blob' })
    expect(result.verified).toBe(false)
    expect(sha512(await result.content!.bytes())).toBe(digest)
  })
})
