import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNamespace, login, publish, type Session, send, upload } from '../support/api.ts'
import { directUrlOf, type RunningServer, startServer } from '../support/server.ts'

let server: RunningServer
let system: Session
let one: Session
let two: Session
const nobody = '00000000-0000-4000-8000-000000000000'

beforeAll(async () => {
  server = await startServer()
  system = await login(server.url, 'system', server.systemKey)
  one = await createNamespace(server.url, system)
  two = await createNamespace(server.url, system)
})
afterAll(() => server.remove())

const convert = (session: Session, name: string, body: object) =>
  session.post(`/artifacts/upload/${encodeURIComponent(name)}`, body)
const listed = async (session: Session): Promise<string[]> =>
  (await session.get('/artifacts')).json.map((view: { name: string }) => view.name)

test('the view after a first conversion', async () => {
  const view = await publish(one, 'first thing', 'hello')
  expect(view).toMatchObject({
    uuid: expect.any(String),
    name: 'first thing',
    state: 'created',
    metadata: {},
    version: 6,
    artifact_type: 'image',
    source_url: `sf://upload/${one.namespace}/first thing`,
    max_versions: 3,
    namespace: one.namespace,
    shared: false,
    index: 1,
  })
  expect(view.blobs).toMatchObject({
    1: { uuid: view.blob_uuid, size: 5, reference_count: 1, depends_on: null },
  })
})

test('null fields mean absent, as the official client sends them', async () => {
  const view = await publish(one, 'nulls', 'nulls', {
    source_url: null,
    shared: false,
    namespace: null,
    blob_uuid: null,
  })
  expect(view.source_url).toBe(`sf://upload/${one.namespace}/nulls`)
})

test('names may hold spaces, Unicode and dots', async () => {
  for (const name of ['päck 1.2 — ☃', '..', '%2e', 'a'.repeat(255), 'quote\'"<&>', '名前']) {
    const view = await publish(one, name, `content of ${name}`)
    expect(view.name).toBe(name)
    expect((await one.get(`/artifacts/${encodeURIComponent(name)}`)).json.uuid).toBe(view.uuid)
  }
})

describe('refusals create nothing', () => {
  test.each([
    [
      'both',
      { upload_uuid: nobody, blob_uuid: nobody },
      400,
      'only specify one of upload_uuid and blob_uuid',
    ],
    ['neither', {}, 400, undefined],
    ['an unknown upload', { upload_uuid: nobody }, 404, 'upload not found'],
    ['a malformed upload', { upload_uuid: '../../etc' }, 404, 'upload not found'],
    ['an unknown blob', { blob_uuid: nobody }, 404, 'blob not found'],
    ['a malformed blob', { blob_uuid: 'x' }, 404, 'blob not found'],
    ['a number for an upload', { upload_uuid: 7 }, 400, undefined],
  ])('%s', async (what, body, status, error) => {
    const answer = await convert(one, `refused ${what}`, body)
    expect(answer.status).toBe(status)
    if (error) expect(answer.json.error).toBe(error)
    expect(await listed(one)).not.toContain(`refused ${what}`)
  })

  test.each([
    ['shared', { shared: true }, 403, 'only the system namespace can create shared artifacts'],
    ['an unknown namespace', { namespace: 'nobody' }, 404, 'namespace not found'],
    ['another type', { artifact_type: 'snapshot' }, 403, 'invalid artifact type specified'],
    ['a label', { artifact_type: 'label' }, 403, 'invalid artifact type specified'],
    ['nonsense for a type', { artifact_type: 5 }, 403, 'invalid artifact type specified'],
    ['a wrong size', { size: 5 }, 409, 'the upload has another size than expected'],
    ['a wrong digest', { sha512: '0'.repeat(128) }, 409, 'the upload has another sha512 than expected'],
    ['half a digest', { sha512: 'abc' }, 400, undefined],
  ])('with an upload that stays as it was: %s', async (what, fields, status, error) => {
    const uuid = await upload(one, 'data')
    const answer = await convert(one, `refused ${what}`, { upload_uuid: uuid, ...fields })
    expect(answer.status).toBe(status)
    if (error) expect(answer.json.error).toBe(error)
    expect(await listed(one)).not.toContain(`refused ${what}`)
    expect((await one.get(`/upload/${uuid}`)).json.size).toBe(4)
  })

  test('an empty upload', async () => {
    const uuid = await upload(one)
    const answer = await convert(one, 'empty', { upload_uuid: uuid })
    expect([answer.status, answer.json.code]).toEqual([400, 'upload_empty'])
    expect((await one.get(`/upload/${uuid}`)).status).toBe(200)
  })

  test('a namespace that does not trust the caller', async () => {
    const uuid = await upload(one, 'data')
    expect((await convert(one, 'pushed', { upload_uuid: uuid, namespace: two.namespace })).json.error).toBe(
      'namespace not found',
    )
    expect(await listed(two)).not.toContain('pushed')
  })

  test.each(['with%2Fslash', 'a'.repeat(256), 'a'.repeat(10_000), 'new%0aline', 'nul%00', '%7f'])(
    'the name %s',
    async (name) => {
      const uuid = await upload(one, 'data')
      const target = `/artifacts/upload/${name}`
      // nginx refuses some of them with words of its own.
      const ask = { token: one.token, json: { upload_uuid: uuid } }
      const answer = await send(directUrlOf(server), 'POST', target, ask)
      expect(answer.status).toBeGreaterThanOrEqual(400)
      expect(answer.status).toBeLessThan(500)
      expect((await one.get(`/upload/${uuid}`)).json.size).toBe(4)
    },
  )
})

