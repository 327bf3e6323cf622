import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { CompiledQuery } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { artifactRow, blobRow, namespaceRow } from '../db/test-dialects.ts'
import { callerOf, createTestParts, embedded, type TestParts } from '../test-parts.ts'
import {
  findArtifact,
  findBlob,
  mayAct,
  reachOf,
  readableArtifacts,
  requireNamespace,
  requireSystem,
} from './visibility.ts'

/**
 * `owner` trusts `friend`; `stranger` has nothing to do with either. Everybody has a blob of their own, all hold
 * `common`, and `leased` is leased to the stranger.
 */
let parts: TestParts
const namespaces = ['system', 'owner', 'friend', 'stranger', 'gone']
const uuidOf = (n: number) => `00000000-0000-4000-8000-00000000000${n.toString(16)}`
const blobOf = (n: number) => `b0000000-0000-4000-8000-00000000000${n.toString(16)}`
const artifacts = {
  private: uuidOf(1),
  dead: uuidOf(2),
  shared: uuidOf(3),
  hidden: uuidOf(4),
  friends: uuidOf(5),
  strangers: uuidOf(0xa),
  deadShared: uuidOf(7),
}
const blobs = {
  private: blobOf(1),
  dead: blobOf(2),
  shared: blobOf(3),
  hidden: blobOf(4),
  common: blobOf(5),
  leased: blobOf(6),
  deleted: blobOf(7),
  pruned: blobOf(8),
}
const leaseEnds = 1_700_000_100_000

beforeAll(async () => {
  parts = await createTestParts()
  const { clock } = parts
  const now = clock.now()
  const artifact = (uuid: string, namespace: string, name: string, more: object = {}) =>
    artifactRow(uuid, namespace, { name, source_url: `sf://upload/${namespace}/${name}`, ...more })
  const dead = { state: 'deleted', deleted_at: now } as const
  const version = (artifact_uuid: string, idx: number, blob_uuid: string, live: 0 | 1 = 1) => ({
    artifact_uuid,
    idx,
    blob_uuid,
    live,
    created_at: now,
  })
  await parts.db.write(async (trx) => {
    await trx.insertInto('namespaces').values(namespaces.map(namespaceRow)).execute()
    await trx.insertInto('trusts').values({ namespace: 'owner', trusted: 'friend' }).execute()
    await trx
      .insertInto('artifacts')
      .values([
        artifact(artifacts.private, 'owner', 'private'),
        artifact(artifacts.dead, 'owner', 'dead', dead),
        artifact(artifacts.shared, 'system', 'shared', { shared: 1 }),
        artifact(artifacts.hidden, 'system', 'hidden'),
        artifact(artifacts.friends, 'friend', 'friends'),
        artifact(artifacts.strangers, 'stranger', 'strangers'),
        artifact(artifacts.deadShared, 'system', 'dead shared', { ...dead, shared: 1 }),
      ])
      .execute()
    await trx
      .insertInto('blobs')
      .values(
        Object.values(blobs).map((uuid) =>
          blobRow(uuid, uuid === blobs.deleted ? { state: 'deleted', deleted_at: now } : {}),
        ),
      )
      .execute()
    await trx
      .insertInto('versions')
      .values([
        version(artifacts.private, 1, blobs.private),
        version(artifacts.private, 2, blobs.common),
        version(artifacts.private, 3, blobs.pruned, 0),
        version(artifacts.dead, 1, blobs.dead, 0),
        version(artifacts.shared, 1, blobs.shared),
        version(artifacts.hidden, 1, blobs.hidden),
        version(artifacts.strangers, 1, blobs.common),
      ])
      .execute()
    await trx
      .insertInto('leases')
      .values([
        { blob_uuid: blobs.leased, namespace: 'stranger', expires_at: leaseEnds },
        { blob_uuid: blobs.deleted, namespace: 'stranger', expires_at: leaseEnds },
      ])
      .execute()
  })
})
afterAll(() => parts[Symbol.asyncDispose]())

/** What each may see, and what each may change. */
const rights: Record<string, { read: (keyof typeof artifacts)[]; write: (keyof typeof artifacts)[] }> = {
  system: {
    read: ['private', 'dead', 'shared', 'hidden', 'friends', 'strangers', 'deadShared'],
    write: ['private', 'dead', 'shared', 'hidden', 'friends', 'strangers', 'deadShared'],
  },
  owner: { read: ['private', 'dead', 'shared', 'deadShared'], write: ['private', 'dead'] },
  friend: {
    read: ['private', 'dead', 'shared', 'friends', 'deadShared'],
    write: ['private', 'dead', 'friends'],
  },
  stranger: { read: ['shared', 'strangers', 'deadShared'], write: ['strangers'] },
}

