/**
 * Lists that cost the same however long they are: every order of every list, with every filter that may be rare, is the
 * order of an index, whoever asks.
 *
 * - An artifact tells when its versions last changed and how large its newest version is, so that lists can be sorted
 *   by it.
 * - What a caller sees of artifacts is all of them (`system`), those of some namespaces, and the shared ones. Each of
 *   these has an index for each order. Type and state come before the sort key: a list of one type and state is a
 *   piece of the index, and a list of all is merged from twelve.
 * - `metadata_values` does the same for artifacts, and for blobs, by the value of a key. It repeats what lists are
 *   sorted by, as no index spans two tables. It holds live artifacts only, and goes with the metadata.
 * - Histories are ordered by time, each type of event apart; those of blobs, which tenants share without knowing, by
 *   namespace as well.
 */
import { type Kysely, type Migration, sql } from 'kysely'
import { valueDigest } from '../metadata-digest.ts'
import type { DialectWords } from './0001-initial.ts'

const live = `state <> 'deleted'`

/** What artifacts are sorted by. */
const orders = ['created_at', 'updated_at', 'name', 'size']

const pageIndexes = [
  ...orders.flatMap((order) => [
    `CREATE INDEX artifacts_page_all_${order} ON artifacts (type, state, ${order}, uuid) WHERE ${live}`,
    `CREATE INDEX artifacts_page_namespace_${order} ON artifacts (namespace, type, state, ${order}, uuid)
      WHERE ${live}`,
    `CREATE INDEX artifacts_page_shared_${order} ON artifacts (type, state, ${order}, uuid)
      WHERE shared = 1 AND ${live}`,
    `CREATE INDEX metadata_page_all_${order} ON metadata_values (key, digest, ${order}, object_uuid)
      WHERE object_type = 'artifact'`,
    `CREATE INDEX metadata_page_namespace_${order} ON metadata_values (owner, key, digest, ${order}, object_uuid)
      WHERE object_type = 'artifact'`,
    `CREATE INDEX metadata_page_shared_${order} ON metadata_values (key, digest, ${order}, object_uuid)
      WHERE object_type = 'artifact' AND shared = 1`,
  ]),
  ...['created_at', 'size'].flatMap((order) => [
    `CREATE INDEX blobs_page_${order} ON blobs (state, ${order}, uuid) WHERE ${live}`,
    `CREATE INDEX metadata_page_blobs_${order} ON metadata_values (key, digest, ${order}, object_uuid)
      WHERE object_type = 'blob'`,
  ]),
  'CREATE INDEX versions_by_time ON versions (artifact_uuid, live, created_at, idx)',
  'CREATE INDEX events_page ON events (object_type, object_uuid, type, at, id)',
  `CREATE INDEX events_page_blobs ON events (object_uuid, namespace, type, at, id) WHERE object_type = 'blob'`,
]

/** The new ones serve instead. */
const replaced = [
  'artifacts_live_by_time',
  'artifacts_live_by_namespace_and_time',
  'artifacts_shared_by_time',
  'blobs_live_by_time',
  'events_by_object',
]

const changesOf = ({ text, integer, keyedTable }: DialectWords): string[] => [
  `ALTER TABLE artifacts ADD COLUMN updated_at ${integer} NOT NULL DEFAULT 0`,
  `ALTER TABLE artifacts ADD COLUMN size ${integer} NOT NULL DEFAULT 0`,
  `UPDATE artifacts SET
    updated_at = coalesce(
      (SELECT max(versions.created_at) FROM versions WHERE versions.artifact_uuid = artifacts.uuid), created_at),
    size = coalesce(
      (SELECT blobs.size FROM versions JOIN blobs ON blobs.uuid = versions.blob_uuid
       WHERE versions.artifact_uuid = artifacts.uuid ORDER BY versions.idx DESC LIMIT 1), 0)`,
  `CREATE TABLE metadata_values (
    object_type ${text} NOT NULL CHECK (object_type IN ('artifact', 'blob')),
    object_uuid ${text} NOT NULL,
    namespace ${text} NOT NULL,
    key ${text} NOT NULL,
    digest ${text} NOT NULL,
    owner ${text} NOT NULL,
    shared ${integer} NOT NULL CHECK (shared IN (0, 1)),
    name ${text} NOT NULL,
    size ${integer} NOT NULL,
    created_at ${integer} NOT NULL,
    updated_at ${integer} NOT NULL,
    PRIMARY KEY (object_type, object_uuid, namespace, key),
    FOREIGN KEY (object_type, object_uuid, namespace, key)
      REFERENCES metadata (object_type, object_uuid, namespace, key) ON DELETE CASCADE
  ) ${keyedTable}`,
]

interface Metadata {
  object_type: string
  object_uuid: string
  namespace: string
  key: string
  value: string
}

/** Metadata rows read at a time: a value may have 256 KiB. */
const batchSize = 100

/** Fills `metadata_values` from the metadata of live artifacts and of blobs. */
const fillValues = async (db: Kysely<unknown>): Promise<void> => {
  for (let last: Metadata | undefined; ; ) {
    const after = last
      ? sql`AND (object_type, object_uuid, namespace, key)
          > (${last.object_type}, ${last.object_uuid}, ${last.namespace}, ${last.key})`
      : sql``
    const { rows } = await sql<Metadata>`
      SELECT object_type, object_uuid, namespace, key, value FROM metadata
      WHERE object_type IN ('artifact', 'blob') ${after}
      ORDER BY object_type, object_uuid, namespace, key LIMIT ${sql.lit(batchSize)}`.execute(db)
    for (const row of rows) {
      const keys = sql`${row.object_type}, ${row.object_uuid}, ${row.namespace}, ${row.key}, ${valueDigest(row.value)}`
      await (row.object_type === 'artifact'
        ? sql`INSERT INTO metadata_values
            SELECT ${keys}, namespace, shared, name, size, created_at, updated_at
            FROM artifacts WHERE uuid = ${row.object_uuid} AND state <> 'deleted'`
        : sql`INSERT INTO metadata_values SELECT ${keys}, '', 0, '', size, created_at, created_at
            FROM blobs WHERE uuid = ${row.object_uuid} AND state <> 'deleted'`
      ).execute(db)
    }
    last = rows.at(-1)
    if (rows.length < batchSize) return
  }
}

/** The migration in the words of one dialect. */
export const lists = (words: DialectWords): Migration => ({
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of changesOf(words)) await sql.raw(statement).execute(db)
    await fillValues(db)
    for (const index of replaced) await sql.raw(`DROP INDEX ${index}`).execute(db)
    for (const statement of pageIndexes) await sql.raw(statement).execute(db)
  },
})
