import { TimeoutError } from './errors.ts'

/**
 * An abort signal that fires when nothing has moved for `limitMs`, or when a parent signal fires.
 *
 * `touch()` says that something moved. It only notes the time, so it may be called for every piece of data.
 * `stop()` must be called in the end.
 */
export class Watchdog {
  readonly signal: AbortSignal
  readonly #controller = new AbortController()
  readonly #parent: AbortSignal
  readonly #limitMs: number
  #movedAt = performance.now()
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(parent: AbortSignal, limitMs: number) {
    this.signal = this.#controller.signal
    this.#parent = parent
    this.#limitMs = limitMs
    if (parent.aborted) this.#controller.abort(parent.reason)
    else {
      parent.addEventListener('abort', this.#follow, { once: true })
      this.#arm(limitMs)
    }
  }

  touch(): void {
    this.#movedAt = performance.now()
  }

  /** Silence is not the other side's fault until the next `touch()`. */
  hold(): void {
    this.#movedAt = Number.POSITIVE_INFINITY
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#parent.removeEventListener('abort', this.#follow)
  }

  readonly #follow = () => {
    clearTimeout(this.#timer)
    this.#controller.abort(this.#parent.reason)
  }

  #arm(ms: number): void {
    this.#timer = setTimeout(() => {
      const leftMs = this.#movedAt + this.#limitMs - performance.now()
      if (leftMs > 0) this.#arm(Math.min(leftMs, this.#limitMs))
      else {
        this.stop()
        this.#controller.abort(new TimeoutError(`no answer and no progress for ${this.#limitMs / 1000} s`))
      }
    }, ms)
  }
}
