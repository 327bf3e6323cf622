/**
 * Several nodes of one store, each a process of its own with its own data directory. They need PostgreSQL and S3
 * (TEST_POSTGRES_URL, TEST_S3_URL).
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './ports.ts'
import { databaseSettings, databaseUrlOf, dropDatabaseOf } from './postgres.ts'
import { blobSettings } from './s3.ts'
import { type RunningServer, type StartOptions, startServer } from './server.ts'

export interface RunningNodes extends AsyncDisposable {
  /** By their order; stopped ones stay in their place. */
  readonly nodes: readonly RunningServer[]
  readonly databaseUrl: string
  /** Starts a node again that has ended, on the same port and directory, and puts it in its place. */
  restart(place: number, options?: StartOptions): Promise<RunningServer>
}

/** What all nodes of the store that belongs to `directory` have in common. */
export const sharedSettings = async (directory: string): Promise<Record<string, string>> => {
  const database = await databaseSettings(directory)
  const blobs = blobSettings(directory)
  if (!database.HOLDFAST_DATABASE_URL || !blobs.HOLDFAST_BLOB_STORE)
    throw new Error('several nodes need TEST_POSTGRES_URL and TEST_S3_URL')
  return { ...database, ...blobs, HOLDFAST_NODE_TIMEOUT: '4' }
}

/** Starts so many nodes, named `node-1` and so on, of a new store. */
export const startNodes = async (
  count: number,
  settings: Readonly<Record<string, string>> = {},
  optionsOf: (place: number) => StartOptions = () => ({}),
): Promise<RunningNodes> => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-nodes-'))
  const shared = await sharedSettings(directory)
  const ports = await Promise.all(Array.from({ length: count }, freePort))
  const start = async (place: number, { settings: own, ...options }: StartOptions = {}) =>
    startServer({
      dataDir: join(directory, `node-${place + 1}`),
      port: ports[place]!,
      ...options,
      settings: { ...shared, HOLDFAST_NODE_NAME: `node-${place + 1}`, ...settings, ...own },
    })
  const nodes = await Promise.all(ports.map((_, place) => start(place, optionsOf(place))))
  return {
    nodes,
    databaseUrl: databaseUrlOf(directory)!,
    async restart(place, options) {
      nodes[place] = await start(place, options)
      return nodes[place]
    },
    async [Symbol.asyncDispose]() {
      for (const node of nodes) node.process.kill('SIGKILL')
      await dropDatabaseOf(directory)
      await rm(directory, { recursive: true, force: true })
    },
  }
}
