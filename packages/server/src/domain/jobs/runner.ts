import type { Parts } from '../../parts.ts'
import type { AskedRun, Job, JobReport, JobRunner, JobStatus, LastRun } from './job.ts'
import { observeRun } from './observe-run.ts'

/** Runs one job of the only node: at its interval, on demand, and never twice at a time. */
export class Runner implements JobRunner {
  readonly #parts: Parts
  readonly #job: Job
  readonly #stopped = new AbortController()
  #timer: NodeJS.Timeout | undefined
  /** The newest run asked for; the next one waits for it. */
  #latest: Promise<JobReport> | undefined
  /** Runs asked for and not finished. */
  #pending = 0
  /** Runs finished. */
  #ended = 0
  #poked = false
  #isRunning = false
  #last: LastRun | undefined
  #nextAt: number | undefined

  constructor(parts: Parts, job: Job, firstDelayMs: number) {
    this.#parts = parts
    this.#job = job
    this.#wait(firstDelayMs)
  }

  poke(): void {
    // A run under way may have looked at its work list already, so there has to be another one.
    if (this.#pending > 0) this.#poked = true
    else this.#wait(0)
  }

  /** Runs the job after the runs asked for before. */
  runNow(): Promise<JobReport> {
    this.#pending++
    const before = this.#latest ?? Promise.resolve()
    const run = before.then(
      () => this.#run(),
      () => this.#run(),
    )
    this.#latest = run
    const ended = () => this.#finished()
    run.then(ended, ended)
    return run
  }

  /** The same, but a run that still waits for its turn serves this call, too. */
  async runSoon(): Promise<AskedRun> {
    const ended = this.#pending > 1 ? this.#latest! : this.runNow()
    return { number: this.#ended + this.#pending, ended }
  }

  async status(): Promise<JobStatus> {
    return {
      name: this.#job.name,
      interval: this.#job.interval(this.#parts.config),
      isRunning: this.#isRunning,
      waiting: this.#pending - (this.#isRunning ? 1 : 0),
      runs: this.#ended,
      ...(this.#last && { last: this.#last }),
      ...(this.#nextAt !== undefined && !this.#isRunning && { nextAt: this.#nextAt }),
    }
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#stopped.abort()
    await this.#latest?.catch(() => {})
  }

  #finished(): void {
    this.#pending--
    this.#ended++
    if (this.#pending > 0) return
    this.#wait(this.#poked ? 0 : this.#job.interval(this.#parts.config) * 1000)
    this.#poked = false
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer)
    if (this.#stopped.signal.aborted) return
    this.#nextAt = this.#parts.clock.now() + ms
    this.#timer = setTimeout(() => {
      // Failures have been logged; those who call `runNow` themselves want to hear of them, too.
      this.runNow().catch(() => {})
    }, ms)
    this.#timer.unref()
  }

  async #run(): Promise<JobReport> {
    this.#stopped.signal.throwIfAborted()
    this.#isRunning = true
    return observeRun(this.#parts, this.#job, this.#stopped.signal, this.#ended + 1, (end) => {
      this.#isRunning = false
      this.#last = end
    })
  }
}
