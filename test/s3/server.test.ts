/** A server with its blobs in S3 (TEST_S3_URL), from outside: what clients and operators see of the service. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { login, publish, type Session } from '../support/api.ts'
import { type FaultyProxy, startProxy } from '../support/faulty-proxy.ts'
import { freePort } from '../support/ports.ts'
import { blobSettings, openTestS3, testCredentials } from '../support/s3.ts'
import { type RunningServer, spawnServer, startServer } from '../support/server.ts'

const MiB = 1024 * 1024
let proxy: FaultyProxy
let server: RunningServer
let session: Session
let settings: Record<string, string>

beforeAll(async () => {
  proxy = await startProxy(process.env.TEST_S3_URL!)
  settings = {
    HOLDFAST_S3_ENDPOINT: proxy.url,
    HOLDFAST_S3_PATIENCE: '1',
    HOLDFAST_S3_REDIRECT: 'on',
    HOLDFAST_JOB_INTERVAL: '1000000',
    HOLDFAST_LOG_LEVEL: 'trace',
  }
  server = await startServer({ settings })
  session = await login(server.url, 'system', server.systemKey)
})
afterAll(async () => {
  await server.remove()
  await proxy.close()
})
beforeEach(() => {
  proxy.options.fault = undefined
  proxy.requests.length = 0
})

const away = () => {
  proxy.options.fault = () => ({ kind: 'status', status: 503 })
}
const append = (uuid: string, bytes: Buffer, offset: number) =>
  session.send('POST', `/upload/${uuid}`, { body: bytes, headers: { 'Upload-Offset': `${offset}` } })
const begin = async () => (await session.post('/upload')).json.uuid as string
const convert = (uuid: string, name: string) =>
  session.post(`/artifacts/upload/${name}`, { upload_uuid: uuid })
const parts = () => proxy.requests.filter((request) => /^PUT .*partNumber=/.test(request))
const unfinished = async () => {
  const { client, bucket: Bucket, prefix } = (await openTestS3(server.dataDir))!
  return ((await client.listMultipartUploads({ Bucket, Prefix: prefix })).Uploads ?? []).length
}

test('parts go to the store while the upload arrives, and a conversion sends the last one', async () => {
  const bytes = randomBytes(20 * MiB)
  const uuid = await begin()
  await append(uuid, bytes.subarray(0, 18 * MiB), 0)
  await expect.poll(() => parts().length).toBe(2)
  await append(uuid, bytes.subarray(18 * MiB), 18 * MiB)
  const { json } = await convert(uuid, 'in-parts')
  expect(parts().length).toBe(3)
  expect((await session.get(`/blobs/${json.blob_uuid}/data`)).bytes.equals(bytes)).toBe(true)
  expect(await unfinished()).toBe(0)
  expect(await readdir(join(server.dataDir, 'uploads'))).toEqual([])
})

test('an upload that is given up leaves nothing in the store', async () => {
  const uuid = await begin()
  await append(uuid, randomBytes(9 * MiB), 0)
  await expect.poll(unfinished).toBe(1)
  await session.delete(`/upload/${uuid}`)
  await expect.poll(unfinished).toBe(0)
})

test('what a conversion left in the store, of which nobody heard, goes with its upload', async () => {
  const { client, bucket: Bucket, prefix } = (await openTestS3(server.dataDir))!
  const isStored = async (uuid: string) =>
    ((await client.listObjectsV2({ Bucket, Prefix: `${prefix}/blobs/${uuid}` })).Contents ?? []).length === 1
  /** An upload that cannot be converted, as the store does what it is asked for and its reply is lost. */
  const doubtful = async (bytes = randomBytes(100_000)): Promise<string> => {
    const uuid = await begin()
    await append(uuid, bytes, 0)
    proxy.options.fault = (method) => (method === 'PUT' ? { kind: 'cut-reply', after: -1 } : undefined)
    expect(await convert(uuid, 'unheard')).toMatchObject({
      status: 503,
      json: { code: 'blob_store_unavailable' },
    })
    proxy.options.fault = undefined
    expect(await isStored(uuid)).toBe(true)
    return uuid
  }
  const givenUp = await doubtful()
  await session.delete(`/upload/${givenUp}`)
  expect(await isStored(givenUp)).toBe(false)

  const { dataDir } = server
  const restart = async (more: Record<string, string> = {}) => {
    await server.stop()
    server = await startServer({ dataDir, settings: { ...settings, ...more } })
    session = await login(server.url, 'system', server.systemKey)
  }
  const hasFiles = async (uuid: string) =>
    (await readdir(join(dataDir, 'uploads'))).some((name) => name.startsWith(uuid))
  // The store is away meanwhile: the next start does it.
  const left = await doubtful()
  away()
  expect((await session.delete(`/upload/${left}`)).status).toBe(200)
  proxy.options.fault = undefined
  expect([await hasFiles(left), await isStored(left)]).toEqual([true, true])
  await restart()
  expect([await hasFiles(left), await isStored(left)]).toEqual([false, false])

  // Or their expiry, once the store is there.
  await restart({ HOLDFAST_UPLOAD_EXPIRY: '1' })
  const old = await doubtful()
  const expire = () => session.post('/admin/jobs/expire-uploads', { wait: 10 })
  away()
  await sleep(1500)
  expect((await expire()).status).toBe(200)
  proxy.options.fault = undefined
  expect([await hasFiles(old), await isStored(old)]).toEqual([true, true])
  expect((await expire()).status).toBe(200)
  expect([await hasFiles(old), await isStored(old)]).toEqual([false, false])
  await restart()

  // Others bring the same content before it is tried again.
  const bytes = randomBytes(100_000)
  const late = await doubtful(bytes)
  const { blob_uuid: blob } = await publish(session, 'first', bytes)
  expect((await convert(late, 'late')).json.blob_uuid).toBe(blob)
  expect(await isStored(late)).toBe(false)
  expect((await session.get(`/blobs/${blob}/data`)).bytes.equals(bytes)).toBe(true)

  // What is tried again with success becomes a blob and stays one.
  const own = await doubtful()
  expect((await convert(own, 'own')).json.blob_uuid).toBe(own)
  expect(await session.delete(`/upload/${own}`)).toMatchObject({ status: 404 })
  expect(await isStored(own)).toBe(true)
})

