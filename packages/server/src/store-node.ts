/**
 * A node of a store that others share: which data directory belongs to which name, and what all nodes know.
 *
 * A data directory holds the files of uploads, the database the rows; with the wrong directory a start would take every upload of
 * this name for lost. So each directory has an id, in the file `directory.id`, and the row of the node remembers it.
 */
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readSetting } from './backup/store-settings.ts'
import { dataPaths } from './blobs/paths.ts'
import { writeWhole } from './blobs/whole-file.ts'
import { type Config, hasOwnBlobStore } from './config.ts'
import type { Database, Sql } from './db/database.ts'
import { hasOwnServer } from './db/open-database.ts'
import type { Clock } from './parts.ts'
import { directoryIdName, holdsFiles, readDirectoryId, WrongDatabaseError } from './store-directory.ts'

/** Whether the settings name a store that several nodes can share. */
export const isSharedStore = (config: Config): boolean => hasOwnServer(config) && hasOwnBlobStore(config)

export interface NodeWish {
  readonly name: string
  readonly version: string
  /** Silence after which a node counts as gone, in ms. */
  readonly timeoutMs: number
}

/**
 * Takes the place of the node of this name, or makes one, and resolves with the run that it is from now on. Throws
 * `WrongDatabaseError` when data directory and name do not belong together.
 */
export const bindNode = async (
  db: Database,
  dataDir: string,
  clock: Clock,
  wish: NodeWish,
): Promise<string> => {
  if (existsSync(dataPaths(dataDir).database))
    throw new WrongDatabaseError(
      `The data directory ${dataDir} has an embedded database, holdfast.db, but HOLDFAST_DATABASE_URL names another ` +
        'one. Remove that setting, or give this server a new data directory. Nothing was changed.',
    )
  const own = await readDirectoryId(dataDir)
  const isEmpty = !(await holdsFiles(dataDir))
  const directory = own ?? randomUUID()
  const run = randomUUID()
  const refuse = (why: string) =>
    new WrongDatabaseError(
      `${why} Check HOLDFAST_NODE_NAME, HOLDFAST_DATA_DIR and HOLDFAST_DATABASE_URL. Nothing was changed.`,
    )
  const check = async (sql: Sql): Promise<void> => {
    const rows = await sql
      .selectFrom('nodes')
      .selectAll()
      .where((eb) => eb.or([eb('name', '=', wish.name), eb('directory', '=', directory)]))
      .execute()
    const namesake = rows.find(({ name }) => name === wish.name)
    const owner = rows.find((row) => row.directory === directory)
    if (owner && owner.name !== wish.name)
      throw refuse(`The data directory ${dataDir} is that of the node ${owner.name}, not of ${wish.name}.`)
    if (namesake && namesake.directory !== directory) {
      if (namesake.state !== 'stopped' && clock.now() - namesake.seen_at < wish.timeoutMs)
        throw refuse(`Another node with the name ${wish.name} is running, on another data directory.`)
      const upload = await sql
        .selectFrom('uploads')
        .select('uuid')
        .where('node', '=', wish.name)
        .limit(1)
        .execute()
      if (upload.length > 0 || !isEmpty)
        throw refuse(
          `The node ${wish.name} has another data directory than ${dataDir}, with uploads in it. If that one is lost: ` +
            `holdfast admin forget-node ${wish.name}, or give this node another name.`,
        )
    }
    if (!namesake && !isEmpty && (own === undefined || (await readSetting(sql, 'data-directory')) !== own))
      throw refuse(`The data directory ${dataDir} holds files of which this database knows nothing.`)
  }
  await check(db.read)
  if (own === undefined) await writeWhole(join(dataDir, directoryIdName), Buffer.from(`${directory}\n`))
  await db.write(async (trx) => {
    await check(trx)
    const now = clock.now()
    const row = {
      directory,
      run,
      // Not to be reached before it has started.
      url: '',
      version: wish.version,
      state: 'up',
      started_at: now,
      seen_at: now,
    } as const
    await trx
      .insertInto('nodes')
      .values({ name: wish.name, ...row })
      .onConflict((conflict) => conflict.column('name').doUpdateSet(row))
      .execute()
  })
  return run
}
