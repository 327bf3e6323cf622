/**
 * The first schema: every table of the store. `schema.ts` says what each column means; this file says what the
 * database itself guards:
 *
 *   namespaces <-- namespace_keys, trusts, uploads, artifacts, leases, blob_uses, conversions, fetches
 *   artifacts  <-- versions --> blobs <-- blob_blocks, blob_uses, leases
 *   artifacts  <-- conversions, fetches
 *   metadata and events name objects of several tables and therefore have no foreign key; nor has
 *   trusts.trusted, as a trust in a namespace that does not exist must look like any other.
 *
 * - A live artifact is unique by (namespace, type, source_url), a blob that is not deleted by its SHA-512. Both are
 *   partial unique indexes, so that deleted rows may stay. A query uses a partial index only if it repeats the
 *   condition: see `deleted` in `database.ts`.
 * - A blob's row cannot be removed while a version names it; in fact the rows of namespaces, artifacts, versions and
 *   blobs are kept for a long time and change state, and what belongs to a row for bookkeeping alone goes with it
 *   (CASCADE).
 * - Lists are paged by key, (created_at, uuid) or (name, uuid), over live rows: for everybody (`system`), in one
 *   namespace, and among shared artifacts.
 * - Every state and type is checked, `deleted_at` is set exactly when the state is `deleted`, and counters have the
 *   bounds that their meaning gives them.
 *
 * A released migration never changes; a change of schema is a new file in this folder and an entry in `migrate.ts`.
 */
import { type Kysely, type Migration, sql } from 'kysely'

/** How a dialect spells what standard SQL leaves open. */
export interface DialectWords {
  /** Text that sorts by the bytes of its UTF-8. */
  readonly text: string
  /** A whole number up to 2^53. */
  readonly integer: string
  readonly real: string
  readonly bytes: string
  /** Type and constraint of a primary key that the database counts up by itself and never uses twice. */
  readonly autoIncrement: string
  /** What follows the columns of a table. */
  readonly table: string
  /** The same for a table whose rows are short and always reached by primary key. */
  readonly keyedTable: string
}

/** STRICT makes SQLite keep to the types of columns; WITHOUT ROWID saves the second of two look-ups. */
export const sqliteWords: DialectWords = {
  text: 'TEXT',
  integer: 'INTEGER',
  real: 'REAL',
  bytes: 'BLOB',
  autoIncrement: 'INTEGER PRIMARY KEY AUTOINCREMENT',
  table: 'STRICT',
  keyedTable: 'STRICT, WITHOUT ROWID',
}

