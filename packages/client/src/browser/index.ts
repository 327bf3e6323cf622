/**
 * The client for pages: hashing in a Web Worker, progress of what is sent, records of uploads in `localStorage`.
 *
 * A bundler puts the worker, and with it the hash, into a file of its own.
 */
import { type Client, createClientOn } from '../client.ts'
import type { ClientOptions, WebSource } from '../types.ts'
import type { UploadSource } from '../uploads/source.ts'
import type { StateStore } from '../uploads/state.ts'
import { openBlobSource, openWebSource } from '../uploads/web-source.ts'
import { browserTransport } from './browser-transport.ts'
import { storageStateStore } from './storage-state-store.ts'
import { WorkerHash } from './worker-hash.ts'

export * from '../index.ts'
export { storageStateStore } from './storage-state-store.ts'

export type BrowserClient = Client<WebSource, 'blob' | WritableStream<Uint8Array>>

export interface BrowserClientOptions extends ClientOptions {
  /** Where records of unfinished uploads are kept; default `localStorage`. `null`: nowhere. */
  readonly stateStore?: StateStore | null
}

/** A client for a page. */
export const createClient = (options: BrowserClientOptions): BrowserClient => {
  const createHash = () => new WorkerHash()
  return createClientOn<WebSource, 'blob' | WritableStream<Uint8Array>>(options, {
    transport: browserTransport(),
    createHash,
    stateStore: options.stateStore === null ? undefined : (options.stateStore ?? storageStateStore()),
    openSource: async (upload) =>
      upload.source instanceof Blob ? openFile(upload.source) : openWebSource(upload, createHash),
  })
}

/** A blob that the worker reads by itself, so that its bytes never pass through the page. */
const openFile = (blob: Blob): UploadSource => ({
  ...openBlobSource(blob, undefined),
  async hash(onProgress, signal) {
    const hash = new WorkerHash()
    hash.onProgress = onProgress
    const stop = () => hash.close()
    signal.addEventListener('abort', stop, { once: true })
    try {
      hash.take(blob)
      return await hash.digest()
    } finally {
      signal.removeEventListener('abort', stop)
      hash.close()
    }
  },
})
