import { maxMetadataBytes } from '@holdfast/api/limits'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { artifactRow, blobRow, namespaceRow } from '../db/test-dialects.ts'
import { callerOf, createTestParts, type TestParts } from '../test-parts.ts'
import { listArtifactEvents, listBlobEvents } from './events.ts'
import { deleteMetadata, type MetadataTarget, readMetadataOf, setMetadata, showMetadata } from './metadata.ts'

/** `one` trusts `two`; `three` knows neither. All three have an artifact with the same content. */
let parts: TestParts
const [one, two, three, system] = ['one', 'two', 'three', 'system'].map(callerOf) as [
  ReturnType<typeof callerOf>,
  ReturnType<typeof callerOf>,
  ReturnType<typeof callerOf>,
  ReturnType<typeof callerOf>,
]
const blob = 'b0000000-0000-4000-8000-000000000001'
const artifactOf = {
  one: 'a0000000-0000-4000-8000-000000000001',
  two: 'a0000000-0000-4000-8000-000000000002',
}

beforeAll(async () => {
  parts = await createTestParts()
  await parts.db.write(async (trx) => {
    await trx.insertInto('namespaces').values(['one', 'two', 'three', 'system'].map(namespaceRow)).execute()
    await trx.insertInto('trusts').values({ namespace: 'one', trusted: 'two' }).execute()
    await trx.insertInto('blobs').values(blobRow(blob)).execute()
    const uuids = [artifactOf.one, artifactOf.two, 'a0000000-0000-4000-8000-000000000003']
    for (const [n, namespace] of ['one', 'two', 'three'].entries()) {
      await trx.insertInto('artifacts').values(artifactRow(uuids[n]!, namespace)).execute()
      await trx
        .insertInto('versions')
        .values({ artifact_uuid: uuids[n]!, idx: 1, blob_uuid: blob, live: 1, created_at: 1 })
        .execute()
    }
  })
})
afterAll(() => parts[Symbol.asyncDispose]())
beforeEach(() =>
  parts.db.write(async (trx) => {
    await trx.deleteFrom('metadata').execute()
    await trx.deleteFrom('events').execute()
  }),
)

const show = (caller: typeof one, target: MetadataTarget) => showMetadata(parts, caller, target)
const set = (caller: typeof one, target: MetadataTarget, key: string, value: unknown) =>
  setMetadata(parts, caller, target, key, value)
const remove = (caller: typeof one, target: MetadataTarget, key: string) =>
  deleteMetadata(parts, caller, target, key)

describe.each([
  { type: 'artifact', ref: 'disk' },
  { type: 'artifact', ref: artifactOf.one.toUpperCase() },
  { type: 'blob', ref: blob.toUpperCase() },
  { type: 'namespace', ref: 'one' },
] as MetadataTarget[])('of $type $ref', (target) => {
  test.each([
    ['text', 'größer'],
    ['number', 1.5],
    ['null', null],
    ['false', false],
    ['deep', { a: [{ b: null }, 'x'] }],
    ['__proto__', { polluted: true }],
    ['constructor', 'x'],
    ["quote'; drop", 'x'],
  ])('%s is kept as it is', async (key, value) => {
    await set(one, target, key, value)
    const shown = await show(one, target)
    expect(Object.entries(shown)).toEqual([[key, value]])
    expect(JSON.stringify(shown)).toBe(JSON.stringify(Object.fromEntries([[key, value]])))
  })

  test('set, replace, delete, delete again; each change is one event without the value', async () => {
    await set(one, target, 'b', 'first secret')
    await set(one, target, 'a', 1)
    await set(one, target, 'b', 'second secret')
    expect(await show(one, target)).toEqual({ a: 1, b: 'second secret' })
    await remove(one, target, 'b')
    await remove(one, target, 'b')
    expect(await show(one, target)).toEqual({ a: 1 })
    const events = await parts.db.read.selectFrom('events').selectAll().orderBy('id').execute()
    expect(events.map((event) => [event.type, event.message, JSON.parse(event.extra)])).toEqual([
      ['mutate', 'set metadata', { key: 'b', 'request-id': 'request-1' }],
      ['mutate', 'set metadata', { key: 'a', 'request-id': 'request-1' }],
      ['mutate', 'set metadata', { key: 'b', 'request-id': 'request-1' }],
      ['mutate', 'delete metadata', { key: 'b', 'request-id': 'request-1' }],
    ])
    expect(JSON.stringify(events)).not.toContain('secret')
  })

  test('all values together have a limit, counted in bytes; refused ones change nothing', async () => {
    const half = 'é'.repeat(maxMetadataBytes / 4)
    await set(one, target, 'a', half.slice(2))
    await set(one, target, 'b', half.slice(2))
    await expect(set(one, target, 'c', 'x')).rejects.toMatchObject({ code: 'metadata_too_large' })
    await expect(set(one, target, 'b', half)).rejects.toMatchObject({ code: 'metadata_too_large' })
    expect(Object.keys(await show(one, target))).toEqual(['a', 'b'])
    await remove(one, target, 'a')
    await set(one, target, 'b', half)
  })
})