const tables = (words: DialectWords): string[] => {
  const { text, integer, real, bytes, autoIncrement, table, keyedTable } = words
  const deletedAt = `CHECK ((state = 'deleted') = (deleted_at IS NOT NULL))`
  return [
    `CREATE TABLE namespaces (
      name ${text} NOT NULL PRIMARY KEY,
      state ${text} NOT NULL CHECK (state IN ('created', 'deleted')),
      epoch ${text} NOT NULL,
      created_at ${integer} NOT NULL,
      deleted_at ${integer},
      max_bytes ${integer} CHECK (max_bytes >= 0),
      max_artifacts ${integer} CHECK (max_artifacts >= 0),
      max_uploads ${integer} CHECK (max_uploads >= 0),
      ${deletedAt}
    ) ${keyedTable}`,

    `CREATE TABLE namespace_keys (
      namespace ${text} NOT NULL REFERENCES namespaces (name),
      name ${text} NOT NULL,
      hash ${text} NOT NULL,
      nonce ${text} NOT NULL,
      created_at ${integer} NOT NULL,
      PRIMARY KEY (namespace, name)
    ) ${keyedTable}`,

    `CREATE TABLE trusts (
      namespace ${text} NOT NULL REFERENCES namespaces (name),
      trusted ${text} NOT NULL,
      PRIMARY KEY (namespace, trusted)
    ) ${keyedTable}`,

    `CREATE TABLE metadata (
      object_type ${text} NOT NULL CHECK (object_type IN ('artifact', 'blob', 'namespace')),
      object_uuid ${text} NOT NULL,
      namespace ${text} NOT NULL,
      key ${text} NOT NULL,
      value ${text} NOT NULL,
      PRIMARY KEY (object_type, object_uuid, namespace, key),
      CHECK ((object_type = 'blob') = (namespace <> ''))
    ) ${table}`,

    `CREATE TABLE uploads (
      uuid ${text} NOT NULL PRIMARY KEY,
      namespace ${text} NOT NULL REFERENCES namespaces (name),
      node ${text} NOT NULL,
      created_at ${integer} NOT NULL,
      declared_size ${integer} CHECK (declared_size >= 0),
      key_name ${text} NOT NULL
    ) ${keyedTable}`,

    `CREATE TABLE blobs (
      uuid ${text} NOT NULL PRIMARY KEY,
      state ${text} NOT NULL CHECK (state IN ('created', 'quarantined', 'deleted')),
      size ${integer} NOT NULL CHECK (size >= 0),
      sha512 ${text} NOT NULL,
      sha256 ${text},
      sha1 ${text},
      xxh128 ${text},
      created_at ${integer} NOT NULL,
      info ${text} NOT NULL,
      node ${text} NOT NULL,
      unreferenced_at ${integer},
      verified_at ${integer},
      healed_at ${integer},
      deleted_at ${integer},
      files_removed_at ${integer},
      ${deletedAt},
      CHECK (files_removed_at IS NULL OR state = 'deleted'),
      CHECK ((sha256 IS NULL) = (sha1 IS NULL) AND (sha256 IS NULL) = (xxh128 IS NULL))
    ) ${table}`,

    `CREATE TABLE blob_blocks (
      blob_uuid ${text} NOT NULL PRIMARY KEY REFERENCES blobs (uuid) ON DELETE CASCADE,
      block_size ${integer} NOT NULL CHECK (block_size > 0),
      sums ${bytes} NOT NULL
    ) ${table}`,

    `CREATE TABLE blob_uses (
      blob_uuid ${text} NOT NULL REFERENCES blobs (uuid) ON DELETE CASCADE,
      namespace ${text} NOT NULL REFERENCES namespaces (name),
      used_at ${integer} NOT NULL,
      PRIMARY KEY (blob_uuid, namespace)
    ) ${keyedTable}`,

    `CREATE TABLE artifacts (
      uuid ${text} NOT NULL PRIMARY KEY,
      namespace ${text} NOT NULL REFERENCES namespaces (name),
      name ${text} NOT NULL,
      type ${text} NOT NULL CHECK (type IN ('image', 'snapshot', 'label', 'other')),
      source_url ${text} NOT NULL,
      state ${text} NOT NULL CHECK (state IN ('initial', 'created', 'error', 'deleted')),
      shared ${integer} NOT NULL CHECK (shared IN (0, 1)),
      max_versions ${integer} NOT NULL CHECK (max_versions >= 1),
      next_index ${integer} NOT NULL CHECK (next_index >= 1),
      created_at ${integer} NOT NULL,
      deleted_at ${integer},
      error ${text},
      ${deletedAt}
    ) ${table}`,

    `CREATE TABLE versions (
      artifact_uuid ${text} NOT NULL REFERENCES artifacts (uuid),
      idx ${integer} NOT NULL CHECK (idx >= 1),
      blob_uuid ${text} NOT NULL REFERENCES blobs (uuid),
      live ${integer} NOT NULL CHECK (live IN (0, 1)),
      created_at ${integer} NOT NULL,
      PRIMARY KEY (artifact_uuid, idx)
    ) ${table}`,

    `CREATE TABLE leases (
      blob_uuid ${text} NOT NULL REFERENCES blobs (uuid) ON DELETE CASCADE,
      namespace ${text} NOT NULL REFERENCES namespaces (name),
      expires_at ${integer} NOT NULL,
      PRIMARY KEY (blob_uuid, namespace)
    ) ${keyedTable}`,

    `CREATE TABLE conversions (
      upload_uuid ${text} NOT NULL PRIMARY KEY,
      namespace ${text} NOT NULL REFERENCES namespaces (name),
      artifact_uuid ${text} NOT NULL REFERENCES artifacts (uuid) ON DELETE CASCADE,
      idx ${integer} NOT NULL CHECK (idx >= 1),
      request ${text} NOT NULL,
      created_at ${integer} NOT NULL
    ) ${table}`,

    `CREATE TABLE events (
      id ${autoIncrement},
      object_type ${text} NOT NULL CHECK (object_type IN ('artifact', 'blob', 'upload', 'namespace')),
      object_uuid ${text} NOT NULL,
      namespace ${text} NOT NULL,
      type ${text} NOT NULL
        CHECK (type IN ('audit', 'mutate', 'status', 'usage', 'resources', 'prune', 'historic')),
      at ${integer} NOT NULL,
      node ${text} NOT NULL,
      duration ${real},
      message ${text} NOT NULL,
      extra ${text} NOT NULL
    ) ${table}`,

    `CREATE TABLE fetches (
      artifact_uuid ${text} NOT NULL PRIMARY KEY REFERENCES artifacts (uuid) ON DELETE CASCADE,
      url ${text} NOT NULL,
      etag ${text},
      last_modified ${text},
      state ${text} NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
      attempts ${integer} NOT NULL CHECK (attempts >= 0),
      next_attempt_at ${integer} NOT NULL,
      upload_uuid ${text},
      if_range ${text},
      error ${text},
      caller_namespace ${text} NOT NULL REFERENCES namespaces (name),
      shared ${integer} NOT NULL CHECK (shared IN (0, 1)),
      request_id ${text} NOT NULL,
      updated_at ${integer} NOT NULL
    ) ${table}`,

    `CREATE TABLE settings (
      name ${text} NOT NULL PRIMARY KEY,
      value ${text} NOT NULL
    ) ${keyedTable}`,
  ]
}

