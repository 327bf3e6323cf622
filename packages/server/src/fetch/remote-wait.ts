import { FetchError } from './fetch-error.ts'

/** Timers hold 31 bits of milliseconds; longer ones would fire at once. */
const maxTimerMs = 2 ** 31 - 1

/**
 * Everything that may end a wait for the remote: the caller's signal, the time limit of the whole fetch, and
 * silence. Silence is counted only while the server waits for the remote, never while it writes what has arrived.
 *
 * One of these serves one attempt; `signal` goes to the HTTP client, so that giving up closes the connection.
 */
export class RemoteWait {
  readonly signal: AbortSignal
  readonly #stall = new AbortController()
  readonly #stallTimeoutMs: number
  readonly #place: string

  /** `outer` must carry the error to throw as its reason; `place` names the remote in messages. */
  constructor(outer: AbortSignal, stallTimeoutMs: number, place: string) {
    this.signal = AbortSignal.any([outer, this.#stall.signal])
    this.#stallTimeoutMs = stallTimeoutMs
    this.#place = place
  }

  /** Awaits the remote. When a signal ended the wait, throws the signal's reason, whatever `promise` says. */
  async for<T>(promise: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.#giveUp(), Math.min(this.#stallTimeoutMs, maxTimerMs))
    try {
      return await promise
    } catch (error) {
      this.signal.throwIfAborted()
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  #giveUp(): void {
    const message = `${this.#place}: nothing arrived for ${this.#stallTimeoutMs} ms`
    this.#stall.abort(new FetchError('stalled', message, { retryable: true }))
  }
}

/** A signal that fires after `ms`, or never, and a way to take its timer back. */
export function makeDeadline(
  ms: number | undefined,
  place: string,
): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController()
  if (ms === undefined) return { signal: controller.signal, clear: () => {} }
  const timer = setTimeout(
    () => {
      const message = `${place}: not complete after ${ms} ms`
      controller.abort(new FetchError('timed_out', message, { retryable: false }))
    },
    Math.min(ms, maxTimerMs),
  )
  return { signal: controller.signal, clear: () => clearTimeout(timer) }
}
