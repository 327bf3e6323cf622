/** The check of a store at rest: all that the check of a running one does, and the database file itself. */
import { sql } from 'kysely'
import { checkStore } from './check-store.ts'
import { type CheckWork, noteFault } from './faults.ts'

/** Nothing else may use the data directory meanwhile. */
export const checkOffline = async (work: CheckWork): Promise<void> => {
  const { read } = work.parts.db
  const found = (await sql<{ quick_check: string }>`PRAGMA quick_check(20)`.execute(read)).rows
    .map((row) => row.quick_check)
    .filter((text) => text !== 'ok')
  const broken = await sql<{ table: string; parent: string }>`PRAGMA foreign_key_check`.execute(read)
  const orphans = broken.rows
    .slice(0, 20)
    .map(({ table, parent }) => `a row of ${table} refers to a missing one of ${parent}`)
  for (const message of [...found, ...orphans])
    await noteFault(
      work,
      { kind: 'database_damaged', object: 'holdfast.db', message },
      async () => 'restore a backup',
    )
  // With pages that cannot be trusted, files would be set aside that belong to somebody.
  if (found.length === 0) await checkStore(work)
}
