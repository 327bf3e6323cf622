/**
 * Databases for tests that run over PostgreSQL: with TEST_POSTGRES_URL, the URL of a throw-away server's maintenance
 * database, every data directory of a test has a database of its own there. Without it servers are embedded.
 */
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { Client, types } from 'pg'

const int8 = 20
const getTypeParser = ((oid: number, format?: 'text') =>
  oid === int8 ? Number : types.getTypeParser(oid, format)) as typeof types.getTypeParser

const adminUrl = process.env.TEST_POSTGRES_URL

/** Runs a statement, or asks a question, in a database of the tests. */
export const askPostgres = async (url: string, statement: string): Promise<Record<string, unknown>[]> => {
  const client = new Client({ connectionString: url, types: { getTypeParser } })
  // A server that is killed in the middle of it rejects the query as well.
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows
  } finally {
    await client.end()
  }
}

const nameFor = (dataDir: string): string =>
  `holdfast_${createHash('sha256').update(resolve(dataDir)).digest('hex').slice(0, 24)}`

/** The URL of the database that belongs to a data directory; undefined when it is embedded. */
export const databaseUrlOf = (dataDir: string, server = adminUrl): string | undefined => {
  if (!server) return undefined
  const url = new URL(server)
  url.pathname = `/${nameFor(dataDir)}`
  return url.href
}

/** Makes that database unless it is there, and gives the settings that lead to it. */
export const databaseSettings = async (
  dataDir: string,
  server = adminUrl,
): Promise<Record<string, string>> => {
  const url = databaseUrlOf(dataDir, server)
  if (!server || !url) return {}
  const name = nameFor(dataDir)
  if ((await askPostgres(server, `SELECT 1 FROM pg_database WHERE datname = '${name}'`)).length === 0)
    await askPostgres(server, `CREATE DATABASE ${name} TEMPLATE template0`)
  return { HOLDFAST_DATABASE_URL: url }
}

/** Removes it, whoever still uses it. */
export const dropDatabaseOf = async (dataDir: string, server = adminUrl): Promise<void> => {
  if (server) await askPostgres(server, `DROP DATABASE IF EXISTS ${nameFor(dataDir)} WITH (FORCE)`)
}
