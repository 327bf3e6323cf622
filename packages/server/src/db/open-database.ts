/** The database that the settings name. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isHoldfastError } from '@holdfast/api/errors'
import { type Config, ConfigError } from '../config.ts'
import type { Database } from './database.ts'
import { NewerSchemaError } from './migrate.ts'
import { openPostgres } from './postgres.ts'
import { type DatabaseLog, openSqlite } from './sqlite.ts'

/** The database cannot be used, in words for the operator. */
export class DatabaseStartError extends Error {
  override readonly name = 'DatabaseStartError'
}

/** Longer than services that are started together differ. */
const startPatienceMs = 30_000
const startPauseMs = 1_000
/** A lock is waited for this long, or as long as a statement may take if that is less. */
const lockTimeoutMs = 10_000
/** More at a time get in each other's way more than they save: see docs/decisions/0034. */
const mostWriters = 4
/** Half of the connections are for reads, so that writes which wait for each other keep nobody else waiting. */
const writersOf = (connections: number): number =>
  Math.max(1, Math.min(mostWriters, Math.floor(connections / 2)))

/** What servers call themselves in `pg_stat_activity`, before their own name. */
export const serverName = 'holdfast '

/** Whether the store's metadata is kept by a database of its own, and not in the data directory. */
export const hasOwnServer = ({ databaseUrl, databaseUrlFile }: Config): boolean =>
  databaseUrl !== undefined || databaseUrlFile !== ''

/** Opens the database. Throws `ConfigError`, `DatabaseStartError`, or `NewerSchemaError`. */
export const openDatabase = async (
  config: Config,
  log: DatabaseLog,
  applicationName = `${serverName}${config.nodeName}`,
): Promise<Database> => {
  if (!hasOwnServer(config)) return openSqlite({ path: join(config.dataDir, 'holdfast.db'), log })
  const url = await databaseUrlOf(config)
  const statementTimeoutMs = config.databaseTimeout * 1000
  const connections = Math.max(2, config.databaseConnections)
  const options = {
    url,
    applicationName,
    connections,
    writers: writersOf(connections),
    statementTimeoutMs,
    lockTimeoutMs: Math.min(lockTimeoutMs, statementTimeoutMs),
    patienceMs: config.databasePatience * 1000,
    log,
  }
  const deadline = performance.now() + startPatienceMs
  for (;;) {
    try {
      return await openPostgres(options)
    } catch (error) {
      if (error instanceof NewerSchemaError) throw error
      if (!isHoldfastError(error, 'unavailable') || performance.now() > deadline)
        throw new DatabaseStartError(`The database ${placeOf(url)} cannot be used: ${wordsOf(error)}`, {
          cause: error,
        })
      await delay(startPauseMs)
    }
  }
}

/** The URL of PostgreSQL, wherever the settings have it. Throws `ConfigError`. */
export const databaseUrlOf = async ({ databaseUrl, databaseUrlFile }: Config): Promise<string> => {
  if (databaseUrl !== undefined && databaseUrlFile !== '')
    throw new ConfigError('HOLDFAST_DATABASE_URL and HOLDFAST_DATABASE_URL_FILE are both set; one is enough')
  const url =
    databaseUrl ??
    (
      await readFile(databaseUrlFile, 'utf8').catch((error: Error) => {
        throw new ConfigError(`HOLDFAST_DATABASE_URL_FILE cannot be read: ${error.message}`)
      })
    ).trim()
  // Without the text itself: it may hold a password.
  if (!URL.canParse(url) || !/^postgres(ql)?:$/.test(new URL(url).protocol))
    throw new ConfigError('the URL of the database is not of the form postgres://user@host:port/database')
  return url
}

/** Where the database is, without who asks and with which password. */
export const placeOf = (url: string): string => {
  const { host, pathname, searchParams } = new URL(url)
  return `${host || (searchParams.get('host') ?? 'on this machine')}${pathname}`
}

const wordsOf = (error: unknown): string => {
  const { message, cause } = error as Error
  if (!(cause instanceof Error)) return message
  const inner = cause instanceof AggregateError ? (cause.errors[0] as Error).message : cause.message
  return inner || message
}