test('system may share at once and put artifacts elsewhere; a trusted namespace may too', async () => {
  const shared = await publish(system, 'shared at once', 'shared', { shared: true })
  expect(shared.shared).toBe(true)
  expect((await one.get(`/artifacts/${shared.uuid}`)).json.shared).toBe(true)
  const placed = await publish(system, 'placed', 'placed', { namespace: one.namespace })
  expect(placed).toMatchObject({ namespace: one.namespace, source_url: 'sf://upload/system/placed' })
  expect((await one.get('/artifacts/placed')).json.uuid).toBe(placed.uuid)
  await one.post(`/auth/namespaces/${one.namespace}/trust`, { external_namespace: two.namespace })
  const pushed = await publish(two, 'pushed', 'pushed', { namespace: one.namespace })
  expect(pushed.namespace).toBe(one.namespace)
  await one.delete(`/auth/namespaces/${one.namespace}/trust/${two.namespace}`)
  expect((await two.get(`/artifacts/${pushed.uuid}`)).status).toBe(404)
})

describe('versions', () => {
  test('the same identity gets a new version; another type or URL is another artifact and the name is ambiguous', async () => {
    const first = await publish(one, 'twin', 'v1')
    const second = await publish(one, 'twin', 'v2')
    expect([second.uuid, second.index, Object.keys(second.blobs)]).toEqual([first.uuid, 2, ['1', '2']])
    const other = await publish(one, 'twin', 'v3', { artifact_type: 'other' })
    const elsewhere = await publish(one, 'twin', 'v3', { source_url: 'https://example.com/twin' })
    expect(new Set([first.uuid, other.uuid, elsewhere.uuid]).size).toBe(3)
    const answer = await one.get('/artifacts/twin')
    expect([answer.status, answer.json.error]).toEqual([
      400,
      `multiple artifacts have the name "twin" in namespace "${one.namespace}"`,
    ])
    expect(answer.json.detail.candidates.map((entry: { uuid: string }) => entry.uuid).sort()).toEqual(
      [first.uuid, other.uuid, elsewhere.uuid].sort(),
    )
  })

  test('equal content is not added again, and is stored once', async () => {
    const first = await publish(one, 'equal', 'the same')
    const again = await publish(one, 'equal', 'the same')
    expect([again.index, again.blob_uuid]).toEqual([1, first.blob_uuid])
    const elsewhere = await publish(one, 'equal too', 'the same')
    expect(elsewhere.blob_uuid).toBe(first.blob_uuid)
    expect(elsewhere.blobs[1].reference_count).toBe(2)
    await publish(one, 'equal', 'something else')
    expect((await publish(one, 'equal', 'the same')).index).toBe(3)
  })

  test('older ones are pruned, and numbers grow for ever', async () => {
    let view = await publish(one, 'pruned', 'content 1')
    const { blob_uuid: oldest } = view
    for (const index of [2, 3, 4, 5]) view = await publish(one, 'pruned', `content ${index}`)
    expect([view.index, Object.keys(view.blobs)]).toEqual([5, ['3', '4', '5']])
    expect((await one.get(`/blobs/${oldest}`)).status).toBe(404)
    await one.delete('/artifacts/pruned/versions/5')
    view = await publish(one, 'pruned', 'content 6')
    expect([view.index, Object.keys(view.blobs)]).toEqual([6, ['3', '4', '6']])
  })

  test('a deleted artifact is passed over', async () => {
    const first = await publish(one, 'phoenix', 'ash')
    await one.delete('/artifacts/phoenix')
    const second = await publish(one, 'phoenix', 'ash')
    expect(second.uuid).not.toBe(first.uuid)
    expect(second.index).toBe(1)
    expect((await one.get('/artifacts/phoenix')).json.uuid).toBe(second.uuid)
  })
})

