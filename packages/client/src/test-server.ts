/** A real server and clients of it, for the tests of this package. */
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startServer } from '../../../test/support/server.ts'
import {
  createClient,
  fileDigestMemory,
  fileStateStore,
  type NodeClient,
  type NodeClientOptions,
} from './node/index.ts'
import { quickRetry } from './test-retry.ts'

export interface TestServer {
  readonly url: string
  readonly key: string
  readonly process: ChildProcess
  /** For sources, targets and states. */
  readonly directory: string
  /** A client that loses no time between tries. */
  client(options?: Partial<NodeClientOptions>): NodeClient
  /** A file of random bytes. */
  file(name: string, size: number): Promise<{ readonly path: string; readonly bytes: Buffer }>
  remove(): Promise<void>
}

/** `preload`: see `StartOptions`. */
export const startTestServer = async (
  settings: Record<string, string> = {},
  preload?: URL,
): Promise<TestServer> => {
  const server = await startServer({
    settings: { HOLDFAST_LOG_LEVEL: 'error', ...settings },
    ...(preload && { preload }),
  })
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-client-'))
  const clients: NodeClient[] = []
  return {
    url: server.url,
    key: server.systemKey,
    process: server.process,
    directory,
    client(options) {
      const client = createClient({
        url: server.url,
        namespace: 'system',
        key: server.systemKey,
        retry: quickRetry,
        stateStore: fileStateStore(join(directory, 'state')),
        digestMemory: fileDigestMemory(join(directory, 'state')),
        ...options,
      })
      clients.push(client)
      return client
    },
    async file(name, size) {
      const path = join(directory, name)
      const bytes = randomBytes(size)
      await writeFile(path, bytes)
      return { path, bytes }
    },
    async remove() {
      for (const client of clients) client.close()
      await server.remove()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