test('while the store is away uploads go on; what needs it is refused, and works afterwards', async () => {
  const bytes = randomBytes(9 * MiB)
  const { blob_uuid: stored } = await publish(session, 'before', bytes)
  away()
  const uuid = await begin()
  expect((await append(uuid, bytes.subarray(0, 5 * MiB), 0)).status).toBe(200)
  const others = Buffer.concat([bytes.subarray(0, 5 * MiB), randomBytes(6 * MiB)])
  expect((await append(uuid, others.subarray(5 * MiB), 5 * MiB)).status).toBe(200)
  for (const refused of [await convert(uuid, 'away'), await session.get(`/blobs/${stored}/data`)]) {
    expect(refused).toMatchObject({ status: 503, json: { code: 'blob_store_unavailable' } })
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
  }
  expect((await session.get(`/blobs/${stored}`)).json.state).toBe('created')
  proxy.options.fault = undefined
  const { json } = await convert(uuid, 'away')
  expect((await session.get(`/blobs/${json.blob_uuid}/data`)).bytes.equals(others)).toBe(true)
  expect(await unfinished()).toBe(0)
})

test('who prefers a redirect gets a link that needs no token, for a range as well; others get the bytes', async () => {
  const bytes = randomBytes(100_000)
  const { blob_uuid: blob } = await publish(session, 'to be "fetched"', bytes)
  const path = `${server.url}/blobs/${blob}/data`
  const ask = (headers: Record<string, string>, query = '') =>
    fetch(path + query, {
      headers: { Authorization: `Bearer ${session.token}`, ...headers },
      redirect: 'manual',
    })
  const answer = await ask({ Prefer: 'respond-async, redirect' })
  expect([answer.status, answer.headers.get('preference-applied')]).toEqual([307, 'redirect'])
  const link = answer.headers.get('location')!
  expect(link.startsWith(`${proxy.url}/holdfast/`)).toBe(true)
  const direct = await fetch(link)
  expect(Buffer.from(await direct.arrayBuffer()).equals(bytes)).toBe(true)
  expect(direct.headers.get('content-disposition')).toMatch(/^attachment/)
  const part = await fetch(link, { headers: { Range: 'bytes=500-999' } })
  expect(part.status).toBe(206)
  expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(500, 1000))).toBe(true)
  expect((await fetch(link, { method: 'PUT', body: 'other' })).ok).toBe(false)

  expect((await ask({})).status).toBe(200)
  expect((await ask({ Prefer: 'redirect' }, '?offset=5')).status).toBe(200)
  expect((await ask({ Prefer: 'redirect', Range: 'bytes=5-' })).status).toBe(307)
  expect((await ask({ Prefer: 'redirect', 'If-None-Match': '*' })).status).toBe(304)
  // What the server knows to be damaged it gives no link to.
  const { client, bucket: Bucket, prefix } = (await openTestS3(server.dataDir))!
  await client.putObject({ Bucket, Key: `${prefix}/blobs/${blob}`, Body: 'rot' })
  await session.post(`/admin/blobs/${blob}/verification`, { wait: 10 })
  expect((await ask({ Prefer: 'redirect' })).status).toBe(503)
})

