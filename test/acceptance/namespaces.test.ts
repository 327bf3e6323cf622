import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNamespace, login, publish, type Session } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'

let server: RunningServer
let system: Session
let one: Session
let two: Session

beforeAll(async () => {
  server = await startServer()
  system = await login(server.url, 'system', server.systemKey)
  one = await createNamespace(server.url, system, 'one')
  two = await createNamespace(server.url, system, 'two')
})
afterAll(() => server.remove())

const names = (list: { name: string }[]) => list.map((namespace) => namespace.name)

test('the view', async () => {
  expect((await one.get(`/auth/namespaces/${one.namespace}`)).json).toEqual({
    name: one.namespace,
    state: 'created',
    metadata: {},
    version: 5,
    keys: ['first'],
    trust: { full: ['system'] },
  })
})

test('one sees oneself and those who trust one; system sees all', async () => {
  expect(names((await one.get('/auth/namespaces')).json)).toEqual([one.namespace])
  expect(names((await system.get('/auth/namespaces')).json)).toEqual(
    expect.arrayContaining(['system', one.namespace, two.namespace]),
  )
  expect((await one.get(`/auth/namespaces/${two.namespace}`)).json.error).toBe('namespace not found')
})

describe('creating', () => {
  test.each([
    [{}, 400, 'no namespace specified'],
    [{ namespace: 'made', key_name: 'k' }, 400, 'no key specified'],
    [{ namespace: 'made', key_name: 'k', key: 5 }, 400, 'key is not a string'],
    [{ namespace: 'system' }, 403, 'namespace exists'],
  ])('%j is refused', async (body, status, error) => {
    const answer = await system.post('/auth/namespaces', body)
    expect([answer.status, answer.json.error]).toEqual([status, error])
  })

  test('only system may', async () => {
    const answer = await one.post('/auth/namespaces', { namespace: 'mine' })
    expect([answer.status, answer.json.error]).toEqual([401, 'unauthorized'])
    expect(names((await system.get('/auth/namespaces')).json)).not.toContain('mine')
  })

  test('without a key, as the official client does it', async () => {
    const answer = await system.post('/auth/namespaces', { namespace: 'keyless' })
    expect(answer.json).toMatchObject({ name: 'keyless', keys: [], state: 'created' })
  })

  test.each(['with/slash', '', 'x'.repeat(65), 'new\nline'])('the name %j is refused', async (namespace) => {
    expect((await system.post('/auth/namespaces', { namespace, key_name: 'k', key: 'k' })).status).toBe(400)
  })
})

test('keys: names only, upsert, replace, delete', async () => {
  const path = `/auth/namespaces/${one.namespace}/keys`
  expect((await one.post(path, { key_name: 'extra', key: 'a' })).json).toBe('extra')
  expect((await one.get(path)).json.sort()).toEqual(['extra', 'first'])
  expect((await one.post(path, { key_name: 'extra', key: 'b' })).json).toBe('extra')
  expect((await one.put(path, { key_name: 'missing', key: 'b' })).json.error).toBe(
    'key name not found in namespace',
  )
  expect((await one.put(`${path}/extra`, { key: 'c' })).json).toBe('extra')
  expect((await login(server.url, one.namespace, 'c')).token).toBeTruthy()
  expect((await one.delete(`${path}/extra`)).json).toBe(null)
  expect((await one.delete(`${path}/extra`)).json).toMatchObject({
    status: 404,
    error: 'key name not found in namespace',
  })
  expect((await two.get(path)).status).toBe(404)
  expect((await two.post(path, { key_name: 'evil', key: 'x' })).status).toBe(404)
  expect((await one.get(path)).json).toEqual(['first'])
})

