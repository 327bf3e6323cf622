/** Looks into a database without opening it as a store: what is somebody else's is not even brought up to date. */
import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { Client } from 'pg'
import { dataPaths } from '../../blobs/paths.ts'
import type { Config } from '../../config.ts'
import { databaseUrlOf, hasOwnServer, placeOf } from '../../db/open-database.ts'
import { BackupError } from '../format.ts'
import { type Mark, migrationSetting, parseMark } from './marks.ts'

const patienceMs = 10_000

export interface Glimpse {
  readonly mark: Mark | undefined
  /** Whether a server has ever started on it. */
  readonly isStore: boolean
}

const questions = {
  tables: `SELECT table_name AS name FROM information_schema.tables
    WHERE table_schema = current_schema() AND table_name IN ('settings', 'namespaces')`,
  sqliteTables: `SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ('settings', 'namespaces')`,
  mark: `SELECT value FROM settings WHERE name = '${migrationSetting}'`,
  namespace: 'SELECT 1 FROM namespaces LIMIT 1',
}

type Ask = (question: string) => Promise<Record<string, unknown>[]>

const look = async (ask: Ask, tables: string): Promise<Glimpse> => {
  const names = (await ask(tables)).map(({ name }) => name)
  const [row] = names.includes('settings') ? await ask(questions.mark) : []
  const mark = parseMark(row?.value as string | undefined)
  return { mark, isStore: names.includes('namespaces') && (await ask(questions.namespace)).length > 0 }
}

/** What the settings lead to. Throws `BackupError` when that cannot be looked into. */
export const peekDatabase = async (config: Config): Promise<Glimpse> => {
  if (hasOwnServer(config)) {
    const url = await databaseUrlOf(config)
    const client = new Client({ connectionString: url, connectionTimeoutMillis: patienceMs })
    // A connection that breaks rejects the query as well.
    client.on('error', () => {})
    try {
      await client.connect()
      return await look(async (question) => (await client.query(question)).rows, questions.tables)
    } catch (error) {
      throw new BackupError(`the database ${placeOf(url)} cannot be used: ${(error as Error).message}`)
    } finally {
      await client.end().catch(() => {})
    }
  }
  const { database } = dataPaths(config.dataDir)
  if (!existsSync(database)) return { mark: undefined, isStore: false }
  const db = new DatabaseSync(database, { readOnly: true })
  try {
    return await look(async (question) => db.prepare(question).all(), questions.sqliteTables)
  } finally {
    db.close()
  }
}
