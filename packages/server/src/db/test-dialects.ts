/**
 * For tests only: the databases that every test of queries runs over, and rows to begin with.
 *
 *     describe.each(dialects)('labels on $name', (dialect) => { ... const store = await dialect.create() ... })
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Database } from './database.ts'
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
  create(): Promise<TestDatabase>
}

async function createSqlite(): Promise<TestDatabase> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-db-'))
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
      await rm(directory, { recursive: true })
    },
  }
}

export const dialects: readonly TestDialect[] = [{ name: 'SQLite', create: createSqlite }]

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
