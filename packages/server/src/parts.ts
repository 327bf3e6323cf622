/**
 * What a running server is made of. `main.js` makes the parts and passes them in; nothing else creates or finds them.
 */
import type { Logger } from 'pino'
import type { BlobStore } from './blobs/blob-store.ts'
import type { HashPipeline } from './blobs/hash-pipeline.ts'
import type { BlobSender } from './blobs/read-blob.ts'
import type { UploadFiles } from './blobs/upload-files.ts'
import type { Config } from './config.ts'
import type { Database } from './db/database.ts'
import type { Admission } from './domain/admission.ts'
import type { Logins } from './domain/logins.ts'
import type { Nodes } from './domain/nodes/nodes.ts'
import type { RecentFailures } from './domain/recent-failures.ts'
import type { Metrics } from './metrics.ts'

/** Where the time comes from; tests wind it forward. */
export interface Clock {
  /** Milliseconds since 1970-01-01 UTC. */
  now(): number
}

export interface Parts {
  readonly config: Config
  readonly db: Database
  readonly blobs: BlobStore
  /** Reads blobs for downloads. */
  readonly sender: BlobSender
  /** Makes digests off the event loop. */
  readonly hash: HashPipeline
  readonly uploadFiles: UploadFiles
  readonly clock: Clock
  /** This node, and the others of the store. */
  readonly nodes: Nodes
  readonly log: Logger
  readonly metrics: Metrics
  /** Signs access tokens; `loadTokenKey` of domain/secrets.ts reads it. */
  readonly tokenKey: Uint8Array
  /** What is remembered of recent logins; `createLogins` of domain/logins.ts makes it. */
  readonly logins: Logins
  /** Decides whether a namespace may store more. */
  readonly admission: Admission
  /** What went wrong of late. */
  readonly failures: RecentFailures
}

/** On whose behalf something is done. */
export interface Caller {
  readonly namespace: string
  readonly keyName: string
  readonly requestId: string
}
