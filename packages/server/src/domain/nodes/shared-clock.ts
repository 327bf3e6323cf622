/**
 * The clock of several nodes: that of their database. Each keeps how far it is from the machine's steady counter, which nobody
 * sets, and asks again with every heartbeat; so nodes agree to within half a round trip, whatever their own clocks say.
 *
 * It does not go back. Only when the database's own clock was set back by more than a minute, it follows.
 */
import type { Clock } from '../../parts.ts'

interface Sample {
  /** Database time less the steady counter, in ms. */
  readonly offset: number
  /** It may be wrong by so much: half of the round trip. */
  readonly error: number
}

/** Old samples drift away, and one of the last few was quick. */
const keptSamples = 8
/** Beyond their errors, samples may differ by this before the clock of the database must have been set. */
const toleranceMs = 20
const longestHoldMs = 60_000

export class SharedClock implements Clock {
  #samples: readonly Sample[] = []
  #last = 0

  /** The database said `databaseMs` between the two moments of `performance.now()`. */
  observe(databaseMs: number, sentAt: number, receivedAt: number): void {
    const sample = { offset: databaseMs - (sentAt + receivedAt) / 2, error: (receivedAt - sentAt) / 2 }
    const agree = this.#samples.every(
      ({ offset, error }) => Math.abs(offset - sample.offset) <= error + sample.error + toleranceMs,
    )
    this.#samples = agree ? [...this.#samples, sample].slice(-keptSamples) : [sample]
  }

  now(): number {
    const [first, ...others] = this.#samples
    if (!first) throw new Error('the clock of the database was not asked yet')
    const best = others.reduce((least, sample) => (sample.error < least.error ? sample : least), first)
    const time = Math.floor(performance.now() + best.offset)
    this.#last = this.#last - time > longestHoldMs ? time : Math.max(this.#last, time)
    return this.#last
  }
}
