/** What callers of the library give and get. */
import type { ArtifactView, UploadView } from '@holdfast/api/schemas'

/** How calls are repeated. Times are in milliseconds. */
export interface RetryOptions {
  /** Attempts of one small request in all. Default 6. */
  readonly attempts?: number
  /** The first pause is a random time up to this, each later one up to twice as much. Default 250. */
  readonly baseMs?: number
  /** No pause is longer, unless the server asks for it with `Retry-After`. Default 15 000. */
  readonly maxMs?: number
  /** An upload or download gives up after this long without a single byte of progress. Default 600 000. */
  readonly patienceMs?: number
}

export interface ClientOptions {
  /** Base URL of the server; it may hold a path. */
  readonly url: string
  readonly namespace?: string
  readonly key?: string
  /** An access token that the caller already has, used instead of logging in. */
  readonly token?: string
  /** How long one attempt of a small request may take. Default 60 000. */
  readonly timeoutMs?: number
  /** How long a connection that carries data may be silent. Default 30 000. */
  readonly stallMs?: number
  readonly retry?: RetryOptions
  /** Ends everything this client does. */
  readonly signal?: AbortSignal
  /** Sent as `User-Agent` where the platform allows it. */
  readonly userAgent?: string
  /** Told of every failed attempt that will be repeated. */
  readonly onRetry?: (retry: RetryNotice) => void
}

export interface RetryNotice {
  readonly error: Error
  /** Failures in a row, this one included. */
  readonly failures: number
  readonly delayMs: number
  /** What is being repeated: a route's name, or `download`. */
  readonly what: string
}

/** Per call: ends this call, or gives it another time limit. */
export interface CallOptions {
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
}

/** Anything bytes can be taken from in a browser and in Node. A stream or iterable is read once. */
export type WebSource = Blob | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | Iterable<Uint8Array>

export type UploadPhase = 'hash' | 'lookup' | 'send' | 'convert'

export interface UploadProgress {
  readonly phase: UploadPhase
  /** Bytes done; in the phase `send` those that the server has or that went out to it. 0 or 1 of 1 in `lookup` and `convert`. */
  readonly done: number
  /** Undefined while a stream's length is unknown. */
  readonly total: number | undefined
  /** Bytes per second, smoothed. */
  readonly rate: number
  /** Bytes that an earlier run had already sent. */
  readonly resumed: number
  readonly finished: boolean
  /** In `lookup`, once finished: whether the server has the content. */
  readonly hit?: boolean
}

/** Where an upload is to go: the identity of the artifact. */
export interface UploadTarget {
  readonly name: string
  /** Another namespace than one's own. */
  readonly namespace?: string
  readonly artifactType?: 'image' | 'other'
  readonly sourceUrl?: string
  readonly shared?: boolean
}

export interface UploadOptions<Source = WebSource> extends UploadTarget {
  readonly source: Source
  /** Size of a stream or iterable, when known: the server can then refuse at once what it cannot take. */
  readonly size?: number
  /** Ask for the content by its SHA-512 and skip sending it on a hit. Default true. */
  readonly lookup?: boolean
  /**
   * Hash the file even if its digest is known from before and it has not changed since (Node). Default false: such a
   * file is not read when the server has its content.
   */
  readonly rehash?: boolean
  /** Keep what is needed to continue after a restart, and continue. Default true where the source allows it. */
  readonly resume?: boolean
  readonly onProgress?: (progress: UploadProgress) => void
  /** Told once the upload exists, or is found again. */
  readonly onUpload?: (upload: Pick<UploadView, 'uuid' | 'node'> & { readonly resumed: number }) => void
  readonly signal?: AbortSignal
}

export interface UploadResult {
  readonly artifact: ArtifactView
  readonly blobUuid: string
  /** The new or unchanged newest version. */
  readonly version: number
  readonly size: number
  /** Lower-case hex; undefined where the platform gave no hash. */
  readonly sha512: string | undefined
  /** Whether the server already had the content. */
  readonly hit: boolean
  /** Bytes that an earlier run had sent. */
  readonly resumed: number
  /** Body bytes that this run sent, repeated ones included. */
  readonly sent: number
}

/** Which bytes to download: an artifact's newest or given version, or a blob. */
export type DownloadRef =
  | { readonly artifact: string; readonly version?: number; readonly blob?: undefined }
  | { readonly blob: string; readonly artifact?: undefined }

export interface DownloadProgress {
  readonly phase: 'receive' | 'verify'
  readonly done: number
  readonly total: number
  readonly rate: number
  readonly resumed: number
  readonly finished: boolean
}

interface DownloadBase {
  /** First byte wanted. Default 0. What does not begin at 0 cannot be verified. */
  readonly offset?: number
  readonly onProgress?: (progress: DownloadProgress) => void
  readonly signal?: AbortSignal
}

/** `to`: `'blob'` collects a `Blob`; a stream is written to and closed. */
export type DownloadOptions<To = 'blob' | WritableStream<Uint8Array>> = DownloadRef &
  DownloadBase & {
    readonly to: To
    /** Ranges fetched at once, for paths. Default 4; 1 where the server knows no ranges. */
    readonly connections?: number
  }

export interface DownloadResult {
  readonly blobUuid: string
  /** Size of the whole blob. */
  readonly size: number
  readonly sha512: string | undefined
  /** Whether all bytes were checked against the SHA-512. */
  readonly verified: boolean
  /** Bytes that an earlier run had fetched. */
  readonly resumed: number
  /** Bytes that this run received, repeated ones included. */
  readonly received: number
  /** With `to: 'blob'`. */
  readonly content?: Blob
}
