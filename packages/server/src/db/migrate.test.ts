import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NewerSchemaError } from './migrate.ts'
import type { Schema } from './schema.ts'
import { openSqlite } from './sqlite.ts'

let directory: string
let path: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-migrate-'))
  path = join(directory, 'holdfast.db')
})
afterEach(() => rm(directory, { recursive: true }))

/** Looks at the file as a stranger would. */
const inspect = <T>(look: (db: DatabaseSync) => T): T => {
  const db = new DatabaseSync(path)
  try {
    return look(db)
  } finally {
    db.close()
  }
}

const definitions = (db: DatabaseSync) =>
  db.prepare('SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name').all()

describe('migrations', () => {
  it('make every table of the schema', async () => {
    const db = await openSqlite({ path })
    const tables: Record<keyof Schema, true> = {
      namespaces: true,
      namespace_keys: true,
      trusts: true,
      metadata: true,
      metadata_values: true,
      uploads: true,
      blobs: true,
      blob_blocks: true,
      blob_uses: true,
      artifacts: true,
      versions: true,
      leases: true,
      conversions: true,
      events: true,
      fetches: true,
      settings: true,
      usage_samples: true,
      usage_namespaces: true,
      nodes: true,
      secrets: true,
      turns: true,
      jobs: true,
      holds: true,
    }
    for (const table of Object.keys(tables) as (keyof Schema)[]) {
      expect(await db.read.selectFrom(table).selectAll().execute()).toEqual([])
    }
    await db.close()
  })

  it('change nothing when there is nothing to do', async () => {
    await (await openSqlite({ path })).close()
    const before = inspect(definitions)
    await (await openSqlite({ path })).close()
    expect(inspect(definitions)).toEqual(before)
  })

  it('refuse a database of a newer version and leave it as it is', async () => {
    await (await openSqlite({ path })).close()
    inspect((db) => db.exec(`INSERT INTO migrations VALUES ('0999-from-the-future', '2099-01-01')`))
    const before = inspect(definitions)
    const refusal = await openSqlite({ path }).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(NewerSchemaError)
    expect((refusal as Error).message).toMatch(/newer version of Holdfast.*0999-from-the-future/)
    expect(inspect(definitions)).toEqual(before)
  })

  it('leave no trace when one fails half-way', async () => {
    // `events` is created late, so that a table of this name in the way fails after others were made.
    inspect((db) => db.exec('CREATE TABLE events (mine TEXT)'))
    await expect(openSqlite({ path })).rejects.toThrow('events')
    expect(inspect(definitions).map((row) => row.name)).toEqual(['events'])
  })
})
