import { afterAll, beforeAll, expect, test } from 'vitest'
import { createNamespace, login, publish, type Session } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'

let server: RunningServer
let system: Session
let one: Session
let two: Session
let first: string
let second: string

beforeAll(async () => {
  server = await startServer()
  system = await login(server.url, 'system', server.systemKey)
  one = await createNamespace(server.url, system)
  two = await createNamespace(server.url, system)
  first = (await publish(one, 'builds', 'build 1')).blob_uuid
  second = (await publish(one, 'builds', 'build 2')).blob_uuid
})
afterAll(() => server.remove())

test('create, update, show, delete', async () => {
  const made = await one.post('/label/stable', { blob_uuid: first })
  expect(made.json).toMatchObject({
    artifact_type: 'label',
    name: 'stable',
    source_url: `sf://label/${one.namespace}/stable`,
    namespace: one.namespace,
    state: 'created',
    index: 1,
    blob_uuid: first,
    max_versions: 3,
  })
  expect((await one.post('/label/stable', { blob_uuid: first })).json.index).toBe(1)
  const moved = (await one.post('/label/stable', { blob_uuid: second, max_versions: 1 })).json
  expect([moved.uuid, moved.index, Object.keys(moved.blobs), moved.max_versions]).toEqual([
    made.json.uuid,
    2,
    ['2'],
    1,
  ])
  expect((await one.get('/label/stable')).json).toMatchObject({ uuid: moved.uuid, blob_uuid: second })
  expect((await one.get(`/label/${one.namespace}/stable`)).json.uuid).toBe(moved.uuid)
  expect((await one.delete('/label/stable')).json.state).toBe('deleted')
  expect((await one.get('/label/stable')).json).toMatchObject({ status: 404, code: 'label_not_found' })
  expect((await one.delete('/label/stable')).status).toBe(404)
})

test('a label keeps its blob after the artifact it came from is gone', async () => {
  const view = await publish(one, 'short lived', 'kept by a label')
  await one.post('/label/keeper', { blob_uuid: view.blob_uuid })
  expect((await one.get(`/blobs/${view.blob_uuid}`)).json.reference_count).toBe(2)
  await one.delete('/artifacts/short%20lived')
  expect((await one.get(`/blobs/${view.blob_uuid}/data`)).bytes.toString()).toBe('kept by a label')
})

test('namespaced names: own and trusting ones, and nobody else', async () => {
  const path = `/label/${one.namespace}/theirs`
  expect((await two.post(path, { blob_uuid: first })).status).toBe(404)
  const own = (await publish(two, 'x', 'of two')).blob_uuid
  expect((await two.post(path, { blob_uuid: own })).json.error).toBe('namespace not found')
  expect((await two.post('/label/nobody/x', { blob_uuid: own })).json.error).toBe('namespace not found')
  expect((await two.get(path)).status).toBe(404)
  await one.post(`/auth/namespaces/${one.namespace}/trust`, { external_namespace: two.namespace })
  expect((await two.post(path, { blob_uuid: first })).json).toMatchObject({
    namespace: one.namespace,
    blob_uuid: first,
  })
  await one.delete(`/auth/namespaces/${one.namespace}/trust/${two.namespace}`)
  expect((await two.delete(path)).status).toBe(404)
  expect((await one.delete(path)).status).toBe(200)
})

test('user errors are 4xx and create nothing', async () => {
  const before = (await one.get('/artifacts')).json.length
  for (const [path, body, status] of [
    ['/label/a/b/c', { blob_uuid: first }, 404],
    ['/label/unknown', { blob_uuid: '00000000-0000-4000-8000-000000000000' }, 404],
    ['/label/unknown', { blob_uuid: 'x' }, 404],
    ['/label/unknown', { max_versions: 0, blob_uuid: first }, 400],
    ['/label/unknown', { max_versions: 'abc', blob_uuid: first }, 400],
    [`/label/${'x'.repeat(300)}`, { blob_uuid: first }, 400],
    ['/label/new%0aline', { blob_uuid: first }, 400],
  ] as const) {
    const answer = await one.send('POST', path, { json: body, unchecked: true })
    expect([path, body, answer.status]).toEqual([path, body, status])
  }
  for (const body of [{}, { blob_uuid: 7 }, { blob_uuid: null }]) {
    const answer = await one.post('/label/unknown', body)
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.status).toBeLessThan(500)
  }
  expect((await one.get('/artifacts')).json).toHaveLength(before)
})