test('trust opens everything of one namespace to another, and closes again', async () => {
  const artifact = await publish(one, 'trusted thing', 'content of one')
  expect((await two.get(`/artifacts/${artifact.uuid}`)).status).toBe(404)
  const path = `/auth/namespaces/${one.namespace}/trust`
  expect((await one.post(path, { external_namespace: two.namespace })).json.trust.full.sort()).toEqual(
    ['system', two.namespace].sort(),
  )
  expect((await two.get(`/artifacts/${artifact.uuid}`)).json.uuid).toBe(artifact.uuid)
  expect(names((await two.get('/auth/namespaces')).json).sort()).toEqual(
    [one.namespace, two.namespace].sort(),
  )
  expect((await two.get(`/blobs/${artifact.blob_uuid}/data`)).bytes.toString()).toBe('content of one')
  expect((await one.get(`/auth/namespaces/${two.namespace}`)).status).toBe(404)

  expect((await one.delete(`${path}/system`)).json.trust.full).toContain('system')
  expect((await one.delete(`${path}/${two.namespace}`)).json.trust.full).toEqual(['system'])
  expect((await two.get(`/artifacts/${artifact.uuid}`)).status).toBe(404)
  expect((await two.get(`/blobs/${artifact.blob_uuid}/data`)).status).toBe(404)
  expect((await one.post(path, {})).json.status).toBe(400)
})

test('metadata', async () => {
  const path = `/auth/namespaces/${one.namespace}/metadata`
  expect((await one.post(path, { key: 'a', value: { deep: [1, null, 'x'] } })).json).toBe(null)
  expect((await one.put(`${path}/b`, { value: 'text' })).json).toBe(null)
  expect((await one.get(path)).json).toEqual({ a: { deep: [1, null, 'x'] }, b: 'text' })
  expect((await one.get(`/auth/namespaces/${one.namespace}`)).json.metadata).toEqual({
    a: { deep: [1, null, 'x'] },
    b: 'text',
  })
  expect((await one.delete(`${path}/a`)).json).toBe(null)
  expect((await one.delete(`${path}/a`)).json).toBe(null)
  expect((await one.post(path, { value: 1 })).json.error).toBe('no key specified')
  expect((await one.post(path, { key: 'c' })).json.error).toBe('no value specified')
  expect((await one.put(`${path}/c`, {})).json.error).toBe('no value specified')
  expect((await one.get(path)).json).toEqual({ b: 'text' })
  expect((await two.get(path)).status).toBe(404)
})

test('deleting takes everything along, and nothing is inherited by the next of that name', async () => {
  const doomed = await createNamespace(server.url, system, 'doomed')
  const artifact = await publish(doomed, 'gone', 'soon gone')
  await doomed.post(`/auth/namespaces/${doomed.namespace}/trust`, { external_namespace: two.namespace })
  await doomed.put(`/auth/namespaces/${doomed.namespace}/metadata/k`, { value: 1 })
  const { uuid } = (await doomed.post('/upload')).json
  expect((await one.delete(`/auth/namespaces/${doomed.namespace}`)).status).toBe(401)
  expect((await system.delete('/auth/namespaces/system')).json.status).toBe(403)
  expect((await system.delete(`/auth/namespaces/${doomed.namespace}`)).json).toBe(null)
  expect((await system.delete(`/auth/namespaces/${doomed.namespace}`)).status).toBe(404)
  expect((await system.get(`/artifacts/${artifact.uuid}`)).json.state).toBe('deleted')
  expect((await system.get(`/upload/${uuid}`)).status).toBe(404)

  await system.post('/auth/namespaces', { namespace: doomed.namespace, key_name: 'n', key: 'fresh' })
  const reborn = await login(server.url, doomed.namespace, 'fresh')
  expect((await reborn.get('/artifacts')).json).toEqual([])
  expect((await reborn.get(`/auth/namespaces/${doomed.namespace}`)).json).toMatchObject({
    keys: ['n'],
    metadata: {},
    trust: { full: ['system'] },
  })
  expect(names((await two.get('/auth/namespaces')).json)).not.toContain(doomed.namespace)
})

test('`sf-client namespace clean` finds nothing but artifacts to delete', async () => {
  const body = { confirm: true, namespace: one.namespace }
  expect((await one.delete('/instances', body)).json).toEqual([])
  expect((await one.delete('/networks', { ...body, clean_wait: true })).json).toEqual([])
})
