/**
 * For tests only: the databases that every test of queries runs over, and rows to begin with.
 *
 *     describe.each(dialects)('labels on $name', (dialect) => { ... const store = await dialect.create() ... })
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import type { Database } from './database.ts'
import { openPostgres } from './postgres.ts'
import type { NewRow } from './schema.ts'
import { openSqlite } from './sqlite.ts'

/** A new, empty database of a test. `await using` takes it away again. */
export interface TestDatabase extends AsyncDisposable {
  readonly db: Database
  /** Closes the database and opens it anew; `db` is then the new one. */
  reopen(): Promise<void>
}

export interface TestDialect {
  readonly name: string
  /** Whether transactions really run one at a time, and not only as if they did. */
  readonly isSerial: boolean
  /** Embedded, the database is a file in `directory`, by default one of its own. */
  create(directory?: string): Promise<TestDatabase>
}

async function createSqlite(given?: string): Promise<TestDatabase> {
  const directory = given ?? (await mkdtemp(join(tmpdir(), 'holdfast-db-')))
  const path = join(directory, 'holdfast.db')
  let db = await openSqlite({ path })
  return {
    get db() {
      return db
    },
    async reopen() {
      await db.close()
      db = await openSqlite({ path })
    },
    async [Symbol.asyncDispose]() {
      await db.close()
      if (given === undefined) await rm(directory, { recursive: true })
    },
  }
}

/** Where tests may make databases: a throw-away server, see `scripts/start-postgres.sh`. */
export const postgresUrl = process.env.TEST_POSTGRES_URL

/** A new, empty database, and how to drop it again. */
export async function createPostgresDatabase(
  adminUrl: string,
): Promise<{ url: string; drop(): Promise<void> }> {
  const name = `test_${randomBytes(8).toString('hex')}`
  const url = new URL(adminUrl)
  url.pathname = `/${name}`
  const admin = async (statement: string) => {
    const client = new Client({ connectionString: adminUrl })
    await client.connect()
    await client.query(statement)
    await client.end()
  }
  // Not the order that the tests ask for: the columns have to say theirs.
  await admin(
    `CREATE DATABASE ${name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C.UTF-8'`,
  )
  return { url: url.href, drop: () => admin(`DROP DATABASE ${name} WITH (FORCE)`) }
}

async function createPostgres(adminUrl: string): Promise<TestDatabase> {
  const { url, drop } = await createPostgresDatabase(adminUrl)
  const open = () =>
    openPostgres({
      url,
      applicationName: 'holdfast test',
      connections: 6,
      writers: 4,
      statementTimeoutMs: 10_000,
      lockTimeoutMs: 5_000,
      patienceMs: 5_000,
    })
  let db = await open()
  return {
    get db() {
      return db
    },
    async reopen() {
      await db.close()
      db = await open()
    },
    async [Symbol.asyncDispose]() {
      await db.close()
      await drop()
    },
  }
}

/** SQLite, and PostgreSQL where there is one. */
export const dialects: readonly TestDialect[] = [
  { name: 'SQLite', isSerial: true, create: createSqlite },
  ...(postgresUrl
    ? [{ name: 'PostgreSQL', isSerial: false, create: () => createPostgres(postgresUrl) }]
    : []),
]

/** A namespace's row as it is after creation. */
export const namespaceRow = (name: string): NewRow<'namespaces'> => ({
  name,
  state: 'created',
  epoch: `epoch-of-${name}`,
  created_at: 1_700_000_000_000,
})

/** A blob's row; its digest is made up from its UUID unless given. */
export const blobRow = (uuid: string, more: Partial<NewRow<'blobs'>> = {}): NewRow<'blobs'> => ({
  uuid,
  state: 'created',
  size: 1,
  sha512: `sha512-of-${uuid}`,
  created_at: 1_700_000_000_000,
  info: '{}',
  node: 'node-1',
  ...more,
})

/** An artifact's row, without versions. */
export const artifactRow = (
  uuid: string,
  namespace: string,
  more: Partial<NewRow<'artifacts'>> = {},
): NewRow<'artifacts'> => ({
  uuid,
  namespace,
  name: 'disk',
  type: 'image',
  source_url: `sf://upload/${namespace}/disk`,
  state: 'created',
  shared: 0,
  max_versions: 3,
  next_index: 1,
  created_at: 1_700_000_000_000,
  ...more,
})
