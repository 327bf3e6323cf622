/**
 * What the store holds, over time: a bounded series of samples (`domain/usage-samples.ts` says which are kept how
 * long), and how much each of the largest namespaces has.
 */
import { type Kysely, type Migration, sql } from 'kysely'
import type { DialectWords } from './0001-initial.ts'

const tables = ({ text, integer, keyedTable }: DialectWords): string[] => [
  `CREATE TABLE usage_samples (
    span ${integer} NOT NULL CHECK (span > 0),
    at ${integer} NOT NULL,
    stored_bytes ${integer} NOT NULL,
    unreferenced_bytes ${integer} NOT NULL,
    logical_bytes ${integer} NOT NULL,
    blobs ${integer} NOT NULL,
    versions ${integer} NOT NULL,
    artifacts ${integer} NOT NULL,
    uploads ${integer} NOT NULL,
    upload_bytes ${integer} NOT NULL,
    free_bytes ${integer} NOT NULL,
    count_ms ${integer} NOT NULL,
    PRIMARY KEY (span, at)
  ) ${keyedTable}`,
  'CREATE INDEX usage_samples_by_time ON usage_samples (at)',
  `CREATE TABLE usage_namespaces (
    namespace ${text} NOT NULL PRIMARY KEY,
    logical_bytes ${integer} NOT NULL,
    versions ${integer} NOT NULL
  ) ${keyedTable}`,
]

/** The migration in the words of one dialect. */
export const usage = (words: DialectWords): Migration => ({
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of tables(words)) await sql.raw(statement).execute(db)
  },
})
