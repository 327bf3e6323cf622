/** A rate that follows the line without jumping: an average that forgets over some seconds. */
export class RateMeter {
  #rate = 0
  #at = performance.now()
  #done: number

  constructor(done: number) {
    this.#done = done
  }

  /** Takes the total done so far; answers bytes per second. */
  update(done: number, now = performance.now()): number {
    const ms = now - this.#at
    if (ms >= 200) {
      const current = (Math.max(0, done - this.#done) / ms) * 1000
      const weight = this.#rate === 0 ? 1 : 1 - Math.exp(-ms / 3000)
      this.#rate += (current - this.#rate) * weight
      this.#at = now
      this.#done = done
    }
    return this.#rate
  }
}

/** At most this many reports a second and phase; the first and the last always come, of a phase that fails too. */
const reportsPerSecond = 5

/** One phase of a transfer, reported to a callback now and then. */
export class PhaseMeter<T extends object> {
  readonly #report: ((progress: T) => void) | undefined
  readonly #facts: object
  readonly #rate: RateMeter
  #reportedAt = Number.NEGATIVE_INFINITY
  #finished = false

  constructor(
    report: ((progress: T) => void) | undefined,
    facts: { phase: string; resumed: number },
    done = 0,
  ) {
    this.#report = report
    this.#facts = facts
    this.#rate = new RateMeter(done)
  }

  at(done: number, total: number | undefined, extra: { finished?: boolean; hit?: boolean } = {}): void {
    if (this.#report === undefined || this.#finished) return
    const now = performance.now()
    const rate = this.#rate.update(done, now)
    const finished = extra.finished === true
    if (!finished && now - this.#reportedAt < 1000 / reportsPerSecond) return
    this.#reportedAt = now
    this.#finished = finished
    this.#report({ ...this.#facts, done, total, rate, finished, ...extra } as unknown as T)
  }

  /** Reports where a phase came that is given up. */
  ended(done: number, total: number | undefined): void {
    this.#reportedAt = Number.NEGATIVE_INFINITY
    this.at(done, total)
  }
}