describe.each(Object.entries(rights))('artifacts for %s', (namespace, { read, write }) => {
  const caller = callerOf(namespace)
  const found = async (ref: (name: keyof typeof artifacts) => string, access: 'read' | 'write') => {
    const seen: string[] = []
    for (const name of Object.keys(artifacts) as (keyof typeof artifacts)[])
      await findArtifact(parts.db.read, caller, ref(name), access).then(
        (row) => {
          expect(row.uuid).toBe(artifacts[name])
          seen.push(name)
        },
        (error) => expect(error).toMatchObject({ code: 'artifact_not_found', detail: undefined }),
      )
    return seen.sort()
  }
  const live = (names: readonly string[]) => names.filter((name) => !name.startsWith('dead')).sort()

  test('by UUID, in any state and spelling', async () => {
    expect(await found((name) => artifacts[name], 'read')).toEqual([...read].sort())
    expect(await found((name) => artifacts[name].toUpperCase(), 'write')).toEqual([...write].sort())
  })

  test('by name, live ones', async () => {
    const nameOf = (name: string) => (name === 'deadShared' ? 'dead shared' : name)
    expect(await found(nameOf, 'read')).toEqual(live(read))
    expect(await found(nameOf, 'write')).toEqual(live(write))
  })

  test('in lists', async () => {
    const rows = await parts.db.read
      .selectFrom('artifacts')
      .select('uuid')
      .where(readableArtifacts(await reachOf(parts.db.read, caller)))
      .execute()
    expect(rows.map((row) => row.uuid).sort()).toEqual(read.map((name) => artifacts[name]).sort())
  })
})

describe('blobs', () => {
  test.each([
    ['system', ['private', 'dead', 'shared', 'hidden', 'common', 'leased', 'pruned']],
    ['owner', ['private', 'shared', 'common']],
    ['friend', ['private', 'shared', 'common']],
    ['stranger', ['shared', 'common', 'leased']],
    ['gone', ['shared']],
  ] as const)('that %s may see', async (namespace, expected) => {
    const seen: string[] = []
    for (const [name, uuid] of Object.entries(blobs))
      await findBlob(parts.db.read, callerOf(namespace), uuid.toUpperCase(), leaseEnds - 1).then(
        () => seen.push(name),
        (error) => expect(error).toMatchObject({ code: 'blob_not_found', detail: undefined }),
      )
    expect(seen.sort()).toEqual([...expected].sort())
  })

  test('a lease that has expired shows nothing', async () => {
    const stranger = callerOf('stranger')
    await expect(findBlob(parts.db.read, stranger, blobs.leased, leaseEnds)).rejects.toMatchObject({
      code: 'blob_not_found',
    })
  })

  test.each(['', 'nonsense', '../../etc/passwd', "' or 1=1 --"])('%j is no blob', async (uuid) => {
    await expect(findBlob(parts.db.read, callerOf('system'), uuid, 0)).rejects.toMatchObject({
      code: 'blob_not_found',
    })
  })
})

describe('names that several artifacts have', () => {
  const uuids = (from: number, count: number) =>
    Array.from({ length: count }, (_, n) => `c0000000-0000-4000-8000-0000000000${from + n}`)
  const [own, ownLabel, trusting, shared, foreign] = uuids(10, 5) as [string, string, string, string, string]
  const put = (...rows: [uuid: string, namespace: string, name: string, more?: object][]) =>
    parts.db.write(async (trx) => {
      for (const [uuid, namespace, name, more] of rows)
        await trx
          .insertInto('artifacts')
          .values(artifactRow(uuid, namespace, { name, source_url: `sf://x/${uuid}`, ...more }))
          .execute()
    })
  const remove = (...list: string[]) =>
    parts.db.write(async (trx) => {
      await trx.deleteFrom('artifacts').where('uuid', 'in', list).execute()
    })
  const find = async (namespace: string, access: 'read' | 'write' = 'read') =>
    (await findArtifact(parts.db.read, callerOf(namespace), 'disk', access)).uuid

  test('one’s own comes before trusting and shared ones', async () => {
    await put([own, 'friend', 'disk'], [trusting, 'owner', 'disk'], [shared, 'system', 'disk', { shared: 1 }])
    expect(await find('friend')).toBe(own)
    expect(await find('friend', 'write')).toBe(own)
    expect(await find('owner')).toBe(trusting)
    expect(await find('system')).toBe(shared)
    expect(await find('stranger')).toBe(shared)
    await expect(find('stranger', 'write')).rejects.toMatchObject({ code: 'artifact_not_found' })
    await remove(own, trusting, shared)
  })

  test('two of the same rank are refused, with those candidates that one may see', async () => {
    await put(
      [trusting, 'owner', 'disk'],
      [shared, 'system', 'disk', { shared: 1 }],
      [foreign, 'stranger', 'disk'],
    )
    for (const access of ['read', 'write'] as const)
      await expect(find('friend', access)).rejects.toMatchObject({
        code: 'artifact_ambiguous',
        message: 'multiple artifacts have the name "disk" in namespace "friend"',
        detail: {
          candidates: [
            { uuid: shared, namespace: 'system', type: 'image', source_url: `sf://x/${shared}` },
            { uuid: trusting, namespace: 'owner', type: 'image', source_url: `sf://x/${trusting}` },
          ],
        },
      })
    await remove(trusting, shared, foreign)
  })

  test('so are two of one’s own, but not a deleted one', async () => {
    await put([own, 'owner', 'disk'], [ownLabel, 'owner', 'disk', { type: 'label' }])
    await expect(find('owner')).rejects.toMatchObject({ code: 'artifact_ambiguous' })
    await parts.db.write((trx) =>
      trx
        .updateTable('artifacts')
        .set({ state: 'deleted', deleted_at: parts.clock.now() })
        .where('uuid', '=', own)
        .execute(),
    )
    expect(await find('owner')).toBe(ownLabel)
    await remove(own, ownLabel)
  })

  test('a shared one of a trusting namespace counts once', async () => {
    await put([shared, 'owner', 'disk', { shared: 1 }])
    expect(await find('friend')).toBe(shared)
    expect(await find('friend', 'write')).toBe(shared)
    await remove(shared)
  })

  test('system finds any, its own first', async () => {
    await put([own, 'owner', 'disk'])
    expect(await find('system')).toBe(own)
    await put([foreign, 'stranger', 'disk'])
    await expect(find('system')).rejects.toMatchObject({ code: 'artifact_ambiguous' })
    await remove(own, foreign)
  })

  test('a name that looks like a UUID is found as a name', async () => {
    await put([own, 'owner', foreign])
    expect((await findArtifact(parts.db.read, callerOf('owner'), foreign, 'read')).uuid).toBe(own)
    await remove(own)
  })
})