const indexes = [
  // Who trusts me?
  'CREATE INDEX trusts_by_trusted ON trusts (trusted, namespace)',

  // One's own uploads; those whose files this node keeps.
  'CREATE INDEX uploads_by_namespace ON uploads (namespace, created_at, uuid)',
  'CREATE INDEX uploads_by_node ON uploads (node)',

  // Equal content is stored once.
  `CREATE UNIQUE INDEX blobs_live_sha512 ON blobs (sha512) WHERE state <> 'deleted'`,
  'CREATE INDEX blobs_by_sha256 ON blobs (sha256) WHERE sha256 IS NOT NULL',
  'CREATE INDEX blobs_by_sha1 ON blobs (sha1) WHERE sha1 IS NOT NULL',
  'CREATE INDEX blobs_by_xxh128 ON blobs (xxh128) WHERE xxh128 IS NOT NULL',
  // Work lists of the jobs: digests still to make, blobs to collect, blobs to verify (the longest unverified first).
  `CREATE INDEX blobs_without_digests ON blobs (sha256, created_at, uuid)
    WHERE sha256 IS NULL AND state <> 'deleted'`,
  `CREATE INDEX blobs_unreferenced ON blobs (unreferenced_at, uuid)
    WHERE unreferenced_at IS NOT NULL AND state <> 'deleted'`,
  `CREATE INDEX blobs_by_verified_at ON blobs (verified_at, uuid) WHERE state <> 'deleted'`,
  `CREATE INDEX blobs_with_files_to_remove ON blobs (uuid) WHERE state = 'deleted' AND files_removed_at IS NULL`,
  `CREATE INDEX blobs_deleted ON blobs (deleted_at, uuid) WHERE state = 'deleted'`,
  `CREATE INDEX blobs_quarantined ON blobs (uuid) WHERE state = 'quarantined'`,
  `CREATE INDEX blobs_live_by_time ON blobs (created_at, uuid) WHERE state <> 'deleted'`,

  // The identity of an artifact, its names, and the lists.
  `CREATE UNIQUE INDEX artifacts_live_identity ON artifacts (namespace, type, source_url)
    WHERE state <> 'deleted'`,
  `CREATE INDEX artifacts_live_by_name ON artifacts (name, uuid) WHERE state <> 'deleted'`,
  `CREATE INDEX artifacts_live_by_namespace_and_name ON artifacts (namespace, name, uuid)
    WHERE state <> 'deleted'`,
  `CREATE INDEX artifacts_shared_by_name ON artifacts (name, uuid)
    WHERE shared = 1 AND state <> 'deleted'`,
  `CREATE INDEX artifacts_live_by_time ON artifacts (created_at, uuid) WHERE state <> 'deleted'`,
  `CREATE INDEX artifacts_live_by_namespace_and_time ON artifacts (namespace, created_at, uuid)
    WHERE state <> 'deleted'`,
  `CREATE INDEX artifacts_shared_by_time ON artifacts (created_at, uuid)
    WHERE shared = 1 AND state <> 'deleted'`,

  // Work list of the job that forgets deleted artifacts.
  `CREATE INDEX artifacts_deleted ON artifacts (deleted_at, uuid) WHERE state = 'deleted'`,

  // Who refers to this blob? The living versions of this artifact, past any number of pruned ones.
  'CREATE INDEX versions_by_blob ON versions (blob_uuid, live)',
  'CREATE INDEX versions_by_liveness ON versions (artifact_uuid, live, idx)',

  'CREATE INDEX leases_by_expiry ON leases (expires_at)',

  // Forgetting old conversions; following the reference when an artifact goes.
  'CREATE INDEX conversions_by_time ON conversions (created_at)',
  'CREATE INDEX conversions_by_artifact ON conversions (artifact_uuid)',

  'CREATE INDEX events_by_object ON events (object_type, object_uuid, id)',

  'CREATE INDEX fetches_by_next_attempt ON fetches (state, next_attempt_at)',
]

/** The migration in the words of one dialect. There is no way back: an older server needs its own backup. */
export const initial = (words: DialectWords): Migration => ({
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of [...tables(words), ...indexes]) await sql.raw(statement).execute(db)
  },
})
