import { randomBytes, randomUUID } from 'node:crypto'
import { isHoldfastError } from '@holdfast/api/errors'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callerOf, createTestParts, type TestParts } from '../test-parts.ts'
import { storeBlob } from './blob-fixture.ts'
import { type Jobs, startJobs } from './jobs/scheduler.ts'
import { quarantineBlob } from './quarantine.ts'
import { listQuarantine } from './quarantine-list.ts'
import { showVerificationOf, startVerification } from './verify-on-demand.ts'

const system = callerOf('system')
let parts: TestParts
let jobs: Jobs

beforeAll(async () => {
  // So slow that whatever is larger than a block never ends.
  parts = await createTestParts({ verifyRate: 1 })
  jobs = startJobs(parts, [])
})
afterAll(async () => {
  await jobs.stop()
  await parts[Symbol.asyncDispose]()
})

const start = (uuid: string, waitMs = 0) => startVerification(parts, system, uuid, waitMs)

test('nobody waits for a long one; some may run at a time, and all end with the server', async () => {
  const blobs = []
  for (let count = 0; count < 5; count++) blobs.push((await storeBlob(parts, randomBytes(2 << 20))).uuid)
  const [first, second, third, fourth, fifth] = blobs as [string, string, string, string, string]
  expect(await showVerificationOf(parts, system, first)).toMatchObject({ state: 'none', verdict: null })
  expect(await start(first, 1)).toMatchObject({ state: 'running', verdict: null, size: 2 << 20 })
  for (const uuid of [second, third, fourth]) await start(uuid)
  await expect(start(fifth)).rejects.toSatisfy((error) => isHoldfastError(error, 'too_many_requests'))
  // Whoever asks again joins.
  expect(await start(fourth)).toMatchObject({ state: 'running' })
  const read = async () => (await showVerificationOf(parts, system, first)).read_bytes
  while ((await read()) === 0) await new Promise(setImmediate)
  expect(await read()).toBe(1 << 20)
  await jobs.stop()
  expect(await showVerificationOf(parts, system, first)).toMatchObject({
    state: 'failed',
    verdict: null,
    error: 'the server is stopping',
    verified_at: null,
  })
})

test('unknown blobs, and callers that may not', async () => {
  const refused = async (work: Promise<unknown>, code: Parameters<typeof isHoldfastError>[1]) =>
    expect(work).rejects.toSatisfy((error) => isHoldfastError(error, code))
  await refused(start(randomUUID()), 'blob_not_found')
  await refused(showVerificationOf(parts, system, 'nonsense'), 'blob_not_found')
  const { uuid } = await storeBlob(parts, Buffer.from('x'))
  await refused(startVerification(parts, callerOf('alice'), uuid, 0), 'system_only')
  await refused(listQuarantine(parts, callerOf('alice'), {}), 'system_only')
})

test('the list of what is in quarantine comes in pages', async () => {
  const uuids = []
  for (const text of ['a', 'b', 'c']) {
    const { uuid } = await storeBlob(parts, Buffer.from(text))
    await quarantineBlob(parts, uuid, `because of ${text}`)
    uuids.push(uuid)
  }
  const one = await listQuarantine(parts, system, { limit: 2 })
  const two = await listQuarantine(parts, system, { limit: 2, cursor: one.next })
  expect([one.items.length, two.items.length, two.next]).toEqual([2, 1, undefined])
  expect([...one.items, ...two.items].map((entry) => entry.blob_uuid)).toEqual(uuids.sort())
  expect((await listQuarantine(parts, system, {})).items).toEqual([...one.items, ...two.items])
  expect(one.items[0]!.reason).toMatch(/^because of [abc]$/)
})
