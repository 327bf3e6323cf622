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
  one = await createNamespace(server.url, system)
  two = await createNamespace(server.url, system)
})
afterAll(() => server.remove())

const uuids = (list: { uuid: string }[]): string[] => list.map((view) => view.uuid)

test('list: own ones, also with the body that the official client sends with its GET', async () => {
  const view = await publish(one, 'listed', 'listed')
  expect(uuids((await one.get('/artifacts')).json)).toContain(view.uuid)
  expect(uuids((await one.get('/artifacts', { node: null })).json)).toContain(view.uuid)
  const { locations } = (await one.get(`/blobs/${view.blob_uuid}`)).json
  expect(uuids((await one.get('/artifacts', { node: locations[0] })).json)).toContain(view.uuid)
  expect((await one.get('/artifacts', { node: 'elsewhere' })).json).toEqual([])
  expect(uuids((await two.get('/artifacts')).json)).not.toContain(view.uuid)
  expect(uuids((await system.get('/artifacts')).json)).toContain(view.uuid)
  const [entry] = (await one.get('/artifacts')).json.filter(
    (candidate: { uuid: string }) => candidate.uuid === view.uuid,
  )
  expect(entry.blobs).toMatchObject({
    1: { uuid: view.blob_uuid, size: 6, reference_count: 1, depends_on: null },
  })
  expect(entry.blobs['1'].instances).toBeUndefined()
})

test('pages: each artifact once, in order, until the Link header ends', async () => {
  const owner = await createNamespace(server.url, system)
  const made = []
  for (let index = 0; index < 7; index += 1)
    made.push((await publish(owner, `page ${index}`, `page ${index}`)).uuid)
  for (const [sort, wanted] of [
    ['created_at', made],
    ['-created_at', made.toReversed()],
    ['name', made],
    ['-name', made.toReversed()],
  ] as const) {
    const seen: string[] = []
    let target: string | undefined = `/artifacts?limit=3&sort=${sort}`
    while (target) {
      const answer = await owner.get(target)
      expect(answer.json.length).toBeLessThanOrEqual(3)
      seen.push(...uuids(answer.json))
      const link: string | undefined = /<([^>]+)>; rel="next"/.exec(answer.headers.link ?? '')?.[1]
      const next: URL | undefined | '' = link && new URL(link, new URL(target, server.url))
      target = next && next.pathname + next.search
    }
    expect([sort, seen]).toEqual([sort, wanted])
  }
  expect(uuids((await owner.get('/artifacts?name=page%206')).json)).toEqual([made[6]])
  expect((await owner.get('/artifacts?type=label')).json).toEqual([])
  for (const bad of [
    'limit=0',
    'limit=-1',
    'limit=abc',
    'limit=100000',
    'cursor=garbage',
    'sort=colour',
    'type=x',
  ]) {
    expect([bad, (await owner.get(`/artifacts?${bad}`)).status]).toEqual([bad, 400])
  }
})

test('show: by UUID in any case and by name, with instances', async () => {
  const view = await publish(one, 'shown', 'shown')
  for (const ref of [view.uuid, view.uuid.toUpperCase(), 'shown']) {
    const shown = (await one.get(`/artifacts/${ref}`)).json
    expect([shown.uuid, shown.blobs['1'].instances]).toEqual([view.uuid, []])
  }
  for (const ref of ['nothing', '00000000-0000-4000-8000-000000000000', '%20', "' or 1=1 --"]) {
    const answer = await one.get(`/artifacts/${encodeURIComponent(ref)}`)
    expect([answer.status, answer.json.error]).toEqual([404, 'artifact not found'])
  }
})

