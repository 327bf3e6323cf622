import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dialects, type TestDialect } from '../db/test-dialects.ts'
import { callerOf } from '../test-parts.ts'
import { type ArtifactListInput, type ArtifactSort, listArtifacts } from './artifact-list.ts'
import { type ListedArtifact, type ListWorld, listenTo, makeListWorld, plansOf } from './list-fixture.ts'
import type { Page, PageInput } from './page.ts'

let world: ListWorld
const makeWorld = (dialect?: TestDialect) => {
  beforeAll(async () => {
    world = await makeListWorld(240, dialect)
  })
  afterAll(() => world.parts[Symbol.asyncDispose]())
}

const callers = ['few', 'many', 'friend', 'system'] as const
const sorts: readonly ArtifactSort[] = [
  'created_at',
  '-created_at',
  'updated_at',
  '-updated_at',
  'name',
  '-name',
  'size',
  '-size',
]
const begin = 1_700_000_000_000
type Filter = Omit<ArtifactListInput, keyof PageInput | 'sort'>
const filters: readonly [string, Filter][] = [
  ['nothing', {}],
  ['type', { type: 'label' }],
  ['state', { state: 'error' }],
  ['type and state', { type: 'image', state: 'created' }],
  ['deleted ones', { state: 'deleted' }],
  ['own namespace', { namespace: 'few' }],
  ['another namespace', { namespace: 'many' }],
  ['the namespace with shared ones', { namespace: 'system' }],
  ['no namespace', { namespace: 'nobody' }],
  ['name', { namePrefix: 'disk' }],
  ['name beyond the first plane', { namePrefix: 'a\u{1f600}' }],
  ['time', { createdAfter: begin + 8000 }],
  ['a fraction of a time', { createdAfter: begin + 7999.5 }],
  ['metadata', { metadata: [['os', 'linux']] }],
  ['a rare value', { metadata: [['rare', '{"deep":[1]}']] }],
  ['a number', { metadata: [['cores', '2']] }],
  ['a value that nothing has', { metadata: [['os', 'Linux']] }],
  [
    'two values',
    {
      metadata: [
        ['os', 'linux'],
        ['cores', '1'],
      ],
    },
  ],
  ['metadata and type', { metadata: [['os', 'linux']], type: 'other' }],
  ['name and metadata', { metadata: [['os', 'linux']], namePrefix: 'g' }],
  ['a node', { node: 'node-2' }],
]

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** The same by looking at every artifact. */
const isWanted = ({ row, metadata, blobs }: ListedArtifact, caller: string, filter: Filter): boolean =>
  row.state !== 'deleted' &&
  (caller === 'system' ||
    row.namespace === caller ||
    row.shared === 1 ||
    (caller === 'few' && row.namespace === 'friend')) &&
  (filter.type === undefined || row.type === filter.type) &&
  (filter.state === undefined || row.state === filter.state) &&
  (filter.namespace === undefined || row.namespace === filter.namespace) &&
  (filter.namePrefix === undefined || row.name.startsWith(filter.namePrefix)) &&
  (filter.createdAfter === undefined || row.created_at > filter.createdAfter) &&
  (filter.metadata ?? []).every(
    ([key, text]) => Object.hasOwn(metadata, key) && textOf(metadata[key]) === text,
  ) &&
  (filter.blobUuid === undefined || blobs.includes(filter.blobUuid)) &&
  (filter.node === undefined ||
    blobs.some((uuid) => world.blobs.find((blob) => blob.uuid === uuid)!.node === filter.node))

const inOrder = (artifacts: readonly ListedArtifact[], sort: ArtifactSort): string[] => {
  const column = sort.replace('-', '') as 'name'
  const bytes = (value: unknown) =>
    Buffer.from(String(value).padStart(typeof value === 'number' ? 16 : 0, '0'))
  const rows = artifacts.map(({ row }) => row)
  rows.sort((a, b) => Buffer.compare(bytes(a[column]), bytes(b[column])) || (a.uuid < b.uuid ? -1 : 1))
  return (sort.startsWith('-') ? rows.reverse() : rows).map(({ uuid }) => uuid)
}

const walk = async <T>(limit: number, read: (page: PageInput) => Promise<Page<T>>): Promise<T[]> => {
  const items: T[] = []
  for (let cursor: string | undefined, pages = 0; ; pages += 1) {
    expect(pages).toBeLessThan(1000)
    const page = await read({ limit, cursor })
    expect(page.items.length).toBeLessThanOrEqual(limit)
    items.push(...page.items)
    if (page.next === undefined) return items
    cursor = page.next
  }
}