test('a restart aborts what was sent ahead, and the conversion sends it again', async () => {
  const bytes = randomBytes(10 * MiB)
  const uuid = await begin()
  await append(uuid, bytes, 0)
  await expect.poll(unfinished).toBe(1)
  await server.stop('SIGKILL')
  const { dataDir } = server
  server = await startServer({ dataDir, settings })
  session = await login(server.url, 'system', server.systemKey)
  expect(await unfinished()).toBe(0)
  const { json } = await convert(uuid, 'after-a-restart')
  expect((await session.get(`/blobs/${json.blob_uuid}/data`)).bytes.equals(bytes)).toBe(true)
})

test('check and collection work on objects', async () => {
  const { uuid, blob_uuid: blob } = await publish(session, 'checked', randomBytes(1000))
  const { client, bucket: Bucket, prefix } = (await openTestS3(server.dataDir))!
  const Key = `${prefix}/blobs/${blob}`
  // The job that reads new blobs would find it first.
  await session.post('/admin/jobs/digest-blobs', { wait: 10 })
  await client.deleteObject({ Bucket, Key })
  await session.post('/admin/check', {})
  const report = async () => (await session.get('/admin/check')).json
  await expect.poll(async () => (await report()).state, { timeout: 10_000 }).toBe('done')
  expect((await report()).faults).toMatchObject([{ kind: 'file_missing', object: blob }])
  await session.delete(`/artifacts/${uuid}`)
})

test('neither key nor signature is ever logged', () => {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret } = testCredentials
  const output = server.output()
  expect(output).toContain('HOLDFAST_BLOB_STORE')
  for (const word of [id, `"${secret}"`, 'X-Amz-Signature', 'AWS4-HMAC', 'Credential='])
    expect(output).not.toContain(word)
})

/** How a start ends that is refused, and what it says. */
const refusedStart = async (words: Record<string, string>): Promise<{ code: number; output: string }> => {
  const { child, output } = spawnServer({
    HOLDFAST_LISTEN: `127.0.0.1:${await freePort()}`,
    HOLDFAST_LOG_LEVEL: 'silent',
    ...words,
  })
  const [code] = (await once(child, 'exit')) as [number]
  return { code, output: output() }
}

test('a start with the wrong bucket, key or database is refused in words, and nothing is changed', async () => {
  const other = await startServer()
  await other.stop()
  const own = { HOLDFAST_DATA_DIR: server.dataDir, ...blobSettings(server.dataDir) }
  const place = blobSettings(server.dataDir).HOLDFAST_BLOB_STORE!
  const foreign = blobSettings(other.dataDir).HOLDFAST_BLOB_STORE!
  await server.stop()
  try {
    for (const [words, code, message] of [
      [{ ...own, HOLDFAST_BLOB_STORE: `${place}/elsewhere` }, 1, /holds no store, and not the blobs/],
      [{ ...own, HOLDFAST_BLOB_STORE: foreign }, 1, /holds the blobs of another store/],
      [{ HOLDFAST_DATA_DIR: server.dataDir }, 1, /blobs of this store are in S3/],
      [
        { ...own, AWS_SECRET_ACCESS_KEY: 'not so' },
        1,
        /cannot be used: .*(SignatureDoesNotMatch|signature)/i,
      ],
      [{ ...own, HOLDFAST_BLOB_STORE: 's3://no-such-bucket' }, 1, /cannot be used: .*(NoSuchBucket|bucket)/i],
      [{ ...own, HOLDFAST_BLOB_STORE: 'bucket' }, 2, /not of the form s3:/],
    ] as const) {
      const refused = await refusedStart(words)
      expect([refused.code, refused.output]).toEqual([code, expect.stringMatching(message)])
    }
  } finally {
    await rm(other.dataDir, { recursive: true })
    server = await startServer({ dataDir: server.dataDir, settings })
  }
})
