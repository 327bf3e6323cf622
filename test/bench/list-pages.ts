/**
 * List pages of a large store against those of a small one, in every order and with every filter: the same requests, in
 * turns, on two servers of this run. `node test/bench/list-pages.ts [--count N] [--small N] [--rounds N] [--directory DIR]`
 *
 * The rows are put straight into the database, as a million uploads would take hours; there are no files behind the
 * blobs, which lists do not look at. Both stores have as many objects of the rare kinds and as many in the small
 * namespace, so that equal pages are compared; all else grows. Each figure is the median of several rounds.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { parseArgs } from 'node:util'
import { login, type Session, send } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import { describeMachine, describeSource, formatTable, median } from './bench.ts'

/** A number's UUID; in no order of the numbers, as those of real objects are. */
const uuid = (kind: string, n: string): string =>
  `printf('%08x-${kind}-4000-8000-%012x', (${n} * 2654435761) & 4294967295, ${n})`
const begin = 1_700_000_000_000

/** Rows 0 to 199 belong to `few`; of the others a tenth is `system`'s and shared, a seventh `friend`'s, the rest `many`'s. */
const owner = `CASE WHEN n < 200 THEN 'few' WHEN n % 10 = 3 THEN 'system' WHEN n % 7 = 1 THEN 'friend' ELSE 'many' END`
/** 150 artifacts, most of them `many`'s, of each rare kind. */
const isRare = (from: number): string => `n BETWEEN ${from} AND ${from + 149}`
const deep = "'deeb0000-0000-4000-8000-000000000000'"

const statements = (count: number): string[] => {
  const numbers = `WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count - 1})`
  return [
    `INSERT INTO blobs (uuid, state, size, sha512, created_at, info, node) ${numbers}
      SELECT ${uuid('b10b', 'n')}, CASE WHEN ${isRare(300)} THEN 'quarantined' ELSE 'created' END,
      (n * 7919) % 1000003, printf('%0128x', n), ${begin} + n, '{}', 'node-1' FROM numbers`,
    `INSERT INTO artifacts
      (uuid, namespace, name, type, source_url, state, shared, max_versions, next_index, created_at, updated_at, size)
      ${numbers} SELECT ${uuid('a27f', 'n')}, ${owner}, printf('%s-%d', CASE WHEN ${isRare(450)} THEN 'rare' ELSE 'disk' END, n),
      CASE WHEN ${isRare(600)} THEN 'snapshot' WHEN n % 3 = 0 THEN 'other' ELSE 'image' END, printf('sf://%d', n),
      CASE WHEN ${isRare(750)} THEN 'error' ELSE 'created' END, (${owner}) = 'system', 3, 2, ${begin} + n,
      ${begin} + (n * 31) % ${count}, (n * 7919) % 1000003 FROM numbers`,
    `INSERT INTO versions (artifact_uuid, idx, blob_uuid, live, created_at) ${numbers}
      SELECT ${uuid('a27f', 'n')}, 1, ${uuid('b10b', 'n')}, 1, ${begin} + n FROM numbers`,
    `INSERT INTO metadata (object_type, object_uuid, namespace, key, value) ${numbers}
      SELECT 'artifact', ${uuid('a27f', 'n')}, '', 'os', CASE WHEN ${isRare(850)} THEN '"rare"' ELSE '"linux"' END
      FROM numbers WHERE n % 2 = 0 OR ${isRare(850)}`,
    `INSERT INTO metadata_values
      SELECT 'artifact', uuid, '', 'os', digest, artifacts.namespace, shared, name, size, artifacts.created_at, updated_at
      FROM metadata JOIN artifacts ON uuid = object_uuid JOIN digests ON text = value WHERE object_type = 'artifact'`,
    // One artifact of a great many versions and events. A deleted one, as its view names them all in every list.
    `INSERT INTO artifacts (uuid, namespace, name, type, source_url, state, shared, max_versions, next_index, created_at, deleted_at)
      VALUES (${deep}, 'few', 'deep', 'image', 'sf://deep', 'deleted', 0, 1000000, ${count + 1}, ${begin}, ${begin})`,
    `INSERT INTO versions (artifact_uuid, idx, blob_uuid, live, created_at) ${numbers}
      SELECT ${deep}, n + 1, ${uuid('b10b', 'n')}, 0, ${begin} + n FROM numbers`,
    `INSERT INTO events (object_type, object_uuid, namespace, type, at, node, message, extra) ${numbers}
      SELECT 'artifact', ${deep}, 'few', CASE WHEN ${isRare(300)} THEN 'prune' ELSE 'audit' END, ${begin} + n, 'node-1', 'x', '{}'
      FROM numbers`,
    // One blob with the history of many, of which `few` has some.
    `INSERT INTO events (object_type, object_uuid, namespace, type, at, node, message, extra) ${numbers}
      SELECT 'blob', ${uuid('b10b', '0')}, CASE WHEN ${isRare(300)} THEN 'few' ELSE 'many' END, 'audit', ${begin} + n,
      'node-1', 'x', '{}' FROM numbers`,
  ]
}

