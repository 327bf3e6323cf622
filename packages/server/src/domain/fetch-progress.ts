/**
 * How far a fetch has come, as events of its artifact: after every tenth of the file, or every ten seconds.
 */
import type { FetchProgress, FetchRetry } from '../fetch/fetch-url.ts'
import { changeFetch, type Run, tell } from './fetch-row.ts'

const maxSilenceMs = 10_000
const stepsPerFile = 10

/** Writes the events of one run, one at a time; of what comes meanwhile only the newest counts. */
export class FetchProgressLog {
  readonly #run: Run
  readonly #onGone: () => void
  #writing: Promise<void> | undefined
  #newest: FetchProgress | undefined
  #toldAt = performance.now()
  #toldStep = 0

  /** `onGone` is called when the artifact turns out to be deleted. */
  constructor(run: Run, onGone: () => void) {
    this.#run = run
    this.#onGone = onGone
  }

  /** Bytes have arrived. Cheap: called for every chunk. */
  note(progress: FetchProgress): void {
    this.#newest = progress
    if (!this.#writing) this.#tellNewest()
  }

  /** An attempt failed and there will be another one. */
  noteRetry({ attempt, pauseMs, error, size }: FetchRetry): void {
    const facts = { attempt, pause_seconds: pauseMs / 1000, size }
    this.#write(`will try again: ${error.message}`, facts)
  }

  /** Resolves when everything is written. */
  async settled(): Promise<void> {
    while (this.#writing) await this.#writing
  }

  #tellNewest(): void {
    if (!this.#newest) return
    const { size, total, ifRange } = this.#newest
    const step = total === null ? 0 : Math.floor((size / total) * stepsPerFile)
    if (step === this.#toldStep && performance.now() - this.#toldAt < maxSilenceMs) return
    this.#toldStep = step
    const message = total === null ? `fetched ${size} bytes` : `fetched ${Math.floor((size / total) * 100)}%`
    this.#write(message, { size, total }, ifRange)
  }

  #write(message: string, extra: Record<string, unknown>, ifRange?: string | null): void {
    const { parts } = this.#run
    this.#toldAt = performance.now()
    const before = this.#writing
    const writing = Promise.resolve(before)
      .then(() =>
        parts.db.write(async (trx) => {
          const change = ifRange === undefined ? {} : { if_range: ifRange }
          if (!(await changeFetch(trx, this.#run, change))) return false
          await tell(trx, this.#run, message, extra)
          return true
        }),
      )
      .then((isThere) => {
        if (!isThere) this.#onGone()
      })
      .catch((error) => parts.log.warn({ err: error }, 'the progress of a fetch was not noted'))
      .then(() => {
        if (this.#writing !== writing) return
        this.#writing = undefined
        this.#tellNewest()
      })
    this.#writing = writing
  }
}
