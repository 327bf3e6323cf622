/**
 * A conversation with one server: where it is, what it can do, who we are to it, and how one request is made.
 *
 * Against any server: the token is fetched when first needed and a little before it expires; 401 makes us log in
 * once more and repeat the request once; 406 ("dependency not ready") is repeated every second for up to a minute,
 * like the official client does. The base URL may answer with a permanent redirect, which then is the base.
 */
import { holdfastCapabilities, originalCapabilities } from '@holdfast/api/capabilities'
import { type RouteName, splitPath } from '@holdfast/api/paths'
import type { Token } from '@holdfast/api/schemas'
import {
  errorOfReply,
  HoldfastError,
  isHoldfastError,
  isPassing,
  NetworkError,
  RefusedError,
  UnexpectedReplyError,
} from './errors.ts'
import { abortable, defaultRetry, pause, type RetryPolicy, retrying } from './retry.ts'
import type { RequestBody, Transport, TransportReply } from './transport.ts'
import type { ClientOptions, RetryNotice } from './types.ts'
import { Watchdog } from './watchdog.ts'

/** The words of a server's root page that mean something to us. */
export type Capabilities = ReadonlySet<string>

/** One request of a route, without anything a session adds. */
export interface Exchange {
  readonly route: RouteName
  readonly params?: Readonly<Record<string, unknown>> | undefined
  readonly query?: Readonly<Record<string, unknown>> | undefined
  readonly body?: RequestBody | undefined
  readonly contentType?: string
  readonly headers?: Readonly<Record<string, string>>
  /** As in `TransportRequest`. */
  readonly rangeBytes?: number | undefined
  /** Ends the attempt and everything read from its reply. */
  readonly watchdog: Watchdog
  readonly onSent?: (bytes: number) => void
}

export interface Answer {
  readonly reply: TransportReply
  readonly requestId: string
}

const knownWords: readonly string[] = [...originalCapabilities, ...holdfastCapabilities]
const dependencyMs = 60_000
/** A token this close to its end is replaced before it is used: a long append must not end in a 401. */
const tokenSlackMs = 60_000

/** A random id; `crypto.randomUUID` exists only on secure pages. */
const newRequestId = (): string => {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID()
  const hex = [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** The path of a route with its parameters filled in and its query. */
export const fillPath = (
  route: RouteName,
  params: Readonly<Record<string, unknown>> = {},
  query: Readonly<Record<string, unknown>> = {},
): string => {
  const path = splitPath(route).path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = params[name]
    if (value === undefined || value === '') throw new TypeError(`the parameter ${name} is missing`)
    const text = String(value)
    // Every URL library resolves such a segment away, and with it the route
    if (text === '.' || text === '..') {
      throw new HoldfastError('invalid_request', { message: `"${text}" cannot be a name` })
    }
    return encodeURIComponent(text)
  })
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) search.set(name, String(value))
  }
  return search.size === 0 ? path : `${path}?${search}`
}

/** Whether a 401 says something about the token, and not about what its owner may do. */
const isTokenError = (error: unknown): boolean =>
  error instanceof RefusedError
    ? error.status === 401 && (error.code.startsWith('token_') || error.code === 'authorization_missing')
    : error instanceof UnexpectedReplyError && error.status === 401

export class Session {
  readonly transport: Transport
  readonly policy: RetryPolicy
  readonly timeoutMs: number
  readonly stallMs: number
  readonly signal: AbortSignal
  readonly onRetry: ((retry: RetryNotice) => void) | undefined
  readonly #options: ClientOptions
  #base: string
  #capabilities: Promise<Capabilities> | undefined
  #token: { readonly text: string; readonly freshUntil: number } | undefined
  #login: Promise<void> | undefined

  constructor(options: ClientOptions, transport: Transport) {
    const url = new URL(options.url)
    if (url.protocol !== 'http:' && url.protocol !== 'https:') {
      throw new TypeError(`the server's URL must begin with http:// or https://, not ${url.protocol}`)
    }
    this.#options = options
    this.transport = transport
    this.policy = { ...defaultRetry, ...options.retry }
    this.timeoutMs = options.timeoutMs ?? 60_000
    this.stallMs = options.stallMs ?? 30_000
    this.signal = options.signal ?? new AbortController().signal
    this.onRetry = options.onRetry
    this.#base = options.url.replace(/\/+$/, '')
    if (options.token !== undefined) {
      this.#token = { text: options.token, freshUntil: Number.POSITIVE_INFINITY }
    }
  }

  /** The server's base URL, without a slash at its end. */
  get base(): string {
    return this.#base
  }

  get namespace(): string | undefined {
    return this.#options.namespace
  }

  /** The caller's signal and the client's together. */
  signalFor(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined || signal === this.signal
      ? this.signal
      : AbortSignal.any([this.signal, signal])
  }

