/**
 * When and after which pause something is tried again: exponential back-off with full jitter, so that many clients
 * of a server that comes back do not all return at once.
 */
import { isPassing, NetworkError, retryAfterOf } from './errors.ts'
import type { RetryNotice, RetryOptions } from './types.ts'

export type RetryPolicy = Required<RetryOptions>

export const defaultRetry: RetryPolicy = {
  attempts: 6,
  baseMs: 250,
  maxMs: 15_000,
  patienceMs: 600_000,
}

/** A server that asks for a longer pause than this gets no more requests from this call. */
const longestRetryAfterMs = 120_000

/** The pause after so many failures in a row: a random time below a bound that doubles each time. */
export const backoffMs = (policy: RetryPolicy, failures: number, random = Math.random): number =>
  random() * Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(failures - 1, 30))

/** Waits, unless the signal ends it. */
export const pause = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal?.addEventListener('abort', stop, { once: true })
  })

/** Waits for something that goes on by itself, unless the signal ends the wait. */
export const abortable = async <T>(promise: Promise<T>, signal: AbortSignal): Promise<T> => {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const stop = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** The pause before the next try, or undefined when the server asks for more patience than there is. */
const delayAfter = (error: unknown, failures: number, policy: RetryPolicy): number | undefined => {
  const asked = retryAfterOf(error)
  if (asked === undefined) return backoffMs(policy, failures)
  return asked > longestRetryAfterMs ? undefined : Math.max(asked, backoffMs(policy, failures))
}

interface Repeated {
  readonly what: string
  readonly policy: RetryPolicy
  readonly signal: AbortSignal
  readonly onRetry: ((retry: RetryNotice) => void) | undefined
}

/** Runs `attempt` until it succeeds, `mayRepeat` says no, or the attempts are used up; throws the last error. */
export const retrying = async <T>(
  repeated: Repeated,
  mayRepeat: (error: unknown) => boolean,
  attempt: () => Promise<T>,
): Promise<T> => {
  for (let failures = 1; ; failures++) {
    try {
      return await attempt()
    } catch (error) {
      repeated.signal.throwIfAborted()
      if (failures >= repeated.policy.attempts || !mayRepeat(error)) throw error
      const delayMs = delayAfter(error, failures, repeated.policy)
      if (delayMs === undefined) throw error
      repeated.onRetry?.({ error: error as Error, failures, delayMs, what: repeated.what })
      await pause(delayMs, repeated.signal)
    }
  }
}

/** Tries one step of a long transfer again as long as `Patience` lasts. */
export const persisting = async <T>(repeated: Repeated, attempt: () => Promise<T>): Promise<T> => {
  const patience = new Patience(repeated)
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      await patience.failed(error)
    }
  }
}

/**
 * For long transfers: failures count only since the last progress, and time decides. A line that drops every ten
 * minutes is never given up; one that has been dead for `patienceMs` is.
 */
export class Patience {
  readonly #repeated: Repeated
  #failures = 0
  #progressedAt = performance.now()

  constructor(repeated: Repeated) {
    this.#repeated = repeated
  }

  /** Bytes arrived: earlier failures are forgotten. */
  progressed(): void {
    this.#failures = 0
    this.#progressedAt = performance.now()
  }

  /** Waits before the next try; throws `error` when it is not passing, and a `NetworkError` when patience is over. */
  async failed(error: unknown): Promise<void> {
    const { policy, signal, onRetry, what } = this.#repeated
    signal.throwIfAborted()
    if (!isPassing(error)) throw error
    this.#failures++
    const delayMs = delayAfter(error, this.#failures, policy)
    const waitedMs = performance.now() - this.#progressedAt
    if (delayMs === undefined || waitedMs + delayMs > policy.patienceMs) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new NetworkError(`gave up after ${Math.round(waitedMs / 1000)} s without progress: ${reason}`, {
        cause: error,
      })
    }
    onRetry?.({ error: error as Error, failures: this.#failures, delayMs, what })
    await pause(delayMs, signal)
  }
}