describe('deleting', () => {
  test('one: again by UUID null, by name 404; the deleted one is still shown by UUID', async () => {
    const view = await publish(one, 'deleted', 'deleted')
    const answer = await one.delete('/artifacts/deleted')
    expect([answer.status, answer.json.state]).toEqual([200, 'deleted'])
    expect((await one.delete(`/artifacts/${view.uuid}`)).json).toBe(null)
    expect((await one.delete('/artifacts/deleted')).json.error).toBe('artifact not found')
    const shown = (await one.get(`/artifacts/${view.uuid}`)).json
    expect(shown.state).toBe('deleted')
    for (const entry of Object.values(shown.blobs) as { reference_count: number }[])
      expect(entry.reference_count).toBe(0)
    expect(uuids((await one.get('/artifacts')).json)).not.toContain(view.uuid)
    expect((await one.get(`/blobs/${view.blob_uuid}`)).status).toBe(404)
    expect((await two.get(`/artifacts/${view.uuid}`)).status).toBe(404)
  })

  test('twice counts once: the same content of somebody else stays', async () => {
    const mine = await publish(one, 'common', 'common bytes')
    const theirs = await publish(two, 'common', 'common bytes')
    await Promise.all([1, 2, 3].map(() => one.delete(`/artifacts/${mine.uuid}`)))
    expect((await two.get(`/blobs/${theirs.blob_uuid}`)).json.reference_count).toBe(1)
    expect((await two.get(`/blobs/${theirs.blob_uuid}/data`)).bytes.toString()).toBe('common bytes')
  })

  test('all of a namespace', async () => {
    const owner = await createNamespace(server.url, system)
    const first = await publish(owner, 'a', 'a')
    const second = await publish(owner, 'b', 'b')
    for (const confirm of [undefined, false, 'true', 1]) {
      const answer = await owner.delete('/artifacts', { confirm })
      expect([answer.status, answer.json.error]).toEqual([400, 'parameter confirm is not set true'])
    }
    expect((await owner.delete('/artifacts')).status).toBe(400)
    const withoutName = await system.delete('/artifacts', { confirm: true })
    expect([withoutName.status, withoutName.json.error]).toEqual([
      400,
      'system user must specify parameter namespace',
    ])
    const foreign = await two.delete('/artifacts', { confirm: true, namespace: owner.namespace })
    expect([foreign.status, foreign.json.error]).toEqual([401, 'you cannot delete other namespaces'])
    expect((await owner.get('/artifacts')).json).toHaveLength(2)
    expect((await owner.delete('/artifacts', { confirm: true, namespace: null })).json.sort()).toEqual(
      [first.uuid, second.uuid].sort(),
    )
    expect((await owner.get('/artifacts')).json).toEqual([])
    await publish(owner, 'c', 'c')
    expect(
      (await system.delete('/artifacts', { confirm: true, namespace: owner.namespace })).json,
    ).toHaveLength(1)
  })
})

describe('versions', () => {
  test('list: blob views with their index', async () => {
    await publish(one, 'many', 'v1')
    await publish(one, 'many', 'v2')
    const versions = (await one.get('/artifacts/many/versions')).json
    expect(
      versions.map((version: { index: number; size: number; instances: [] }) => [
        version.index,
        version.size,
        version.instances,
      ]),
    ).toEqual([
      [1, 2, []],
      [2, 2, []],
    ])
  })

  test('max_versions prunes at once; its default is 3; nonsense changes nothing', async () => {
    await publish(one, 'bounded', 'v1')
    expect((await one.post('/artifacts/bounded/versions', { max_versions: 10 })).json).toBe(null)
    for (let index = 2; index <= 6; index += 1) await publish(one, 'bounded', `v${index}`)
    for (const bad of [0, -1, 'abc', 1.5, '', [], {}, 1e300, '-3']) {
      const answer = await one.post('/artifacts/bounded/versions', { max_versions: bad })
      expect([bad, answer.status, answer.json.error]).toEqual([bad, 400, 'max version is not an integer'])
    }
    expect((await one.get('/artifacts/bounded/versions')).json).toHaveLength(6)
    expect((await one.post('/artifacts/bounded/versions', { max_versions: '5' })).json).toBe(null)
    expect((await one.get('/artifacts/bounded/versions')).json).toHaveLength(5)
    expect((await one.post('/artifacts/bounded/versions')).json).toBe(null)
    const view = (await one.get('/artifacts/bounded')).json
    expect([view.max_versions, Object.keys(view.blobs)]).toEqual([3, ['4', '5', '6']])
  })

  test('deleting: one by one, the last takes the artifact along', async () => {
    await publish(one, 'shrinking', 'v1')
    const { uuid } = await publish(one, 'shrinking', 'v2')
    for (const bad of ['abc', '-1', '1.5', '%20', '99999999999999999999']) {
      const answer = await one.delete(`/artifacts/shrinking/versions/${bad}`)
      expect([bad, answer.status, answer.json.error]).toEqual([bad, 400, 'version index is not an integer'])
    }
    expect((await one.delete('/artifacts/shrinking/versions/3')).json).toMatchObject({
      status: 404,
      error: 'artifact index not found',
    })
    const left = (await one.delete('/artifacts/shrinking/versions/2')).json
    expect([left.state, left.index, Object.keys(left.blobs)]).toEqual(['created', 1, ['1']])
    expect((await one.delete('/artifacts/shrinking/versions/2')).status).toBe(404)
    expect((await one.delete('/artifacts/shrinking/versions/1')).json.state).toBe('deleted')
    expect((await one.get(`/artifacts/${uuid}`)).json.state).toBe('deleted')
    expect((await one.get('/artifacts/shrinking')).status).toBe(404)
  })
})

