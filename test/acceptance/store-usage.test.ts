import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createNamespace, login, publish, type Session, upload } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'

/** What the store holds over time, and what went wrong of late: for the administrator. */

let server: RunningServer
let system: Session
let one: Session

beforeAll(async () => {
  server = await startServer({ isDirect: true, settings: { HOLDFAST_JOB_INTERVAL: '1000000' } })
  system = await login(server.url, 'system', server.systemKey)
  one = await createNamespace(server.url, system)
})
afterAll(() => server.remove())

const sample = async () => {
  const { json } = await system.post('/admin/jobs/sample-usage', { wait: 10 })
  expect(json.last_run).toMatchObject({ outcome: 'done' })
  return (await system.get('/admin/usage')).json
}

test('stored and logical bytes are told, with what deduplication saved', async () => {
  const before = (await sample()).newest
  const content = randomBytes(5000)
  await publish(system, 'first', content)
  await publish(one, 'second', content)
  await upload(one, randomBytes(700))
  // A sample is not taken while the last one's cost still weighs; a small store's is paid off in a moment
  let usage = await sample()
  while (usage.newest.at === before.at) usage = await sample()
  expect(usage.newest).toMatchObject({
    stored_bytes: before.stored_bytes + 5000,
    logical_bytes: before.logical_bytes + 10_000,
    saved_bytes: before.saved_bytes + 5000,
    blobs: before.blobs + 1,
    versions: before.versions + 2,
    artifacts: before.artifacts + 2,
    uploads: before.uploads + 1,
    upload_bytes: before.upload_bytes + 700,
  })
  expect(usage.samples.at(-1)).toEqual(usage.newest)
  expect(usage.namespaces).toContainEqual({ namespace: one.namespace, logical_bytes: 5000, versions: 1 })
  const later = await system.get(`/admin/usage?since=${Math.ceil(usage.newest.at) + 60}&span=3600`)
  expect(later.json).toEqual({ ...usage, samples: [] })
})

test.each(['since=-1', 'since=soon', 'span=-1'])('%s is refused', async (query) => {
  const { json } = await system.get(`/admin/usage?${query}`)
  expect(json).toMatchObject({ status: 400, code: 'invalid_request' })
})

test('failures are told, equal ones together, and what clients get wrong is none', async () => {
  await system.send('PUT', `/auth/namespaces/${one.namespace}/limits`, { json: { max_bytes: 100 } })
  for (let n = 0; n < 3; n++) {
    const { json } = await one.post('/upload')
    const refused = await one.send('POST', `/upload/${json.uuid}`, { body: randomBytes(10_000) })
    expect(refused.json).toMatchObject({ code: 'quota_exceeded' })
  }
  await one.get('/artifacts/no-such-artifact')
  const wrong = await system.send('POST', '/auth', { json: { namespace: 'system', key: 'not the key' } })
  expect(wrong.status).toBe(401)
  let failures = (await system.get('/admin/failures')).json
  // They are noted when the reply is over, which a client may know before the server
  while (failures.length < 2 || failures[1].count < 3) failures = (await system.get('/admin/failures')).json
  expect(failures).toMatchObject([
    { route: 'authenticate', code: 'wrong_key', status: 401, namespace: '', count: 1 },
    { route: 'appendUpload', code: 'quota_exceeded', status: 507, namespace: one.namespace, count: 3 },
  ])
  expect(failures[1].last_at).toBeGreaterThan(failures[1].first_at)
  expect(failures[1].request_id).not.toBe('')
})

test.each(['/admin/usage', '/admin/failures'])('%s is for system alone', async (target) => {
  expect((await one.get(target)).json).toMatchObject({ status: 401, code: 'system_only' })
})
