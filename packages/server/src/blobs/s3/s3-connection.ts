/**
 * The connection to an S3-compatible store: one client, and one policy of time-outs and repetitions for every call. The
 * SDK is loaded when a store is opened, so that servers with their blobs on disk do not pay for it.
 *
 * Credentials come from the SDK's own chain (environment, files, the machine's role) and are seen by nobody else.
 * The SDK's own repetitions are off: it cannot repeat a body that is streamed from a file.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { S3 } from '@aws-sdk/client-s3'
import { isPassing, storeAway } from './s3-errors.ts'

export interface S3Settings {
  readonly bucket: string
  /** Before all names of objects; empty, or ending in a slash. */
  readonly prefix: string
  /** Where the store is; undefined for Amazon's. */
  readonly endpoint?: string | undefined
  readonly region: string
  /** The bucket in the path of URLs, instead of in their host name. */
  readonly pathStyle: boolean
  /** A connection on which nothing moves for so long is given up. */
  readonly timeoutMs: number
  /** A failing call is repeated for so long. */
  readonly patienceMs: number
  /** Most connections at a time for reading, and as many again for everything else. */
  readonly connections: number
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  /**
   * `read`: the body of the reply is taken slowly, perhaps; such calls have connections of their own, else slow downloads
   * could keep all others waiting. `join`: the store may have much to do before it answers.
   */
  readonly kind?: CallKind
}

type CallKind = 'quick' | 'read' | 'join'

/** What every call of the SDK gets. */
export interface HttpOptions {
  readonly abortSignal?: AbortSignal
}

export interface S3Connection {
  readonly bucket: string
  readonly patienceMs: number
  /**
   * One call, repeated while it fails for reasons that may pass. Throws S3's own error when it refuses; else, in the end,
   * `blob_store_unavailable`; the signal's reason.
   */
  call<T>(attempt: (s3: S3, options: HttpOptions) => Promise<T>, options?: CallOptions): Promise<T>
  /** A signed URL of the object, good for so many seconds. Nothing is sent; whether it is there shows when it is used. */
  linkTo(key: string, seconds: number, disposition: string): Promise<string>
  close(): void
}

const firstPauseMs = 100
const maxPauseMs = 3000
/** A store that joins large parts answers when it has; Amazon's own says so every few seconds. */
const joinTimeoutMs = 10 * 60 * 1000

/** Random, and longer each time: many who failed together do not come back together. */
export const pauseMs = (failures: number, random: () => number = Math.random): number => {
  const longest = Math.min(maxPauseMs, firstPauseMs * 2 ** Math.min(failures - 1, 10))
  return longest * (0.5 + random() / 2)
}

/** Opens the connection; nothing is sent yet. */
export const openS3 = async (settings: S3Settings): Promise<S3Connection> => {
  const { S3: Client } = await import('@aws-sdk/client-s3')
  const { bucket, endpoint, pathStyle, timeoutMs, patienceMs, connections } = settings
  const clientFor = (socketTimeout: number) =>
    new Client({
      region: settings.region,
      ...(endpoint !== undefined && { endpoint }),
      forcePathStyle: pathStyle,
      maxAttempts: 1,
      // What goes wrong is told by whoever gives up; the SDK would write to the console.
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      // Sums are made and compared here: those that the SDK would add travel in a form that not every store reads.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      expectContinueHeader: false,
      requestHandler: {
        connectionTimeout: timeoutMs,
        socketTimeout,
        httpAgent: { keepAlive: true, maxSockets: connections },
        httpsAgent: { keepAlive: true, maxSockets: connections },
      },
    })
  const clients: { readonly [K in CallKind]: S3 } = {
    quick: clientFor(timeoutMs),
    read: clientFor(timeoutMs),
    join: clientFor(Math.max(timeoutMs, joinTimeoutMs)),
  }

  return {
    bucket,
    patienceMs,
    async call(attempt, { signal, kind = 'quick' } = {}) {
      const until = performance.now() + patienceMs
      for (let failures = 1; ; failures++)
        try {
          return await attempt(clients[kind], signal ? { abortSignal: signal } : {})
        } catch (error) {
          signal?.throwIfAborted()
          if (!isPassing(error)) throw error
          const pause = pauseMs(failures)
          if (performance.now() + pause > until) throw storeAway(error)
          await sleep(pause, undefined, { signal: signal ?? undefined }).catch(() => signal?.throwIfAborted())
        }
    },
    async linkTo(Key, expiresIn, ResponseContentDisposition) {
      const [{ getSignedUrl }, { GetObjectCommand }] = await Promise.all([
        import('@aws-sdk/s3-request-presigner'),
        import('@aws-sdk/client-s3'),
      ])
      const command = new GetObjectCommand({
        Bucket: bucket,
        Key,
        ResponseContentDisposition,
        ResponseContentType: 'text/plain',
      })
      return getSignedUrl(clients.read, command, { expiresIn })
    },

    close() {
      for (const client of Object.values(clients)) client.destroy()
    },
  }
}