describe('sharing', () => {
  test('everybody may read what system shares, by UUID and by name, and nobody may change it', async () => {
    const view = await publish(system, 'golden image', 'golden')
    expect((await one.get(`/artifacts/${view.uuid}`)).status).toBe(404)
    expect((await system.post('/artifacts/golden%20image/unshare')).json).toMatchObject({
      status: 403,
      error: 'artifact not shared',
    })
    expect((await system.post('/artifacts/golden%20image/share')).json.shared).toBe(true)
    expect((await one.get('/artifacts/golden%20image')).json).toMatchObject({
      uuid: view.uuid,
      namespace: 'system',
      shared: true,
    })
    expect(uuids((await one.get('/artifacts')).json)).toContain(view.uuid)
    expect((await one.get(`/blobs/${view.blob_uuid}/data`)).bytes.toString()).toBe('golden')
    for (const [method, path] of [
      ['DELETE', ''],
      ['POST', '/unshare'],
      ['POST', '/versions'],
      ['DELETE', '/versions/1'],
    ] as const) {
      expect([method, path, (await one.send(method, `/artifacts/${view.uuid}${path}`)).status]).toEqual([
        method,
        path,
        404,
      ])
    }
    expect((await one.post(`/artifacts/${view.uuid}/metadata`, { key: 'k', value: 1 })).status).toBe(404)

    const own = await publish(one, 'golden image', 'mine')
    expect((await one.get('/artifacts/golden%20image')).json.uuid).toBe(own.uuid)
    expect((await system.post(`/artifacts/${view.uuid}/unshare`)).json.shared).toBe(false)
    expect((await one.get(`/artifacts/${view.uuid}`)).status).toBe(404)
    expect((await one.get(`/blobs/${view.blob_uuid}/data`)).status).toBe(404)
  })

  test('only artifacts of system can be shared', async () => {
    const view = await publish(one, 'private', 'private')
    expect((await one.post('/artifacts/private/share')).json).toMatchObject({
      status: 403,
      error: 'only artifacts in the system namespace can be shared',
    })
    expect((await two.post(`/artifacts/${view.uuid}/share`)).status).toBe(404)
  })
})

test('metadata', async () => {
  const view = await publish(one, 'described', 'described')
  const path = '/artifacts/described/metadata'
  expect((await one.post(path, { key: 'os', value: 'debian' })).json).toBe(null)
  expect((await one.put(`${path}/${encodeURIComponent('a b/c')}`, { value: [1, { x: null }] })).json).toBe(
    null,
  )
  expect((await one.get(path)).json).toEqual({ os: 'debian', 'a b/c': [1, { x: null }] })
  expect((await one.get(`/artifacts/${view.uuid}`)).json.metadata).toEqual({
    os: 'debian',
    'a b/c': [1, { x: null }],
  })
  expect((await one.delete(`${path}/os`)).json).toBe(null)
  expect((await one.delete(`${path}/never`)).json).toBe(null)
  expect((await one.post(path, {})).json.error).toBe('no key specified')
  expect((await one.put(`${path}/x`, {})).json.error).toBe('no value specified')
  expect((await one.put(`${path}/x`, { value: 'y'.repeat(300_000) })).json.code).toBe('metadata_too_large')
  expect((await one.get(path)).json).toEqual({ 'a b/c': [1, { x: null }] })
  expect((await two.get(`/artifacts/${view.uuid}/metadata`)).status).toBe(404)
})

test('events: newest first, by type, limited, with the request that caused them and without secrets', async () => {
  const answer = await one.send('POST', '/artifacts/upload/eventful', {
    json: {
      upload_uuid: (await publish(one, 'seed', 'eventful')) && undefined,
      blob_uuid: (await one.get('/artifacts/seed')).json.blob_uuid,
    },
    headers: { 'X-Request-ID': 'request-of-mine' },
  })
  const { uuid } = answer.json
  for (let index = 0; index < 5; index += 1)
    await one.post(`/artifacts/${uuid}/metadata`, { key: `k${index}`, value: 'hush-hush' })
  const events = (await one.get(`/artifacts/${uuid}/events`)).json
  const times = events.map((event: { timestamp: number }) => event.timestamp)
  expect(times).toEqual([...times].sort((a, b) => b - a))
  expect(events.length).toBeGreaterThanOrEqual(5)
  expect(events[0]).toMatchObject({
    fqdn: expect.stringMatching(/^node-\d$/),
    message: expect.any(String),
    extra: { 'request-id': expect.any(String) },
  })
  expect(
    events.some(
      (event: { extra: Record<string, string> }) => event.extra['request-id'] === 'request-of-mine',
    ),
  ).toBe(true)
  expect((await one.get(`/artifacts/${uuid}/events`, { limit: '3' })).json).toEqual(events.slice(0, 3))
  expect((await one.get(`/artifacts/${uuid}/events`, { limit: 2 })).json).toEqual(events.slice(0, 2))
  for (const type of ['audit', 'mutate', 'status', 'usage', 'prune']) {
    const some = (await one.get(`/artifacts/${uuid}/events`, { event_type: type })).json
    expect(some).toEqual(events.filter((event: { type: string }) => event.type === type))
  }
  for (const limit of ['abc', -1, 1.5, {}]) {
    expect([limit, (await one.get(`/artifacts/${uuid}/events`, { limit })).status]).toEqual([limit, 400])
  }
  expect((await two.get(`/artifacts/${uuid}/events`)).status).toBe(404)
  await publish(one, 'eventful', 'v2')
  for (let index = 3; index < 6; index += 1) await publish(one, 'eventful', `v${index}`)
  expect(
    (await one.get(`/artifacts/${uuid}/events`, { event_type: 'prune' })).json.length,
  ).toBeGreaterThanOrEqual(1)
})