test('looking a name up walks through no rows of strangers', async () => {
  await using parts = await createTestParts({}, embedded)
  const { read } = parts.db
  const questions: CompiledQuery[] = []
  const listening = read.withPlugin({
    transformQuery: ({ node, queryId }) => {
      questions.push(read.getExecutor().compileQuery(node, queryId))
      return node
    },
    transformResult: async ({ result }) => result,
  })
  const looking = findArtifact(listening, callerOf('friend'), 'private', 'read')
  await expect(looking).rejects.toMatchObject({ code: 'artifact_not_found' })
  const file = new DatabaseSync(join(parts.config.dataDir, 'holdfast.db'), { readOnly: true })
  const plans = questions.map(({ sql, parameters }) =>
    file
      .prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all(...(parameters as string[]))
      .map((step) => String(step.detail))
      .join('; '),
  )
  file.close()
  expect(plans).toEqual([
    expect.stringContaining('trusts_by_trusted (trusted=?'),
    expect.stringContaining('artifacts_live_by_namespace_and_name (namespace=? AND name=?)'),
    expect.stringContaining('artifacts_shared_by_name (name=?)'),
    expect.stringContaining('artifacts_live_by_namespace_and_name (namespace=? AND name=?)'),
  ])
})

test('reach: the own namespace first, then those that trust it', async () => {
  expect(await reachOf(parts.db.read, callerOf('friend'))).toEqual(['friend', 'owner'])
  expect(await reachOf(parts.db.read, callerOf('owner'))).toEqual(['owner'])
  expect(await reachOf(parts.db.read, callerOf('system'))).toBe('all')
  expect(mayAct(['friend', 'owner'], 'owner')).toBe(true)
  expect(mayAct(['friend', 'owner'], 'system')).toBe(false)
  expect(mayAct('all', 'anything')).toBe(true)
})

test('namespaces: what is not within reach does not exist', async () => {
  await parts.db.write((trx) =>
    trx
      .updateTable('namespaces')
      .set({ state: 'deleted', deleted_at: 1 })
      .where('name', '=', 'gone')
      .execute(),
  )
  const tries: [string, string, boolean][] = [
    ['owner', 'owner', true],
    ['friend', 'owner', true],
    ['owner', 'friend', false],
    ['stranger', 'owner', false],
    ['stranger', 'system', false],
    ['stranger', 'unknown', false],
    ['system', 'owner', true],
    ['system', 'unknown', false],
    ['system', 'gone', false],
    ['gone', 'gone', false],
  ]
  for (const [caller, name, allowed] of tries) {
    const found = requireNamespace(parts.db.read, callerOf(caller), name)
    if (allowed) expect((await found).name).toBe(name)
    else await expect(found).rejects.toMatchObject({ code: 'namespace_not_found' })
  }
})

test('what is for system only', () => {
  expect(() => requireSystem(callerOf('owner'))).toThrow(expect.objectContaining({ code: 'system_only' }))
  expect(() => requireSystem(callerOf('system'))).not.toThrow()
})
