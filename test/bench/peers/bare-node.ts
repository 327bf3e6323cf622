/** The floor of the platform: Node's own HTTP server, without a store around it. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../support/ports.ts'
import { type Peer, startPeer, type UploadPeer } from './peer.ts'

const filesServer = fileURLToPath(new URL('./bare-node-server.ts', import.meta.url))
const floorServer = fileURLToPath(new URL('./floor-server.ts', import.meta.url))
const uploadFloorServer = fileURLToPath(new URL('./upload-floor-server.ts', import.meta.url))
const rulesServer = fileURLToPath(new URL('./fastify-and-sqlite-server.ts', import.meta.url))
const fastifyServer = fileURLToPath(new URL('./bare-fastify-server.ts', import.meta.url))

export interface BareNode extends UploadPeer {
  /** Where the files lie that it serves. */
  readonly root: string
}

/** Starts a server that writes each body to a file, and sends files. */
export const startBareNode = (directory: string): Promise<BareNode> =>
  startStoring(directory, 'bare node', filesServer)

/** Starts a server that writes, hashes and flushes bodies and nothing else: what Node cannot do faster. */
export const startUploadFloor = (directory: string): Promise<BareNode> =>
  startStoring(directory, 'floor, SHA-512', uploadFloorServer)

const startStoring = async (directory: string, name: string, program: string): Promise<BareNode> => {
  const root = join(directory, name.replaceAll(/\W+/g, '-'))
  await mkdir(root)
  const port = await freePort()
  const started = await startPeer(name, port, [process.execPath, program, String(port), root])
  const stored = new Set<string>()
  return {
    name,
    description: `Node ${process.version}`,
    port,
    root,
    ...started,
    takesPieces: false,
    requests({ path, offset, length, name }) {
      stored.add(name)
      return [{ method: 'PUT', target: `/${name}`, body: { path, offset, length }, expect: [201] }]
    },
    async clean() {
      for (const name of stored) await rm(join(root, name), { force: true })
      stored.clear()
    },
  }
}

/**
 * Starts a server that sends files over bare sockets from a few buffers, with each block's CRC-32 or without: what Node cannot
 * do faster.
 */
export const startFloor = async (root: string, name: string, ...words: 'check'[]): Promise<Peer> => {
  const port = await freePort()
  const started = await startPeer(name, port, [process.execPath, floorServer, String(port), root, ...words])
  return { name, description: `Node ${process.version}, sockets`, port, ...started }
}

/** Starts a Fastify server of which every route answers the same JSON. */
export const startBareFastify = async (json: string): Promise<Peer> => {
  const port = await freePort()
  const started = await startPeer('bare Fastify', port, [process.execPath, fastifyServer, String(port), json])
  return { name: 'bare Fastify', description: 'Fastify', port, ...started }
}

/** Starts a Fastify server that shows artifacts of a store's database with nothing but the queries that the rules ask for. */
export const startFastifyAndSqlite = async (database: string): Promise<Peer> => {
  const name = 'Fastify and SQLite'
  const port = await freePort()
  const started = await startPeer(name, port, [process.execPath, rulesServer, String(port), database])
  return { name, description: 'Fastify and node:sqlite', port, ...started }
}
