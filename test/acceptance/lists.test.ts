/** Lists in pages: every order and filter of every list, over HTTP, as different namespaces meet them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNamespace, login, publish, type Session } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'

let server: RunningServer
let system: Session
let one: Session
let friend: Session
let stranger: Session

const names = (list: { name: string }[]) => list.map(({ name }) => name)
const made: Record<string, { uuid: string; blob_uuid: string; created_at: number; updated_at: number }> = {}

beforeAll(async () => {
  server = await startServer()
  system = await login(server.url, 'system', server.systemKey)
  one = await createNamespace(server.url, system)
  friend = await createNamespace(server.url, system)
  stranger = await createNamespace(server.url, system)
  await friend.post(`/auth/namespaces/${friend.namespace}/trust`, { external_namespace: one.namespace })
  for (const [session, name, size, fields] of [
    [one, 'b', 300, {}],
    [one, 'a', 200, { artifact_type: 'other' }],
    [friend, 'ab', 100, {}],
    [system, 'shared', 400, { shared: true }],
    [system, 'hidden', 500, {}],
    [stranger, 'foreign', 50, {}],
  ] as const)
    made[name] = await publish(session, name, Buffer.alloc(size, name), fields)
  await one.post('/artifacts/a/metadata', { key: 'os', value: 'linux' })
  await one.post('/artifacts/b/metadata', { key: 'os', value: 'linux' })
  await one.post('/artifacts/b/metadata', { key: 'cores', value: 4 })
  await stranger.post('/artifacts/foreign/metadata', { key: 'os', value: 'linux' })
  await system.post('/artifacts/shared/metadata', { key: 'a key & more', value: { deep: true } })
  await one.post('/label/pointer', { blob_uuid: made.b!.blob_uuid })
  // The newest version of `a` is now the largest of all.
  made.a = await publish(one, 'a', Buffer.alloc(900, 'a'), { artifact_type: 'other' })
})
afterAll(() => server.remove())

/** All pages of a list, with a row each. */
const walk = async (session: Session, target: string): Promise<unknown[]> => {
  const rows: unknown[] = []
  for (let cursor: string | undefined, first = true; first || cursor; first = false) {
    const mark = target.includes('?') ? '&' : '?'
    const answer = await session.get(
      `${target}${mark}limit=1${cursor === undefined ? '' : `&cursor=${cursor}`}`,
    )
    expect(answer.status).toBe(200)
    expect(answer.json.length).toBeLessThanOrEqual(1)
    rows.push(...answer.json)
    cursor = answer.headers['next-cursor']
    expect(answer.headers.link?.includes(`cursor=${cursor}>; rel="next"`) ?? false).toBe(cursor !== undefined)
  }
  return rows
}

test.each([
  ['', ['b', 'a', 'ab', 'shared', 'pointer']],
  ['sort=-created_at', ['pointer', 'shared', 'ab', 'a', 'b']],
  ['sort=updated_at', ['b', 'ab', 'shared', 'pointer', 'a']],
  ['sort=name', ['a', 'ab', 'b', 'pointer', 'shared']],
  ['sort=size', ['ab', 'b', 'pointer', 'shared', 'a']],
  ['sort=-size', ['a', 'shared', 'pointer', 'b', 'ab']],
  ['name=a', ['a', 'ab']],
  ['name=a&sort=-size', ['a', 'ab']],
  ['type=label', ['pointer']],
  ['state=created&type=other', ['a']],
  ['state=error', []],
  ['state=deleted', []],
  ['namespace=system', ['shared']],
  ['namespace=nobody', []],
  ['metadata.os=linux&sort=name', ['a', 'b']],
  ['metadata.os=linux&metadata.cores=4', ['b']],
  ['metadata.os=linux&type=other', ['a']],
  ['metadata.a%20key%20%26%20more=%7B%22deep%22%3Atrue%7D', ['shared']],
  ['metadata.os=Linux', []],
  ['created_after=99999999999', []],
])('artifacts by %s, whole and in pages', async (query, wanted) => {
  const target = query === '' ? '/artifacts' : `/artifacts?${query}`
  const equalSizes = query.includes('sort=') && query.includes('size')
  const sorted = (list: string[]) =>
    equalSizes ? list.filter((name) => name !== 'b' && name !== 'pointer') : list
  expect(sorted(names((await one.get(target)).json))).toEqual(sorted([...wanted]))
  expect(sorted(names((await walk(one, target)) as { name: string }[]))).toEqual(sorted([...wanted]))
})

test('by time and by blob', async () => {
  expect(names((await one.get(`/artifacts?created_after=${made.ab!.created_at}`)).json)).toEqual([
    'shared',
    'pointer',
  ])
  const { blob_uuid: blob } = made.b!
  expect(names((await one.get(`/artifacts?blob_uuid=${blob}`)).json)).toEqual(['b', 'pointer'])
  expect(names((await one.get(`/artifacts?blob_uuid=${blob.toUpperCase()}&type=label`)).json)).toEqual([
    'pointer',
  ])
  expect((await stranger.get(`/artifacts?blob_uuid=${blob}`)).json).toEqual([])
})

test('no filter finds what one may not see', async () => {
  for (const query of [
    '',
    'name=f',
    'metadata.os=linux',
    `namespace=${stranger.namespace}`,
    `blob_uuid=${made.foreign!.blob_uuid}`,
  ])
    expect([query, JSON.stringify((await one.get(`/artifacts?${query}`)).json).includes('foreign')]).toEqual([
      query,
      false,
    ])
  expect(names((await friend.get('/artifacts?metadata.os=linux')).json)).toEqual([])
  expect(names((await system.get('/artifacts?metadata.os=linux&sort=name')).json)).toEqual([
    'a',
    'b',
    'foreign',
  ])
  expect(names((await stranger.get('/artifacts?sort=name')).json)).toEqual(['foreign', 'shared'])
})

