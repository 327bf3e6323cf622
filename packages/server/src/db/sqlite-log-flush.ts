/**
 * Group commit. A commit puts its pages at the end of SQLite's log and is durable when the log has been flushed. One
 * flush covers every commit made before it began, so all that come while one is under way share the next: the more
 * writers, the more commits for each wait.
 *
 * The log is a file that lives as long as a connection is open: SQLite never replaces it, it overwrites it from its
 * beginning when everything in it has been brought into the database file. A descriptor of our own therefore stays
 * good, and closing it costs no lock, as SQLite locks the database file and the index, never the log.
 *
 * After a failed flush nobody knows what of the log is on the disk: the kernel may call the lost pages clean, and a
 * second flush would succeed without them. So the first failure is the last flush: what was not durable is in doubt
 * for good, and nothing more may be committed behind it.
 */
import { HoldfastError } from '@holdfast/api/errors'

export interface FlushEvents {
  /** A flush begins, of everything committed until now. */
  begins(): void
  /** It has ended, before anybody is told. `isAll`: nothing was committed since it began. */
  ended(isAll: boolean): void
  /** There will be no other. */
  failed(error: HoldfastError): void
}

interface Waiting {
  readonly commit: number
  resolve(): void
  reject(error: HoldfastError): void
}

export class LogFlush {
  readonly #sync: () => Promise<void>
  readonly #events: FlushEvents
  #waiting: Waiting[] = []
  /** Commits are numbered from 1 on. */
  #newest = 0
  #durable = 0
  #isRunning = false
  #failure: HoldfastError | undefined

  /** `sync` puts everything written to the log before the call on stable storage. */
  constructor(sync: () => Promise<void>, events: FlushEvents) {
    this.#sync = sync
    this.#events = events
  }

  /** Whether every commit is durable. */
  get isDurable(): boolean {
    return this.#durable === this.#newest
  }

  /** Set once a flush has failed. */
  get failure(): HoldfastError | undefined {
    return this.#failure
  }

  /** To be called after each commit. The flush is begun by `begin`. */
  noteCommit(): void {
    this.#newest++
  }

  /**
   * Begins a flush if something needs one and none is under way; the next then follows by itself. To be called when
   * those who can commit at once have done so, so that they share it.
   */
  begin(): void {
    if (!this.isDurable) this.#flush()
  }

  /** Flushes though nothing was committed: finds out whether the log can still be relied on. */
  check(): void {
    this.#flush()
  }

  /** Resolves when everything committed until now is durable; rejects with `unavailable` when that cannot be known. */
  durable(): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure)
    if (this.isDurable) return Promise.resolve()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waiting.push({ commit: this.#newest, resolve, reject })
    return promise
  }

  #flush(): void {
    if (this.#isRunning || this.#failure) return
    this.#isRunning = true
    void this.#run()
  }

  async #run(): Promise<void> {
    try {
      do {
        const covered = this.#newest
        this.#events.begins()
        await this.#sync()
        this.#durable = covered
        this.#events.ended(this.isDurable)
        const isDone = ({ commit }: Waiting) => commit <= covered
        const done = this.#waiting.filter(isDone)
        this.#waiting = this.#waiting.filter((waiting) => !isDone(waiting))
        for (const { resolve } of done) resolve()
      } while (!this.isDurable)
    } catch (cause) {
      this.#failure = new HoldfastError('unavailable', { cause })
      this.#events.failed(this.#failure)
      for (const { reject } of this.#waiting.splice(0)) reject(this.#failure)
    } finally {
      this.#isRunning = false
    }
  }
}