  /** What the server can do, read once from its root page. */
  capabilities(): Promise<Capabilities> {
    this.#capabilities ??= this.#readRoot().catch((error: unknown) => {
      this.#capabilities = undefined
      throw error
    })
    return this.#capabilities
  }

  /** An access token that is good for another while. */
  async token(): Promise<string> {
    if (this.#token === undefined || performance.now() > this.#token.freshUntil) {
      this.#login ??= this.#authenticate().finally(() => {
        this.#login = undefined
      })
      await this.#login
    }
    return this.#token!.text
  }

  /**
   * Makes one request and answers its successful reply, whose body is still to be read; throws the typed error for
   * any other. Logging in again and waiting for dependencies happen inside.
   */
  async exchange(exchange: Exchange): Promise<Answer> {
    const isPublic = exchange.route === 'authenticate' || exchange.route === 'showRoot'
    const { signal } = exchange.watchdog
    if (!isPublic) await abortable(this.capabilities(), signal)
    const startedAt = performance.now()
    for (let loggedIn = false; ; ) {
      const token = isPublic ? undefined : await abortable(this.token(), signal)
      try {
        return await this.#attempt(exchange, token)
      } catch (error) {
        const status =
          error instanceof HoldfastError || error instanceof UnexpectedReplyError ? error.status : 0
        if (!isPublic && !loggedIn && isTokenError(error) && this.#options.key !== undefined) {
          loggedIn = true
          if (this.#token?.text === token) this.#token = undefined
        } else if (status === 406 && performance.now() - startedAt < dependencyMs) {
          exchange.watchdog.touch()
          await pause(1000, signal)
        } else throw error
      }
    }
  }

  async #attempt(exchange: Exchange, token: string | undefined): Promise<Answer> {
    const { route, params, query, body, rangeBytes, watchdog, onSent } = exchange
    const requestId = newRequestId()
    const headers: Record<string, string> = { 'X-Request-ID': requestId, ...exchange.headers }
    if (token !== undefined) headers.Authorization = `Bearer ${token}`
    if (body !== undefined) headers['Content-Type'] = exchange.contentType ?? 'application/json'
    if (this.#options.userAgent !== undefined) headers['User-Agent'] = this.#options.userAgent
    try {
      const reply = await this.transport.send({
        method: splitPath(route).method,
        // The root is asked for as the user wrote it: it may be a redirect to where the server is
        url: route === 'showRoot' ? this.#options.url : this.#base + fillPath(route, params, query),
        headers,
        signal: watchdog.signal,
        ...(body === undefined ? {} : { body }),
        ...(rangeBytes === undefined ? {} : { rangeBytes }),
        ...(onSent === undefined ? {} : { onSent }),
      })
      if (reply.status >= 200 && reply.status < 300) return { reply, requestId }
      const text = await reply.text()
      throw errorOfReply({
        route,
        status: reply.status,
        text,
        requestId,
        retryAfter: reply.header('Retry-After'),
      })
    } catch (error) {
      if (error instanceof NetworkError && error.requestId === undefined) {
        Object.assign(error, { requestId })
      }
      throw error
    }
  }

  async #retried<T>(route: RouteName, attempt: (watchdog: Watchdog) => Promise<T>): Promise<T> {
    const { policy, signal, onRetry } = this
    return await retrying({ what: route, policy, signal, onRetry }, isPassing, async () => {
      const watchdog = new Watchdog(signal, this.timeoutMs)
      try {
        return await attempt(watchdog)
      } finally {
        watchdog.stop()
      }
    })
  }

  async #readRoot(): Promise<Capabilities> {
    return await this.#retried('showRoot', async (watchdog) => {
      const { reply } = await this.#attempt({ route: 'showRoot', watchdog }, undefined)
      const text = await reply.text()
      this.#base = reply.url.replace(/[?#].*$/, '').replace(/\/+$/, '')
      return new Set(knownWords.filter((word) => text.includes(word)))
    })
  }

  async #authenticate(): Promise<void> {
    const { namespace, key } = this.#options
    if (namespace === undefined || key === undefined) {
      throw new RefusedError('authorization_missing', {
        message: 'no namespace and key are configured for this server',
        requestId: '',
      })
    }
    await this.#retried('authenticate', async (watchdog) => {
      const body = JSON.stringify({ namespace, key })
      const { reply } = await this.exchange({ route: 'authenticate', body, watchdog }).catch(
        (error: unknown) => {
          if (!isHoldfastError(error, 'namespace_not_found')) throw error
          const message = `there is no namespace ${namespace} to log in to`
          throw new RefusedError('namespace_not_found', {
            message,
            detail: { login: namespace },
            requestId: error instanceof RefusedError ? error.requestId : '',
          })
        },
      )
      const token = JSON.parse(await reply.text()) as Token
      const lifeMs = token.expires_in * 1000
      const freshUntil = performance.now() + Math.max(lifeMs - tokenSlackMs, lifeMs / 2)
      this.#token = { text: token.access_token, freshUntil }
    })
  }
}