/** Makes a store of this size and starts a server on it. */
const makeStore = async (dataDir: string, count: number): Promise<RunningServer> => {
  const settings = { HOLDFAST_JOB_INTERVAL: '86400', HOLDFAST_LOG_LEVEL: 'warn' }
  const first = await startServer({ dataDir, settings })
  const system = await login(first.url, 'system', first.systemKey)
  for (const namespace of ['few', 'friend', 'many']) {
    const fields = { namespace, key_name: 'first', key: `key of ${namespace}` }
    const { status, bytes } = await system.post('/auth/namespaces', fields)
    if (status !== 200) throw new Error(`cannot make ${namespace}: ${bytes}`)
  }
  const friend = await login(first.url, 'friend', 'key of friend')
  await friend.post('/auth/namespaces/friend/trust', { external_namespace: 'few' })
  await first.stop()
  const db = new DatabaseSync(join(dataDir, 'holdfast.db'))
  db.exec(
    'PRAGMA foreign_keys = OFF; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -400000',
  )
  db.exec(`UPDATE namespaces SET created_at = ${begin}`)
  db.exec('CREATE TEMP TABLE digests (text TEXT, digest TEXT)')
  for (const text of ['linux', 'rare']) {
    const digest = await digestOf(text)
    db.prepare('INSERT INTO digests VALUES (?, ?)').run(JSON.stringify(text), digest)
  }
  const indexes = db
    .prepare(`SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL`)
    .all() as { name: string; sql: string }[]
  // Sorted at the end, in a fraction of the time.
  for (const { name } of indexes) db.exec(`DROP INDEX ${name}`)
  for (const statement of statements(count)) db.exec(statement)
  for (const { sql } of indexes) db.exec(sql)
  db.close()
  return startServer({ dataDir, settings })
}

/** As the server's `metadata-digest.ts` has it. */
const digestOf = async (text: string): Promise<string> =>
  Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(text)))
    .toString('hex')
    .slice(0, 32)

const sorts = ['created_at', 'updated_at', 'name', 'size'].flatMap((sort) => [sort, `-${sort}`])
const orders = sorts.map((sort) => `sort=${sort}`)
const blob0 = '00000000-b10b-4000-8000-000000000000'
const firstBlob = `blob_uuid=${blob0}`

/** Who asks for which pages. */
const pages: readonly [who: 'few' | 'many' | 'system', targets: readonly string[]][] = [
  ...(['few', 'many', 'system'] as const).map((who): [typeof who, string[]] => [
    who,
    [
      ...orders,
      ...orders.map((order) => `${order}&metadata.os=linux`),
      ...[
        'type=image',
        'state=created',
        'type=image&state=created&sort=-size',
        'name=disk',
        `created_after=${begin / 1000}`,
      ].map((filter) => filter),
    ].map((query) => `/artifacts?limit=100&${query}`),
  ]),
  [
    'system',
    [
      ...[
        'type=snapshot',
        'state=error',
        'metadata.os=rare',
        'name=rare',
        'namespace=few',
        'namespace=friend',
        firstBlob,
      ].flatMap((filter) => [filter, `${filter}&sort=-size`]),
    ].map((query) => `/artifacts?limit=100&${query}`),
  ],
  [
    'many',
    ['type=snapshot', 'state=error', 'metadata.os=rare', 'name=rare'].map(
      (query) => `/artifacts?limit=100&${query}`,
    ),
  ],
  [
    'few',
    ['namespace=few', 'namespace=friend', 'namespace=system', firstBlob].map(
      (query) => `/artifacts?limit=100&${query}`,
    ),
  ],
  [
    'system',
    [
      '',
      'sort=-created_at',
      'sort=size',
      'sort=-size',
      'state=quarantined',
      'state=quarantined&sort=size',
    ].map((query) => `/blobs?limit=100&${query}`),
  ],
  [
    'few',
    [
      ...['', 'sort=-index', 'sort=-created_at', `created_after=${begin / 1000}`].map(
        (query) => `/artifacts/${deep.slice(1, -1)}/versions?limit=100&${query}`,
      ),
      ...['', 'sort=timestamp', 'event_type=prune', `created_after=${begin / 1000}`].map(
        (query) => `/artifacts/${deep.slice(1, -1)}/events?limit=100&${query}`,
      ),
      `/blobs/${blob0}/events?limit=100`,
    ],
  ],
  ['system', [`/blobs/${blob0}/events?limit=100`]],
]

