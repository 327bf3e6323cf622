import { setTimeout as sleepFor } from 'node:timers/promises'
import { Agent } from 'undici'
import type { AddressGuard } from './address-guard.ts'
import { type Attempt, attemptFetch } from './fetch-attempt.ts'
import { describeUrl, FetchError } from './fetch-error.ts'
import { guardedConnector } from './guarded-connector.ts'
import { makeDeadline, RemoteWait } from './remote-wait.ts'

/** Where the bytes go: one growing file that keeps what it got when the stream breaks. */
export interface FetchSink {
  /** The bytes kept so far. */
  size(): number
  /**
   * Adds the chunks at the end and answers the new total. When `chunks` throws, what came before is kept and this
   * may throw too or answer what it kept.
   */
  append(chunks: AsyncIterable<Uint8Array>): Promise<number>
  /** Forgets all bytes: the remote's file is another one now. */
  reset(): Promise<void>
}

export interface FetchProgress {
  /** Bytes of the file so far, those kept from before included. */
  size: number
  /** Length of the file, null when the remote does not tell. */
  total: number | null
  /** What to pass as `ifRange` to go on with the sink's bytes in another process; null when they cannot be used. */
  ifRange: string | null
}

export interface FetchRetry {
  /** The attempt that follows: 2 or more. */
  attempt: number
  pauseMs: number
  /** What ended the attempt before. */
  error: FetchError
  /** Bytes the sink holds. */
  size: number
}

export interface FetchOptions {
  url: string
  guard: AddressGuard
  sink: FetchSink
  /** Validators of the version one has: the remote may answer that it is unchanged. */
  ifEtag?: string | null
  ifLastModified?: string | null
  /** From `FetchProgress`: proves that bytes already in the sink are the beginning of the remote's file. */
  ifRange?: string | null
  maxBytes: number
  maxRedirects: number
  /** Whether a redirect may lead from https to http; not by default. */
  allowDowngrade?: boolean
  /** Attempts in a row that may fail without having brought the file forward. */
  attempts: number
  /** The first pause between attempts; it doubles each time, up to a minute. */
  firstPauseMs: number
  /** How long the remote may be silent. */
  stallTimeoutMs: number
  /** How long all attempts and pauses may take together. */
  totalTimeoutMs?: number
  signal: AbortSignal
  /** Called for every chunk: throttle before writing it anywhere. */
  onProgress?: (progress: FetchProgress) => void
  onRetry?: (retry: FetchRetry) => void
  sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>
}

export type FetchResult =
  | { status: 'unchanged' }
  | {
      status: 'fetched'
      size: number
      etag: string | null
      lastModified: string | null
      contentType: string | null
    }

/** An attempt that brought the file this much further than ever before does not count as failed. */
const progressBytes = 1024 * 1024
const maxPauseMs = 60_000
/** The longest `Retry-After` that is honoured; a remote that wants more is asked again after this. */
const maxRetryAfterMs = 5 * 60_000

/**
 * Fetches a URL into a sink, over as many connections as it takes.
 *
 * After a cut it goes on where the sink ends if the remote's validators prove that the file is the same; if the
 * file has changed in between, the sink is reset and the new file fetched from its beginning.
 *
 * Throws `HoldfastError` (`url_invalid`, `url_forbidden`, `file_too_large`) for what this server refuses,
 * `FetchError` for what failed remotely, the signal's reason when it was aborted, and whatever the sink throws.
 * The sink keeps its bytes in every case.
 */
export async function fetchUrl(options: FetchOptions): Promise<FetchResult> {
  const place = describeUrl(options.guard.checkUrl(options.url))
  const deadline = makeDeadline(options.totalTimeoutMs, place)
  const signal = AbortSignal.any([options.signal, deadline.signal])
  const { stallTimeoutMs } = options
  // Silence is `RemoteWait`'s to judge: the client's own timers are coarse and do not know of redirects.
  const dispatcher = new Agent({
    connect: guardedConnector(options.guard, stallTimeoutMs),
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  const state: Attempt['state'] = {
    file: {
      etag: null,
      lastModified: null,
      contentType: null,
      total: null,
      ifRange: options.ifRange ?? null,
    },
  }
  const open = {
    guard: options.guard,
    dispatcher,
    maxRedirects: options.maxRedirects,
    allowDowngrade: options.allowDowngrade ?? false,
  }
  try {
    return await retry(options, signal, async () => {
      const wait = new RemoteWait(signal, stallTimeoutMs, place)
      return await attemptFetch({ options, open: { ...open, wait }, state })
    })
  } finally {
    deadline.clear()
    await dispatcher.destroy()
  }
}

async function retry(
  { sink, attempts, firstPauseMs, onRetry, sleep = sleepUntil }: FetchOptions,
  signal: AbortSignal,
  run: () => Promise<FetchResult>,
): Promise<FetchResult> {
  let furthest = sink.size()
  let failures = 0
  for (let count = 1; ; count++) {
    signal.throwIfAborted()
    let error: FetchError
    try {
      return await run()
    } catch (thrown) {
      if (!(thrown instanceof FetchError && thrown.retryable)) throw thrown
      error = thrown
    }
    // Measured against the furthest point ever, so that a file which keeps changing comes to an end.
    if (sink.size() >= furthest + progressBytes) failures = 0
    furthest = Math.max(furthest, sink.size())
    failures++
    if (failures >= attempts) throw error
    const pauseMs = pauseAfter(failures, firstPauseMs, error.retryAfterMs)
    onRetry?.({ attempt: count + 1, pauseMs, error, size: sink.size() })
    await sleep(pauseMs, signal)
  }
}

/** Doubling pauses, each cut by up to half at random, so that many fetches of one remote do not return at once. */
function pauseAfter(failures: number, firstPauseMs: number, retryAfter = 0): number {
  const pause = Math.min(firstPauseMs * 2 ** (failures - 1), maxPauseMs) * (0.5 + Math.random() / 2)
  return Math.max(Math.round(pause), Math.min(retryAfter, maxRetryAfterMs))
}

/** Ends early when the signal fires; the caller looks at the signal next. */
const sleepUntil = (ms: number, signal: AbortSignal) => sleepFor(ms, undefined, { signal }).catch(() => {})