test('pages go on where they were, whatever comes and goes', async () => {
  const owner = await createNamespace(server.url, system)
  for (const name of ['c', 'e', 'g', 'i']) await publish(owner, name, `page ${name}`)
  const own = `namespace=${owner.namespace}&sort=name`
  const first = await owner.get(`/artifacts?${own}&limit=2`)
  expect(names(first.json)).toEqual(['c', 'e'])
  await owner.delete('/artifacts/e')
  await owner.delete('/artifacts/i')
  for (const name of ['a', 'f', 'h']) await publish(owner, name, `page ${name}`)
  const rest = await owner.get(`/artifacts?${own}&cursor=${first.headers['next-cursor']}`)
  expect(names(rest.json)).toEqual(['f', 'g', 'h'])
})

test('metadata that changes is found by what it is now, and a deleted artifact by nothing', async () => {
  const owner = await createNamespace(server.url, system)
  const find = async (query: string) => names((await owner.get(`/artifacts?${query}`)).json)
  await publish(owner, 'changing', 'changing')
  await owner.put('/artifacts/changing/metadata/colour', { value: 'red' })
  expect(await find('metadata.colour=red')).toEqual(['changing'])
  await owner.put('/artifacts/changing/metadata/colour', { value: 'blue' })
  expect(await find('metadata.colour=red')).toEqual([])
  expect(await find('metadata.colour=blue&sort=-size')).toEqual(['changing'])
  await owner.delete('/artifacts/changing/metadata/colour')
  expect(await find('metadata.colour=blue')).toEqual([])
  await owner.put('/artifacts/changing/metadata/colour', { value: 'green' })
  await owner.delete('/artifacts/changing')
  expect(await find('metadata.colour=green')).toEqual([])
})

test('versions, events and blobs', async () => {
  const index = (list: unknown[]) => (list as { index: number }[]).map((view) => view.index)
  expect(index(await walk(one, '/artifacts/a/versions'))).toEqual([1, 2])
  expect(index(await walk(one, '/artifacts/a/versions?sort=-index'))).toEqual([2, 1])
  expect(index(await walk(one, '/artifacts/a/versions?sort=-created_at'))).toEqual([2, 1])
  const later = `created_after=${made.ab!.created_at}`
  expect(index(await walk(one, `/artifacts/a/versions?${later}`))).toEqual([2])
  expect(index(await walk(one, `/artifacts/a/versions?${later}&sort=index`))).toEqual([2])

  const messages = (list: unknown[]) => (list as { message: string }[]).map(({ message }) => message)
  const history = messages((await one.get('/artifacts/a/events')).json)
  expect(history).toContain('added version 2')
  expect(messages(await walk(one, '/artifacts/a/events'))).toEqual(history)
  expect(messages(await walk(one, '/artifacts/a/events?sort=timestamp'))).toEqual(history.toReversed())
  expect(messages(await walk(one, '/artifacts/a/events?event_type=audit'))).toEqual(['created'])
  expect(messages(await walk(one, `/artifacts/a/events?${later}`))).toEqual([
    'added version 2',
    'set metadata',
  ])

  const sizes = (list: unknown[]) => (list as { size: number }[]).map(({ size }) => size)
  const all = sizes((await system.get('/blobs')).json)
  const ascending = all.toSorted((a, b) => a - b)
  expect(sizes(await walk(system, '/blobs?sort=size'))).toEqual(ascending)
  expect(sizes(await walk(system, '/blobs?sort=-size&state=created'))).toEqual(ascending.toReversed())
  expect((await system.get('/blobs?state=quarantined')).json).toEqual([])
  await one.put(`/blobs/${made.b!.blob_uuid}/metadata/kind`, { value: 'root disk' })
  expect(sizes(await walk(system, '/blobs?metadata.kind=root%20disk'))).toEqual([300])
  expect((await one.get('/blobs?limit=1')).status).toBe(401)
})

describe('bad values', () => {
  test.each([
    ['/artifacts', 'limit=0'],
    ['/artifacts', 'limit=1001'],
    ['/artifacts', 'limit=1&limit=2'],
    ['/artifacts', 'sort=colour'],
    ['/artifacts', 'state=lost'],
    ['/artifacts', 'created_after=yesterday'],
    ['/artifacts', 'created_after=-1'],
    ['/artifacts', 'name=%00'],
    ['/artifacts', `name=${'x'.repeat(256)}`],
    ['/artifacts', 'metadata.=x'],
    ['/artifacts', 'metadata.os=a&metadata.os=b'],
    ['/artifacts', `metadata.os=${'x'.repeat(1025)}`],
    ['/artifacts/a/versions', 'sort=name'],
    ['/artifacts/a/events', 'sort=created_at'],
    ['/blobs', 'sort=name'],
  ])('%s?%s is refused', async (path, query) => {
    const session = path === '/blobs' ? system : one
    const answer = await session.get(`${path}?${query}`)
    expect([answer.status, answer.json.code]).toEqual([400, 'invalid_request'])
  })

  test.each([
    ['garbage', () => 'garbage'],
    ['of another list', async () => (await one.get('/artifacts/a/versions?limit=1')).headers['next-cursor']!],
    ['of another order', async () => (await one.get('/artifacts?limit=1&sort=name')).headers['next-cursor']!],
    ['cut off', async () => (await one.get('/artifacts?limit=1')).headers['next-cursor']!.slice(0, -4)],
  ])('a cursor that is %s is refused', async (_what, make) => {
    const answer = await one.get(`/artifacts?limit=1&cursor=${await make()}`)
    expect([answer.status, answer.json.code]).toEqual([400, 'cursor_invalid'])
  })
})
