/** The client for Node: paths as sources and targets, hashing in a thread, records of uploads in files. */
import { Readable } from 'node:stream'
import { type Client, createClientOn } from '../client.ts'
import type { ClientOptions, WebSource } from '../types.ts'
import type { StateStore } from '../uploads/state.ts'
import { openWebSource } from '../uploads/web-source.ts'
import { type DigestMemory, fileDigestMemory } from './digest-memory.ts'
import { downloadInNode, type NodeTarget } from './download.ts'
import { openFileSource } from './file-source.ts'
import { fileStateStore } from './file-state-store.ts'
import { HashThread } from './hash-thread.ts'
import { nodeTransport } from './node-transport.ts'

export * from '../index.ts'
export { ConfigError, loadConfig, type UserConfig } from './config.ts'
export { type DigestMemory, fileDigestMemory } from './digest-memory.ts'
export type { NodeTarget } from './download.ts'
export { defaultStateDirectory, fileStateStore } from './file-state-store.ts'

/** A string is a path. A `Readable`, standard input for one, is an iterable and read once. */
export type NodeSource = string | WebSource

export type NodeClient = Client<NodeSource, NodeTarget>

export interface NodeClientOptions extends ClientOptions {
  /** Where records of unfinished uploads are kept; default the user's state directory. `null`: nowhere. */
  readonly stateStore?: StateStore | null
  /** Where digests of files are kept; default the user's state directory, and nowhere without a `stateStore`. */
  readonly digestMemory?: DigestMemory | null
}

/** A client on `node:http`. Close it, or declare it with `await using`, when it is no longer needed. */
export const createClient = (options: NodeClientOptions): NodeClient => {
  const createHash = () => new HashThread()
  const { digestMemory = options.stateStore === null ? null : fileDigestMemory() } = options
  return createClientOn<NodeSource, NodeTarget>(options, {
    transport: nodeTransport(),
    createHash,
    stateStore: options.stateStore === null ? undefined : (options.stateStore ?? fileStateStore()),
    async openSource(upload) {
      const { source } = upload
      if (typeof source === 'string') return await openFileSource(source, digestMemory ?? undefined)
      if (source instanceof Readable && source.readableObjectMode) {
        throw new TypeError('the stream gives objects, not bytes')
      }
      return openWebSource({ ...upload, source }, createHash)
    },
    download: (session, download) => downloadInNode(session, createHash, download),
  })
}
