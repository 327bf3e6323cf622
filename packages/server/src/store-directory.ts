/**
 * Keeps a data directory and a database of its own server together. What is in one refers to what is in the other:
 * with another database, a start would take every upload for a leftover and remove it, and every blob for lost.
 *
 * The directory has an id, in the file `directory.id`; the database remembers it in its settings. An embedded
 * database lies in the directory and needs none of this.
 */
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readSetting } from './backup/store-settings.ts'
import { dataPaths } from './blobs/paths.ts'
import { writeWhole } from './blobs/whole-file.ts'
import type { Database } from './db/database.ts'

/** Data directory and database do not belong together; nothing was changed. */
export class WrongDatabaseError extends Error {
  override readonly name = 'WrongDatabaseError'
}

/** The setting that has the id of the data directory. */
export const dataDirectorySetting = 'data-directory'
export const directoryIdName = 'directory.id'

/** Makes the two belong together at the first start, and from then on throws `WrongDatabaseError` unless they do. */
export const bindDataDirectory = async (db: Database, dataDir: string): Promise<void> => {
  if (existsSync(dataPaths(dataDir).database))
    throw new WrongDatabaseError(
      `The data directory ${dataDir} has an embedded database, holdfast.db, but HOLDFAST_DATABASE_URL names another ` +
        'one. Remove that setting, or give this server a new data directory. Nothing was changed.',
    )
  const own = await readDirectoryId(dataDir)
  const wanted = await readSetting(db.read, dataDirectorySetting)
  if (own !== undefined && own === wanted) return
  if (wanted !== undefined)
    throw new WrongDatabaseError(
      `The database belongs to the data directory with the id ${wanted}, but ${dataDir} has ` +
        `${own === undefined ? 'none' : `the id ${own}`}: its blobs are elsewhere. Check HOLDFAST_DATA_DIR and ` +
        'HOLDFAST_DATABASE_URL. Nothing was changed.',
    )
  // A start that was cut short leaves an id that no database knows: harmless while the directory is empty.
  if (await holdsFiles(dataDir))
    throw new WrongDatabaseError(
      `The data directory ${dataDir} holds blobs or uploads of which this database knows nothing. Check ` +
        'HOLDFAST_DATA_DIR and HOLDFAST_DATABASE_URL. Nothing was changed.',
    )
  const id = own ?? randomUUID()
  await writeWhole(join(dataDir, directoryIdName), Buffer.from(`${id}\n`))
  await db.write((trx) =>
    trx
      .insertInto('settings')
      .values({ name: dataDirectorySetting, value: id })
      .onConflict((conflict) => conflict.doNothing())
      .execute(),
  )
  // Two directories may have come to the same empty database at once: one of them is told so here.
  return bindDataDirectory(db, dataDir)
}

/** The id of a data directory, if it has one. */
export const readDirectoryId = (dataDir: string): Promise<string | undefined> =>
  readFile(join(dataDir, directoryIdName), 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  )

/** Whether it holds blobs or uploads. */
export const holdsFiles = async (dataDir: string): Promise<boolean> => {
  const { uploads, blobs } = dataPaths(dataDir)
  for (const directory of [uploads, blobs]) {
    const names = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => [])
    if (names.some((entry) => entry.isFile())) return true
  }
  return false
}
