/**
 * For tests only: a store with artifacts of every kind, as lists meet them, and what each caller should be shown of it.
 */

import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { CompiledQuery } from 'kysely'
import type { Row } from '../db/schema.ts'
import { artifactRow, blobRow, namespaceRow, type TestDialect } from '../db/test-dialects.ts'
import type { Parts } from '../parts.ts'
import { createTestParts, type TestParts } from '../test-parts.ts'
import { listValue } from './listed-metadata.ts'

/** `many` has most artifacts, `few` some; `friend` lets `few` act on its own; `system` shares some. */
const owners = ['many', 'many', 'many', 'many', 'many', 'few', 'friend', 'system'] as const
const types = ['image', 'image', 'image', 'other', 'label', 'snapshot'] as const
const states = ['created', 'created', 'created', 'initial', 'error', 'deleted'] as const

export interface ListedArtifact {
  readonly row: Row<'artifacts'>
  readonly metadata: Readonly<Record<string, unknown>>
  readonly blobs: readonly string[]
}

export interface ListWorld {
  readonly parts: TestParts
  readonly artifacts: readonly ListedArtifact[]
  readonly blobs: readonly Row<'blobs'>[]
}

const uuidOf = (kind: string, n: number): string =>
  // Not in the order of their numbers, as no real ones are.
  `${((n * 2_654_435_761) >>> 0).toString(16).padStart(8, '0')}-${kind}-4000-8000-${n.toString(16).padStart(12, '0')}`

/** Makes the store. Its times repeat, and so do names, sizes and values: places must be decided by the UUID. */
export const makeListWorld = async (count: number, dialect?: TestDialect): Promise<ListWorld> => {
  const parts = dialect ? await partsOn(dialect) : await createTestParts()
  const begin = parts.clock.now()
  const blobs = Array.from({ length: 60 }, (_, n) =>
    blobRow(uuidOf('b10b', n), {
      size: 1 + (n % 7) * 1000,
      created_at: begin + (n % 9) * 1000,
      state: n % 10 === 3 ? 'quarantined' : 'created',
      node: n % 4 === 0 ? 'node-2' : 'node-1',
    }),
  )
  const artifacts = Array.from({ length: count }, (_, n) => {
    const namespace = owners[(n * 7) % owners.length]!
    const state = states[(n * 5) % states.length]!
    const row = artifactRow(uuidOf('a27f', n), namespace, {
      name: ['disk', 'disk-a', 'größe', 'a\u{1f600}', 'a\u{ffff}', 'zeta'][n % 6]! + (n % 11),
      source_url: `sf://${n}`,
      type: types[(n * 11) % types.length]!,
      state,
      deleted_at: state === 'deleted' ? begin + 1 : null,
      shared: namespace === 'system' && n % 3 !== 0 ? 1 : 0,
      created_at: begin + (n % 13) * 1000,
      updated_at: begin + (n % 17) * 1000,
      size: (n % 5) * 100,
    })
    const metadata = {
      ...(n % 2 ? { os: 'linux' } : {}),
      ...(n % 97 === 5 ? { rare: { deep: [n % 2] } } : {}),
      ...(n % 3 ? { cores: n % 4 } : {}),
    }
    const held = [...new Set([n % 60, (n * 13) % 60].map((one) => blobs[one]!.uuid))]
    return { row: row as Row<'artifacts'>, metadata, blobs: held }
  })
  await parts.db.write(async (trx) => {
    const names = ['system', ...new Set(owners)].filter((name, at, all) => all.indexOf(name) === at)
    await trx.insertInto('namespaces').values(names.map(namespaceRow)).execute()
    await trx.insertInto('trusts').values({ namespace: 'friend', trusted: 'few' }).execute()
    await trx.insertInto('blobs').values(blobs).execute()
    for (const { row, metadata, blobs: held } of artifacts) {
      await trx.insertInto('artifacts').values(row).execute()
      const versions = held.map((blob_uuid, at) => ({
        artifact_uuid: row.uuid,
        idx: at + 1,
        blob_uuid,
        live: row.state === 'deleted' ? (0 as const) : (1 as const),
        created_at: row.created_at + (at % 2),
      }))
      await trx.insertInto('versions').values(versions).execute()
      for (const [key, value] of Object.entries(metadata)) {
        const entry = {
          object_type: 'artifact',
          object_uuid: row.uuid,
          namespace: '',
          key,
          value: JSON.stringify(value),
        } as const
        await trx.insertInto('metadata').values(entry).execute()
        await listValue(trx, entry)
      }
    }
  })
  return { parts, artifacts, blobs: blobs as Row<'blobs'>[] }
}

/** Parts with a database of this kind. */
const partsOn = async (dialect: TestDialect): Promise<TestParts> => {
  const store = await dialect.create()
  const parts = await createTestParts()
  return {
    ...parts,
    db: store.db,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]()
      await parts[Symbol.asyncDispose]()
    },
  }
}

/** Listens to the questions that are put to a database. */
export const listenTo = (parts: Parts): { parts: Parts; questions: Map<string, CompiledQuery> } => {
  const questions = new Map<string, CompiledQuery>()
  const { db } = parts
  const read = db.read.withPlugin({
    transformQuery: ({ node, queryId }) => {
      const query = db.read.getExecutor().compileQuery(node, queryId)
      questions.set(query.sql, query)
      return node
    },
    transformResult: async ({ result }) => result,
  })
  return { parts: { ...parts, db: { ...db, read } }, questions }
}

/** How SQLite answers each question: the steps of its plan, by the question. */
export const plansOf = (parts: Parts, questions: Iterable<CompiledQuery>): Map<string, string[]> => {
  const file = new DatabaseSync(join(parts.config.dataDir, 'holdfast.db'), { readOnly: true })
  try {
    return new Map(
      [...questions].map(({ sql, parameters }) => [
        sql,
        file
          .prepare(`EXPLAIN QUERY PLAN ${sql}`)
          .all(...(parameters as string[]))
          .map((step) => String(step.detail)),
      ]),
    )
  } finally {
    file.close()
  }
}