/** For each caller other three of the orders, so that together they try all with every filter. */
const someSorts = (caller: (typeof callers)[number], at: number): readonly ArtifactSort[] =>
  [0, 1, 2].map((n) => sorts[(callers.indexOf(caller) * 2 + at + n * 3) % sorts.length]!)

describe.each(dialects)('artifacts on $name', (dialect) => {
  makeWorld(dialect)
  describe.each(callers)('what %s sees', (caller) => {
    test.each(filters)('by %s, in order', async (_what, filter) => {
      const wanted = world.artifacts.filter((artifact) => isWanted(artifact, caller, filter))
      for (const sort of someSorts(
        caller,
        filters.findIndex(([, one]) => one === filter),
      )) {
        const views = await walk(40, (page) =>
          listArtifacts(world.parts, callerOf(caller), { ...page, ...filter, sort }),
        )
        expect([sort, views.map(({ uuid }) => uuid)]).toEqual([sort, inOrder(wanted, sort)])
      }
    })

    test('by a blob, in every order', async () => {
      for (const { uuid } of world.blobs.slice(0, 2))
        for (const filter of [
          { blobUuid: uuid },
          { blobUuid: uuid, type: 'image' as const, metadata: [['os', 'linux']] as const },
        ])
          for (const sort of sorts) {
            const wanted = world.artifacts.filter((artifact) => isWanted(artifact, caller, filter))
            const views = await walk(3, (page) =>
              listArtifacts(world.parts, callerOf(caller), { ...page, ...filter, sort }),
            )
            expect(views.map((view) => view.uuid)).toEqual(inOrder(wanted, sort))
          }
    })
  })
})

/** Plans are SQLite's own: over another database there is nothing to look at. */
const statisticsKinds = process.env.TEST_POSTGRES_URL === undefined ? ['without', 'with'] : []

describe.each(statisticsKinds)('plans %s statistics', (statistics) => {
  makeWorld()
  beforeAll(() => {
    if (statistics === 'without') return
    const file = new DatabaseSync(join(world.parts.config.dataDir, 'holdfast.db'))
    file.exec('ANALYZE')
    file.close()
  })

  test('every page of artifacts comes straight from an index', async () => {
    const { parts, questions } = listenTo(world.parts)
    for (const caller of ['few', 'system'])
      for (const [, filter] of filters)
        for (const sort of ['created_at', '-updated_at', 'name', '-size'] as const) {
          const input = { ...filter, sort, limit: 3 }
          const { next } = await listArtifacts(parts, callerOf(caller), input)
          if (next) await listArtifacts(parts, callerOf(caller), { ...input, cursor: next })
        }
    const plans = plansOf(world.parts, questions.values())
    for (const [sql, steps] of plans) {
      const told = (wrong: RegExp) => ({ sql, steps: steps.filter((step) => wrong.test(step)) })
      // Of a table as small as this one, whole rows are rightly read by a scan once there are statistics.
      if (statistics === 'without' || sql.includes('as "place"'))
        expect(told(/^SCAN (?!CONSTANT)/)).toEqual({ sql, steps: [] })
      if (!sql.includes('as "place"')) continue
      expect(told(/TEMP B-TREE/)).toEqual({ sql, steps: [] })
      expect(told(/^SEARCH (?!\w+ USING (COVERING )?INDEX \w+_page_)/)).toEqual({ sql, steps: [] })
      const types = [...sql.matchAll(/"type" = /g)].length
      expect(told(/ \(.*state=\?.*\)| \(.*digest=\?.*\)/).steps.length).toBe(Math.max(types, 1))
      if (sql.includes(') > (') || sql.includes(') < ('))
        expect(told(/,(object_)?uuid\)[<>]/).steps.length).toBe(Math.max(types, 1))
    }
  })

  test('who holds a blob is found by the blob', async () => {
    const { parts, questions } = listenTo(world.parts)
    const { uuid: blobUuid } = world.blobs[0]!
    for (const caller of ['few', 'system'])
      await listArtifacts(parts, callerOf(caller), { limit: 3, blobUuid, sort: 'size' })
    for (const [sql, steps] of plansOf(world.parts, questions.values()))
      if (sql.includes('as "place"')) {
        expect(steps.join('; ')).toContain('versions_by_blob (blob_uuid=? AND live=?)')
        expect(steps.join('; ')).toContain('artifacts_1 (uuid=?)')
      }
  })
})