test('by blob: needs sight of it, and makes a version without any bytes', async () => {
  const source = await publish(one, 'source', 'reused bytes')
  const sha512 = createHash('sha512').update('reused bytes').digest('hex')
  const view = (await convert(one, 'reuse', { blob_uuid: source.blob_uuid, sha512, size: 12 })).json
  expect(view).toMatchObject({ index: 1, blob_uuid: source.blob_uuid })
  expect((await convert(two, 'theft', { blob_uuid: source.blob_uuid })).json.error).toBe('blob not found')
  expect((await convert(one, 'wrong', { blob_uuid: source.blob_uuid, size: 11 })).json.code).toBe(
    'size_mismatch',
  )
  expect(
    (await convert(one, 'wrong', { blob_uuid: source.blob_uuid, sha512: '0'.repeat(128) })).json.code,
  ).toBe('digest_mismatch')
})

describe('repeating', () => {
  test('the same conversion again answers with the same version', async () => {
    const uuid = await upload(one, 'once only')
    const body = {
      upload_uuid: uuid,
      size: '9',
      sha512: createHash('sha512').update('once only').digest('hex').toUpperCase(),
    }
    const first = await convert(one, 'repeated', body)
    const second = await convert(one, 'repeated', body)
    expect(second.json).toEqual(first.json)
    expect(second.json.index).toBe(1)
    expect((await convert(one, 'repeated elsewhere', { upload_uuid: uuid })).json.error).toBe(
      'upload not found',
    )
    expect((await convert(two, 'repeated', { upload_uuid: uuid })).json.error).toBe('upload not found')
    expect((await one.send('POST', `/upload/${uuid}`, { body: 'late' })).json.error).toBe('upload not found')
  })

  test('many at once make one version', async () => {
    const uuid = await upload(one, 'raced')
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => convert(one, 'raced', { upload_uuid: uuid })),
    )
    expect(answers.map((answer) => answer.status)).toEqual(Array(6).fill(200))
    expect(new Set(answers.map((answer) => answer.json.blob_uuid)).size).toBe(1)
    expect((await one.get('/artifacts/raced/versions')).json).toHaveLength(1)
  })

  test('versions made at the same time are all there', async () => {
    await publish(one, 'crowd', 'seed')
    await one.post('/artifacts/crowd/versions', { max_versions: 100 })
    const views = await Promise.all(
      Array.from({ length: 10 }, (_, index) => publish(one, 'crowd', `member ${index}`)),
    )
    expect(new Set(views.map((view) => view.uuid)).size).toBe(1)
    const versions = (await one.get('/artifacts/crowd/versions')).json
    expect(versions.map((version: { index: number }) => version.index)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    ])
  })
})

test('a disk image is recognised', async () => {
  const qcow2 = Buffer.alloc(1024 * 1024)
  qcow2.write('QFI\xfb', 0, 'latin1')
  qcow2.writeUInt32BE(3, 4)
  qcow2.writeUInt32BE(16, 20)
  qcow2.writeBigUInt64BE(5n * 1024n ** 3n, 24)
  qcow2.writeUInt32BE(4, 96)
  qcow2.writeUInt32BE(104, 100)
  const view = await publish(one, 'disk', qcow2)
  const blob = (await one.get(`/blobs/${view.blob_uuid}`)).json
  expect(blob).toMatchObject({
    'file format': 'qcow2',
    'virtual size': 5 * 1024 ** 3,
    cluster_size: 65536,
    compat: '1.1',
  })
  expect(blob['mime-type']).toMatch(/qemu/)
})
