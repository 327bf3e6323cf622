/** Where a store of the kill suite keeps its metadata, and what is killed there. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { askPostgres, databaseSettings, databaseUrlOf, dropDatabaseOf } from '../support/postgres.ts'
import type { RunningServer, StartOptions } from '../support/server.ts'
import { comesTrue, type Random, type Report } from './harness.ts'
import type { PostgresServer } from './postgres-server.ts'

export interface RowReader extends AsyncDisposable {
  rows(sql: string): Promise<Record<string, unknown>[]>
  /** What is wrong with the database itself, by its own account. */
  complaints(): Promise<string[]>
}

/** What a blob store that is not the disk has. */
export interface StoredObjects {
  /** Sizes by UUID. */
  readonly blobs: ReadonlyMap<string, number>
  readonly quarantined: readonly string[]
  /** Uploads in parts that were neither completed nor aborted. */
  readonly unfinished: readonly string[]
}

export interface Engine {
  /** What a server with this data directory needs; may be asked for again. */
  settings(dataDir: string): Promise<Record<string, string>>
  /** Starts what answers as one server; one process with this directory unless it says otherwise. */
  start?(options: StartOptions & { readonly dataDir: string }): Promise<RunningServer>
  /** Directories of nodes in the data directory; without them it is that of the only one. */
  readonly nodes?: readonly string[]
  /** Clients go on during a strike: there is somebody left to answer. */
  readonly isAvailable?: true
  /** How long a request may take, where that is more than usual. */
  readonly answerWithinMs?: number
  /** What is to be seen just now of a request that takes longer, by its id. */
  readonly look?: (requestId: string) => Promise<string>
  /** Does harm in the middle of the load. Answers whether the server has ended. */
  strike(server: RunningServer): Promise<boolean>
  /** Looks into the database of a stopped server. */
  open(dataDir: string): Promise<RowReader>
  /** What is stored, where blobs are not files of the data directory. */
  stored?(dataDir: string): Promise<StoredObjects>
  /** Bytes of the largest file that the client library sends; 12 MiB unless it says otherwise. */
  readonly largestFile?: number
  /** Forgets the database of a data directory that is removed. */
  forget(dataDir: string): Promise<void>
}

/** SQLite in the data directory: there is nothing to kill but the server. */
export const embedded: Engine = {
  settings: async () => ({}),
  strike: async (server) => {
    await server.stop('SIGKILL')
    return true
  },
  open: async (dataDir) => {
    const database = new DatabaseSync(join(dataDir, 'holdfast.db'), { readOnly: true })
    const rows = async (sql: string) => database.prepare(sql).all() as Record<string, unknown>[]
    return {
      rows,
      complaints: async () => {
        const [integrity] = await rows('PRAGMA integrity_check')
        const found = integrity?.integrity_check === 'ok' ? [] : [JSON.stringify(integrity)]
        if ((await rows('PRAGMA foreign_key_check')).length > 0)
          found.push('rows refer to rows that do not exist')
        return found
      },
      [Symbol.asyncDispose]: async () => database.close(),
    }
  },
  forget: async () => {},
}

/** Longer than the database may be away before requests are refused; see `settings` below. */
const longAwayMs = 2500
const readyTimeoutMs = 60_000

/** PostgreSQL, restarted and killed in several ways; now and then the server with it. */
export const postgresEngine = (postgres: PostgresServer, random: Random, report: Report): Engine => {
  const strikes = {
    'restart, fast': async () => {
      await postgres.stop('fast')
      await pause()
      await postgres.start()
    },
    'restart, immediate': async () => {
      await postgres.stop('immediate')
      await pause()
      await postgres.start()
    },
    'kill -9 of everything': async () => {
      await postgres.kill()
      await pause()
      await postgres.start()
    },
    'kill -9 of a session': () => postgres.killSession((pids) => random.pick(pids)),
    'all sessions ended': () => postgres.endSessions(),
    'away for long': async (server: RunningServer) => {
      await postgres.stop('immediate')
      await sleepFor(longAwayMs)
      await expectRefusal(server, report)
      await postgres.start()
    },
    'kill -9 of everything and the server': async (server: RunningServer) => {
      await Promise.all([postgres.kill(), server.stop('SIGKILL')])
      await postgres.start()
    },
  } as const
  const pause = () => sleepFor(random.chance(0.5) ? 0 : random.between(0, 800))
  return {
    settings: async (dataDir) => ({
      ...(await databaseSettings(dataDir, postgres.url)),
      HOLDFAST_DATABASE_PATIENCE: '2',
    }),
    async strike(server) {
      const kind = random.weighted({
        'restart, fast': 3,
        'restart, immediate': 3,
        'kill -9 of everything': 4,
        'kill -9 of a session': 4,
        'all sessions ended': 3,
        'away for long': 1,
        'kill -9 of everything and the server': 2,
      })
      report.count(`strike: ${kind}`)
      await strikes[kind](server)
      await postgres.ready()
      if (kind.endsWith('the server')) return true
      report.check(server.process.exitCode === null, () => `the server ended by itself: ${server.output()}`)
      const isReady = () => fetch(`${server.url}/readyz`).then(({ ok }) => ok)
      report.check(await comesTrue(isReady, readyTimeoutMs), 'the server does not find its database again')
      return false
    },
    async open(dataDir) {
      const url = databaseUrlOf(dataDir, postgres.url)!
      return {
        rows: (sql) => askPostgres(url, sql),
        complaints: async () => {
          await askPostgres(url, 'CREATE EXTENSION IF NOT EXISTS amcheck')
          // Every index has what its table has, and is in order.
          return askPostgres(
            url,
            `SELECT bt_index_check(index => c.oid, heapallindexed => true) FROM pg_index i
             JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
             JOIN pg_am am ON am.oid = c.relam WHERE am.amname = 'btree' AND n.nspname = 'public'`,
          ).then(
            () => [],
            (error: Error) => [error.message],
          )
        },
        [Symbol.asyncDispose]: async () => {},
      }
    },
    forget: (dataDir) => dropDatabaseOf(dataDir, postgres.url),
  }
}

const sleepFor = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** While the database is away for longer than the server's patience, it says so at once, and when to come back. */
const expectRefusal = async (server: RunningServer, report: Report): Promise<void> => {
  const reply = await fetch(`${server.url}/artifacts/any`, { headers: { Authorization: 'Bearer nonsense' } })
  report.check(reply.status === 401, () => `nonsense for a token is ${reply.status} also without a database`)
  const began = performance.now()
  const asked = await fetch(`${server.url}/auth`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ namespace: 'north', key: 'key of north' }),
  })
  const body = (await asked.json()) as { code?: string }
  report.highest('ms to a refusal without a database', Math.round(performance.now() - began))
  report.check(
    asked.status === 503 && body.code === 'unavailable' && asked.headers.has('retry-after'),
    () => `without a database a login is ${asked.status} ${JSON.stringify(body)}`,
  )
}