interface Store {
  readonly server: RunningServer
  readonly sessions: Readonly<Record<'few' | 'many' | 'system', Session>>
  readonly agent: Agent
}

const openStore = async (server: RunningServer): Promise<Store> => ({
  server,
  sessions: {
    few: await login(server.url, 'few', 'key of few'),
    many: await login(server.url, 'many', 'key of many'),
    system: await login(server.url, 'system', server.systemKey),
  },
  agent: new Agent({ keepAlive: true, maxSockets: 1 }),
})

const timeOf = async ({ server, sessions, agent }: Store, who: keyof Store['sessions'], target: string) => {
  const started = process.hrtime.bigint()
  const answer = await send(server.url, 'GET', target, { token: sessions[who].token, agent, unchecked: true })
  const ms = Number(process.hrtime.bigint() - started) / 1e6
  if (answer.status !== 200) throw new Error(`${target}: ${answer.bytes}`)
  return { ms, rows: (answer.json as unknown[]).length, next: answer.headers['next-cursor'] }
}

const run = async (words: readonly string[]): Promise<void> => {
  const { values } = parseArgs({
    args: [...words],
    options: {
      count: { type: 'string', default: '1000000' },
      small: { type: 'string', default: '1000' },
      rounds: { type: 'string', default: '15' },
      directory: { type: 'string', default: tmpdir() },
    },
  })
  const [count, small, rounds] = [Number(values.count), Number(values.small), Number(values.rounds)]
  if (!(small >= 1000 && count >= small && rounds >= 1))
    throw new Error('--small 1000 or more, --count no less, --rounds 1 or more')
  const directory = await mkdtemp(join(values.directory, 'holdfast-scale-'))
  const stores: Store[] = []
  try {
    for (const size of [small, count]) {
      const started = Date.now()
      stores.push(await openStore(await makeStore(join(directory, String(size)), size)))
      console.log(`${size} artifacts: made in ${Math.round((Date.now() - started) / 1000)} s`)
    }
    const rows: string[][] = []
    const ratios: number[] = []
    for (const [who, targets] of pages)
      for (const target of targets) {
        const cursors = await Promise.all(
          stores.map(async (store) => (await timeOf(store, who, target)).next),
        )
        for (const [what, suffix] of [
          ['first', ['', '']],
          ['next', cursors.map((cursor) => `&cursor=${cursor}`)],
        ] as const) {
          if (what === 'next' && cursors.includes(undefined)) continue
          const times: number[][] = [[], []]
          const lengths = [0, 0]
          for (let round = 0; round < rounds; round += 1)
            for (const at of round % 2 ? [1, 0] : [0, 1]) {
              const { ms, rows: length } = await timeOf(stores[at]!, who, `${target}${suffix[at]}`)
              times[at]!.push(ms)
              lengths[at] = length
            }
          const [a, b] = times.map(median) as [number, number]
          ratios.push(b / a)
          const words = decodeURIComponent(target)
            .replace(/limit=100&?/, '')
            .replace(/\?$/, '')
          rows.push([
            `${who}: ${words}, ${what}`,
            lengths.join(' / '),
            a.toFixed(1),
            b.toFixed(1),
            (b / a).toFixed(2),
          ])
        }
      }
    console.log(`\n${describeMachine()}, ${describeSource()}\n`)
    console.log(formatTable(['page', 'rows', `${small}: ms`, `${count}: ms`, 'ratio'], rows))
    console.log(
      `\n${ratios.length} pages; ratio: median ${median(ratios).toFixed(2)}, at most ${Math.max(...ratios).toFixed(2)}`,
    )
  } finally {
    for (const { server, agent } of stores) {
      agent.destroy()
      await server.stop()
    }
    await rm(directory, { recursive: true, force: true })
  }
}

await run(process.argv.slice(2))
