import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { artifactRow, namespaceRow } from '../db/test-dialects.ts'
import { callerOf, createTestParts, type TestParts } from '../test-parts.ts'
import { listArtifactEvents, recordEvent, recordEvents } from './events.ts'

const artifact = 'a0000000-0000-4000-8000-000000000001'
const one = callerOf('one')
let parts: TestParts

beforeAll(async () => {
  parts = await createTestParts()
  await parts.db.write(async (trx) => {
    await trx.insertInto('namespaces').values(['one', 'two'].map(namespaceRow)).execute()
    await trx.insertInto('artifacts').values(artifactRow(artifact, 'one')).execute()
    for (let n = 1; n <= 5; n += 1) {
      parts.clock.advance(0.25)
      await recordEvent(trx, parts, {
        objectType: 'artifact',
        objectUuid: artifact,
        namespace: 'one',
        type: n % 2 ? 'audit' : 'status',
        message: `event ${n}`,
        ...(n === 5 && { caller: one, duration: 1.5, extra: { size: 7 } }),
      })
    }
    await recordEvent(trx, parts, {
      objectType: 'blob',
      objectUuid: artifact,
      namespace: 'one',
      type: 'audit',
      message: 'of another object',
    })
  })
})
afterAll(() => parts[Symbol.asyncDispose]())

const list = (selection: Partial<Parameters<typeof listArtifactEvents>[3]> = {}) =>
  listArtifactEvents(parts, one, artifact, { limit: 100, ...selection })
const numbers = async (selection?: Parameters<typeof list>[0]) =>
  (await list(selection)).items.map((event) => Number(event.message.slice(6)))

test('newest first, with everything that was said', async () => {
  const { items, next } = await list()
  expect(items.map((event) => event.message)).toEqual([5, 4, 3, 2, 1].map((n) => `event ${n}`))
  expect(items[0]).toEqual({
    type: 'audit',
    timestamp: 1_700_000_001.25,
    fqdn: 'node-1',
    duration: 1.5,
    message: 'event 5',
    extra: { size: 7, 'request-id': 'request-1' },
  })
  expect(items[1]).toMatchObject({ duration: null, extra: {} })
  expect(next).toBeUndefined()
})

test('by type and limit; a type that does not exist has none', async () => {
  expect(await numbers({ type: 'status' })).toEqual([4, 2])
  expect(await numbers({ type: 'audit', limit: 2 })).toEqual([5, 3])
  expect(await numbers({ type: 'invented' })).toEqual([])
  expect(await numbers({ limit: 0 })).toEqual([])
})

describe('pages', () => {
  test('lead through the whole history, once, while it grows', async () => {
    const first = await list({ limit: 2 })
    expect(first.items).toHaveLength(2)
    await parts.db.write((trx) =>
      recordEvents(trx, parts, [
        { objectType: 'artifact', objectUuid: artifact, namespace: 'one', type: 'audit', message: 'event 6' },
        { objectType: 'artifact', objectUuid: artifact, namespace: 'one', type: 'audit', message: 'event 7' },
      ]),
    )
    const second = await list({ limit: 2, cursor: first.next })
    expect(second.items.map((event) => event.message)).toEqual(['event 3', 'event 2'])
    expect(await numbers({ limit: 2, cursor: second.next })).toEqual([1])
    expect((await list({ limit: 2, cursor: second.next })).next).toBeUndefined()
  })

  test('do not begin at a cursor from elsewhere', async () => {
    await expect(list({ cursor: 'made up' })).rejects.toMatchObject({ code: 'cursor_invalid' })
  })
})

test('nobody else’s', async () => {
  await expect(listArtifactEvents(parts, callerOf('two'), artifact, { limit: 10 })).rejects.toMatchObject({
    code: 'artifact_not_found',
  })
})

test('events vanish with the transaction that wrote them', async () => {
  const before = (await list()).items.length
  const failing = parts.db.write(async (trx) => {
    await recordEvent(trx, parts, {
      objectType: 'artifact',
      objectUuid: artifact,
      namespace: 'one',
      type: 'audit',
      message: 'never',
    })
    throw new Error('changed my mind')
  })
  await expect(failing).rejects.toThrow('changed my mind')
  expect((await list()).items).toHaveLength(before)
})

test('many at once', async () => {
  const events = Array.from({ length: 1201 }, (_, n) => ({
    objectType: 'upload' as const,
    objectUuid: 'many',
    namespace: 'one',
    type: 'audit' as const,
    message: `${n}`,
  }))
  await parts.db.write((trx) => recordEvents(trx, parts, events))
  const { count } = await parts.db.read
    .selectFrom('events')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('object_uuid', '=', 'many')
    .executeTakeFirstOrThrow()
  expect(count).toBe(1201)
})
