/**
 * Several nodes over one database and one blob store: who they are, and what they must not know alone. The embedded database
 * has the same tables; there nearly all of them stay empty.
 *
 * - `turns` are what one node has at a time: see `domain/nodes/turns.ts`.
 * - `jobs` holds what one node alone would keep in memory, and all have to tell.
 * - `holds` are what the quota admitted and no row shows yet. They go with their namespace's row, which is never, and with
 *   the run that made them.
 */
import { type Kysely, type Migration, sql } from 'kysely'
import type { DialectWords } from './0001-initial.ts'

const changes = ({ text, integer, keyedTable }: DialectWords): string[] => [
  `CREATE TABLE nodes (
    name ${text} NOT NULL PRIMARY KEY,
    directory ${text} NOT NULL UNIQUE,
    run ${text} NOT NULL,
    url ${text} NOT NULL,
    version ${text} NOT NULL,
    state ${text} NOT NULL CHECK (state IN ('up', 'stopping', 'stopped')),
    started_at ${integer} NOT NULL,
    seen_at ${integer} NOT NULL
  ) ${keyedTable}`,
  `CREATE TABLE secrets (
    name ${text} NOT NULL PRIMARY KEY,
    value ${text} NOT NULL
  ) ${keyedTable}`,
  `CREATE TABLE turns (
    name ${text} NOT NULL PRIMARY KEY,
    holder ${text} NOT NULL,
    expires_at ${integer} NOT NULL
  ) ${keyedTable}`,
  `CREATE TABLE jobs (
    name ${text} NOT NULL,
    node ${text} NOT NULL,
    asked ${integer} NOT NULL,
    done ${integer} NOT NULL,
    next_at ${integer} NOT NULL,
    last ${text},
    PRIMARY KEY (name, node)
  ) ${keyedTable}`,
  `CREATE TABLE holds (
    id ${text} NOT NULL PRIMARY KEY,
    run ${text} NOT NULL,
    namespace ${text} NOT NULL REFERENCES namespaces (name),
    blob_uuid ${text},
    bytes ${integer} NOT NULL
  ) ${keyedTable}`,
  'CREATE INDEX holds_by_namespace ON holds (namespace)',
  'CREATE INDEX holds_by_run ON holds (run)',
  `ALTER TABLE uploads ADD COLUMN counted_bytes ${integer} NOT NULL DEFAULT 0`,
  `ALTER TABLE conversions ADD COLUMN node ${text} NOT NULL DEFAULT ''`,
  `ALTER TABLE fetches ADD COLUMN run ${text}`,
]

/** The migration in the words of one dialect. */
export const nodes = (words: DialectWords): Migration => ({
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of changes(words)) await sql.raw(statement).execute(db)
  },
})