describe('rights', () => {
  test.each([
    [{ type: 'artifact', ref: artifactOf.one }, 'artifact_not_found'],
    [{ type: 'namespace', ref: 'one' }, 'namespace_not_found'],
  ] as [MetadataTarget, string][])('%j: own, trusted and system; nobody else', async (target, code) => {
    for (const caller of [one, two, system]) {
      await set(caller, target, caller.namespace, 1)
      expect(Object.keys(await show(caller, target))).toContain(caller.namespace)
    }
    await expect(show(three, target)).rejects.toMatchObject({ code })
    await expect(set(three, target, 'k', 1)).rejects.toMatchObject({ code })
    await expect(remove(three, target, 'one')).rejects.toMatchObject({ code })
    expect(Object.keys(await show(one, target)).sort()).toEqual(['one', 'system', 'two'])
  })

  test('a shared artifact is read by all and changed by its owners', async () => {
    const target = { type: 'artifact', ref: artifactOf.two } as const
    await set(two, target, 'k', 1)
    const share = (shared: 0 | 1) =>
      parts.db.write((trx) =>
        trx.updateTable('artifacts').set({ shared }).where('uuid', '=', artifactOf.two).execute(),
      )
    await share(1)
    expect(await show(three, target)).toEqual({ k: 1 })
    await expect(set(three, target, 'k', 2)).rejects.toMatchObject({ code: 'artifact_not_found' })
    await expect(remove(three, target, 'k')).rejects.toMatchObject({ code: 'artifact_not_found' })
    expect(await show(two, target)).toEqual({ k: 1 })
    await share(0)
  })
})

describe('a blob that several tenants hold without knowing of each other', () => {
  const target = { type: 'blob', ref: blob } as const
  const messages = async (caller: typeof one) =>
    (await listBlobEvents(parts, caller, blob, { limit: 10 })).items.map((event) => event.extra.key)

  test('keeps what each says of it apart; trust and system look further', async () => {
    await set(one, target, 'of one', 1)
    await set(two, target, 'of two', 2)
    await set(three, target, 'of three', 3)
    expect(await show(one, target)).toEqual({ 'of one': 1 })
    expect(await show(two, target)).toEqual({ 'of one': 1, 'of two': 2 })
    expect(await show(three, target)).toEqual({ 'of three': 3 })
    expect(await show(system, target)).toEqual({ 'of one': 1, 'of two': 2, 'of three': 3 })
    expect(await messages(one)).toEqual(['of one'])
    expect(await messages(two)).toEqual(['of two', 'of one'])
    expect(await messages(three)).toEqual(['of three'])
    expect(await messages(system)).toEqual(['of three', 'of two', 'of one'])
  })

  test('where several set the same key, one’s own value counts', async () => {
    for (const caller of [two, one, three, system]) await set(caller, target, 'k', caller.namespace)
    for (const caller of [one, two, three, system])
      expect(await show(caller, target)).toEqual({ k: caller.namespace })
  })

  test('deleting takes away what one may act on and nothing else', async () => {
    for (const caller of [one, two, three]) await set(caller, target, 'k', caller.namespace)
    await remove(two, target, 'k')
    expect(await show(two, target)).toEqual({})
    expect(await show(one, target)).toEqual({})
    expect(await show(three, target)).toEqual({ k: 'three' })
  })

  test('each tenant has the whole limit', async () => {
    await set(one, target, 'k', 'x'.repeat(maxMetadataBytes - 10))
    await set(three, target, 'k', 'x'.repeat(maxMetadataBytes - 10))
  })
})

test('many objects at once, each with an entry', async () => {
  await set(one, { type: 'artifact', ref: artifactOf.one }, 'k', 1)
  const uuids = [...Array.from({ length: 1500 }, (_, n) => `unknown ${n}`), artifactOf.one]
  const found = await readMetadataOf(parts.db.read, 'artifact', uuids, ['one'])
  expect(found.size).toBe(1501)
  expect(found.get('unknown 7')).toEqual({})
  expect(found.get(artifactOf.one)).toEqual({ k: 1 })
  expect((await listArtifactEvents(parts, one, artifactOf.one, { limit: 10 })).items).toHaveLength(1)
})
