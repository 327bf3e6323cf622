/**
 * Secrets that the server makes at its first start and keeps in its data directory, in files that only its own user
 * can read; with several nodes in the database, as all of them need the same. See docs/format.md.
 */
import { randomBytes } from 'node:crypto'
import { chmod, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { FileOps } from '../blobs/files.ts'
import { dropUnfinished, writeWhole } from '../blobs/whole-file.ts'
import type { Database, Sql } from '../db/database.ts'

const tokenKeyBytes = 32

/** What the two are called where all nodes share them. */
export const tokenKeyName = 'token-key'
export const systemKeyName = 'system-key'

/** The key that signs access tokens: 32 random bytes in `token.key`. Removing the file logs everybody out. */
export const loadTokenKey = async (dataDir: string, files?: FileOps): Promise<Uint8Array> => {
  const path = join(dataDir, 'token.key')
  const key = await loadOrMake(path, () => randomBytes(tokenKeyBytes), files)
  if (key.length !== tokenKeyBytes)
    throw new Error(
      `${path} is damaged: it should hold ${tokenKeyBytes} bytes. Remove it to have a new one made.`,
    )
  return new Uint8Array(key)
}

/** The key in `token.key`, if there is one, as text. */
export const formerTokenKey = async (dataDir: string): Promise<string | undefined> =>
  (await readFile(join(dataDir, 'token.key')).catch(() => undefined))?.toString('base64url')

/** The key in `system.key`, if there is one. */
export const formerSystemKey = async (dataDir: string): Promise<string | undefined> =>
  (await readFile(join(dataDir, 'system.key'), 'utf8').catch(() => undefined))?.trim() || undefined

/** The first key of `system` where the settings name none: one line of text in `system.key`. */
export const loadSystemKey = async (dataDir: string, files?: FileOps): Promise<string> => {
  const path = join(dataDir, 'system.key')
  const line = await loadOrMake(path, () => Buffer.from(`${randomBytes(32).toString('base64url')}\n`), files)
  const key = line.toString().trim()
  if (key === '') throw new Error(`${path} is empty. Remove it to have a new key made.`)
  return key
}

const find = async (sql: Sql, name: string): Promise<string | undefined> =>
  (await sql.selectFrom('secrets').select('value').where('name', '=', name).executeTakeFirst())?.value

/** A secret that all nodes share, if it has been made. */
export const readSharedSecret = ({ read }: Database, name: string): Promise<string | undefined> =>
  find(read, name)

/** A secret that all nodes share: made by the first one that asks, or `former`, what it was while the store had one node. */
export const sharedSecret = async (
  db: Database,
  name: string,
  former?: string | undefined,
): Promise<string> => {
  const known = await find(db.read, name)
  if (known !== undefined) return known
  return db.write(async (trx) => {
    const value = (await find(trx, name)) ?? former ?? randomBytes(32).toString('base64url')
    await trx
      .insertInto('secrets')
      .values({ name, value })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    return value
  })
}

/** Reads a file, or makes it durable and complete under its name at once. */
const loadOrMake = async (path: string, make: () => Buffer, files?: FileOps): Promise<Buffer> => {
  try {
    const content = await readFile(path)
    await chmod(path, 0o600)
    await dropUnfinished(path, files)
    return content
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const content = make()
  await writeWhole(path, content, files)
  return content
}
