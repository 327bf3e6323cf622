/**
 * Brings a database to the schema of this version. The caller holds the write lock around it: SQLite a write
 * transaction (so that a half-done migration leaves no trace), PostgreSQL a transaction with an advisory lock.
 */
import { type Kysely, type Migration, Migrator, type TableMetadata } from 'kysely'
import { type DialectWords, initial } from './migrations/0001-initial.ts'
import { lists } from './migrations/0002-lists.ts'
import { usage } from './migrations/0003-usage.ts'
import { nodes } from './migrations/0004-nodes.ts'

/** Every migration there is, in code: nothing is looked for on the disk. The names order them and are for ever. */
const migrations = (words: DialectWords): Record<string, Migration> => ({
  '0001-initial': initial(words),
  '0002-lists': lists(words),
  '0003-usage': usage(words),
  '0004-nodes': nodes(words),
})

const migrationTable = 'migrations'

/** The database was written by a later version of Holdfast; nothing was changed. */
export class NewerSchemaError extends Error {
  override readonly name = 'NewerSchemaError'

  constructor(unknown: readonly string[]) {
    super(
      `This database was written by a newer version of Holdfast (it has the schema change ${unknown.join(', ')}, ` +
        'which this version does not know). Start that version or a later one, or restore a backup made before ' +
        'the upgrade. Nothing was changed.',
    )
  }
}

/**
 * Runs the migrations still missing. Throws `NewerSchemaError` rather than touch what it does not understand. `schema`
 * is where the tables are, in databases that may have others of the same names elsewhere.
 */
export async function migrate(db: Kysely<unknown>, words: DialectWords, schema?: string): Promise<void> {
  const known = migrations(words)
  const unknown = (await appliedMigrations(db, schema)).filter((name) => !Object.hasOwn(known, name))
  if (unknown.length > 0) throw new NewerSchemaError(unknown)

  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => known },
    migrationTableName: migrationTable,
    migrationLockTableName: 'migrations_lock',
    ...(schema !== undefined && { migrationTableSchema: schema }),
  })
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) throw error
}

async function appliedMigrations(db: Kysely<unknown>, schema: string | undefined): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true })
  const isOurs = (table: TableMetadata) =>
    table.name === migrationTable && (schema === undefined || table.schema === schema)
  if (!tables.some(isOurs)) return []
  const typed = db.withTables<{ [migrationTable]: { name: string } }>()
  return (await typed.selectFrom(migrationTable).select('name').orderBy('name').execute()).map(
    (row) => row.name,
  )
}
