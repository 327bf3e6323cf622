/** Why a fetch failed, for programs. */
export type FetchFailure =
  /** The remote answered with a status that is neither success nor redirect; see `status`. */
  | 'remote_status'
  /** No connection, or it broke before the headers or in the middle of the body. */
  | 'network'
  /** The remote sent nothing for `stallTimeoutMs`. */
  | 'stalled'
  /** The whole fetch took longer than `totalTimeoutMs`. */
  | 'timed_out'
  /** A redirect without a usable target, to http from https, or one too many. */
  | 'bad_redirect'
  /** The remote contradicted itself or the protocol. */
  | 'bad_response'

/**
 * A fetch that failed on the remote's side. (What this server refuses itself, a forbidden address or too large a
 * file, is a `HoldfastError`; what the sink throws is passed on as it is.) Messages name the URL without
 * credentials, query and fragment, so they may be shown and stored.
 */
export class FetchError extends Error {
  override readonly name = 'FetchError'
  readonly failure: FetchFailure
  /** The remote's status, of `remote_status` only. */
  readonly status: number | undefined
  /** Whether the same request may succeed later. */
  readonly retryable: boolean
  /** How long the remote asks to be left alone. */
  readonly retryAfterMs: number | undefined

  constructor(
    failure: FetchFailure,
    message: string,
    options: { retryable: boolean; status?: number; retryAfterMs?: number | undefined; cause?: unknown },
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.failure = failure
    this.status = options.status
    this.retryable = options.retryable
    this.retryAfterMs = options.retryAfterMs
  }
}

/** The URL without credentials, query and fragment, which may hold secrets; at most 200 characters. */
export function describeUrl(url: URL): string {
  const text = `${url.origin}${url.pathname}`
  return text.length <= 200 ? text : `${text.slice(0, 199)}…`
}

const codeWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  UND_ERR_SOCKET: 'the connection was cut',
  ENOTFOUND: 'the host name cannot be resolved',
  EAI_AGAIN: 'the host name cannot be resolved',
  ETIMEDOUT: 'no connection in time',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  ENETUNREACH: 'the network cannot be reached',
  EHOSTUNREACH: 'the host cannot be reached',
}

/**
 * The failure of a connection as a `FetchError`. Only its code is told: texts of the system hold the addresses
 * behind a name.
 */
export function networkError(url: URL, cause: unknown): FetchError {
  const code = (cause as { code?: unknown } | null)?.code
  const words = typeof code === 'string' ? (codeWords[code] ?? code) : 'network error'
  return new FetchError('network', `${describeUrl(url)}: ${words}`, { retryable: true, cause })
}
