/**
 * What the client does with a server that has none of Holdfast's extensions, told by the requests that it makes. That
 * the results are right with every fault stands in the tests of uploads and downloads.
 */
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type FaultyProxy, isAppend, isBlobData, startProxy } from '../../../test/support/faulty-proxy.ts'
import type { NodeClient } from './node/index.ts'
import { startTestServer, type TestServer } from './test-server.ts'

const MiB = 1024 * 1024
const sha512 = (bytes: Uint8Array) => createHash('sha512').update(bytes).digest('hex')

let server: TestServer
let proxy: FaultyProxy
let client: NodeClient
beforeAll(async () => {
  server = await startTestServer({ HOLDFAST_EXTENSIONS: 'off' })
  proxy = await startProxy(server.url)
})
afterAll(async () => {
  await proxy?.close()
  await server?.remove()
})
beforeEach(() => {
  proxy.requests.length = 0
  proxy.options = {}
  client = server.client({ url: proxy.url })
})

const requestsOf = (pattern: RegExp) => proxy.requests.filter((request) => pattern.test(request))
const isAppendRequest = (request: string) => isAppend('POST', request.replace(/^POST /, ''))

describe('without the extensions', () => {
  it('the client finds out from the page at the root, once', async () => {
    const words = await client.capabilities()
    expect(words).toContain('artifact-metadata')
    for (const word of ['upload-offset', 'upload-status', 'convert-expect', 'blob-data-range', 'paged-lists'])
      expect(words).not.toContain(word)
    await client.artifacts.list()
    expect(requestsOf(/^GET \/$/)).toHaveLength(1)
  })

  it('an upload goes in plain appends of at most 2 MiB, and nothing asks for its status', async () => {
    const { path, bytes } = await server.file('plain', 17 * MiB)
    const result = await client.upload({ source: path, name: 'plain' })
    expect(result).toMatchObject({
      version: 1,
      size: bytes.length,
      sha512: sha512(bytes),
      sent: bytes.length,
    })
    expect(proxy.requests.filter(isAppendRequest).length).toBeGreaterThan(8)
    expect(requestsOf(/^(GET|HEAD|DELETE) \/upload/)).toEqual([])
    // The server compares nothing, so the client looks at what it made
    expect(requestsOf(/^GET \/blobs\/[^/]+$/)).toHaveLength(1)
  })

  it.each([
    ['lost', { kind: 'cut-reply', after: -1 }],
    ['cut', { kind: 'cut-request', after: 20_000 }],
    ['refused', { kind: 'status', status: 503 }],
  ] as const)('an append that is %s is undone by truncation and sent again', async (how, fault) => {
    const { bytes } = await server.file(how, 4 * MiB + 9)
    let appends = 0
    proxy.options = {
      fault: (method, path) => (isAppend(method, path) && ++appends === 3 ? fault : undefined),
    }
    const source = Readable.from([bytes], { objectMode: false })
    const result = await client.upload({ source, name: `append ${how}` })
    expect(result.sha512).toBe(sha512(bytes))
    expect((await client.blobs.show(result.blobUuid)).sha512).toBe(sha512(bytes))
    // To what the first two chunks, 64 KiB and up to four times as much, had been confirmed to
    const [, size] = /\/truncate\/(\d+)$/.exec(requestsOf(/truncate/)[0]!)!
    expect(Number(size)).toBeGreaterThan(64 * 1024)
    expect(Number(size)).toBeLessThanOrEqual(320 * 1024)
  })

  it('a conversion whose reply is lost is found again by its content, as one version', async () => {
    const { path, bytes } = await server.file('converted', MiB)
    let lost = 1
    proxy.options = {
      fault: (_, path) =>
        path.startsWith('/artifacts/upload/') && lost-- > 0 ? { kind: 'cut-reply', after: -1 } : undefined,
    }
    const result = await client.upload({ source: path, name: 'converted' })
    expect(result).toMatchObject({ version: 1, sha512: sha512(bytes) })
    expect(requestsOf(/^POST \/artifacts\/upload\/converted/).length).toBeGreaterThan(2)
    expect(requestsOf(/^GET \/blob_checksums\/sha512\//).length).toBeGreaterThan(1)
    expect(await client.artifacts.versions('converted')).toHaveLength(1)
  })

  it('a version of other bytes than ours is an error', async () => {
    const { bytes } = await server.file('altered', 1000)
    proxy.options = {
      rewrite: (path, text) =>
        /^\/blobs\/[^/]+$/.test(path) ? text.replaceAll(sha512(bytes), sha512(Buffer.from('other'))) : text,
    }
    const upload = client.upload({ source: [bytes], name: 'altered' })
    await expect(upload).rejects.toMatchObject({ name: 'VerificationError', expected: sha512(bytes) })
  })

  it('a download is one reply from an offset, continued by offset', async () => {
    const { path, bytes } = await server.file('down', 6 * MiB)
    const { blobUuid: blob } = await client.upload({ source: path, name: 'down' })
    let reads = 0
    proxy.requests.length = 0
    proxy.options = {
      fault: (method, path) =>
        isBlobData(method, path) && reads++ === 0 ? { kind: 'cut-reply', after: 2 * MiB } : undefined,
    }
    const to = join(server.directory, 'down.target')
    const result = await client.download({ artifact: 'down', to, connections: 4 })
    expect(result).toMatchObject({ verified: true, received: bytes.length })
    const [first, second, ...more] = requestsOf(/\/data/)
    expect([first, more]).toEqual([`GET /blobs/${blob}/data?offset=0`, []])
    const offset = Number(/offset=(\d+)$/.exec(second!)![1])
    expect(offset).toBeGreaterThan(0)
    expect(offset).toBeLessThanOrEqual(2 * MiB)
  })

  it('a list is one page, events are filtered, and errors have codes by their words', async () => {
    const small = join(server.directory, 'small')
    await writeFile(small, 'small')
    for (const name of ['l1', 'l2', 'l3']) await client.upload({ source: small, name })
    const page = await client.page('listArtifacts', { query: { limit: 2 } })
    expect(page.items.length).toBeGreaterThanOrEqual(3)
    expect(page.cursor).toBeUndefined()
    expect((await client.artifacts.events('l1', { limit: 1 })).length).toBe(1)
    expect(await client.artifacts.events('l1', { eventType: 'prune' })).toEqual([])
    await expect(client.artifacts.show('nothing')).rejects.toMatchObject({ code: 'artifact_not_found' })
    const { artifact: image } = await client.upload({ source: small, name: 'twice' })
    await client.upload({ source: small, name: 'twice', artifactType: 'other' })
    await expect(client.artifacts.show(image.name)).rejects.toMatchObject({ code: 'artifact_ambiguous' })
    await expect(client.uploads.list()).rejects.toMatchObject({ code: 'method_not_allowed' })
  })
})
