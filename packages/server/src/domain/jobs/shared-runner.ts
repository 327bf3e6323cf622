/**
 * Runs one job among several nodes: those that look at what all share are run by one of them at a time, in a turn of SQL;
 * the others (`everyNode`) by each for what it has.
 *
 * What is due, what was asked for and how the last run ended is in the table `jobs`, so that any node can tell and ask. A run
 * that somebody asks for is a number: it is done when a run that began after the asking has ended, on whichever node; of a job
 * of every node, on all that are there.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Row } from '../../db/schema.ts'
import type { Parts } from '../../parts.ts'
import { fencedBy, type Turn, TurnLostError, takeTurn } from '../nodes/turns.ts'
import type { AskedRun, Job, JobReport, JobRunner, JobStatus, LastRun } from './job.ts'
import { observeRun } from './observe-run.ts'

/** A node looks this often whether a job is due, or as often as the job runs. */
const longestPauseMs = 1000
const shortestPauseMs = 50
/** Nobody waits longer for a run that was asked for. */
const longestWaitMs = 15_000
const waitPauseMs = 200
/** The name of the row that is every node's. */
const all = ''

type JobRow = Row<'jobs'>

export class SharedRunner implements JobRunner {
  readonly #parts: Parts
  readonly #job: Job
  readonly #firstDelayMs: number
  readonly #stopped = new AbortController()
  /** Whose row says when it is due: this node's, or that of all. */
  readonly #node: string
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<unknown> = Promise.resolve()
  #poked = false

  constructor(parts: Parts, job: Job, firstDelayMs: number) {
    this.#parts = parts
    this.#job = job
    this.#node = job.everyNode ? parts.nodes.name : all
    this.#firstDelayMs = firstDelayMs
    this.#schedule(firstDelayMs)
  }

  poke(): void {
    this.#poked = true
    this.#schedule(0)
  }

  async runNow(): Promise<JobReport> {
    const { ended } = await this.runSoon()
    return ended
  }

  async runSoon(): Promise<AskedRun> {
    const { asked } = await this.#parts.db.write((trx) =>
      trx
        .insertInto('jobs')
        .values({ ...this.#newRow(all), asked: 1 })
        .onConflict((conflict) =>
          conflict.columns(['name', 'node']).doUpdateSet({ asked: sql<number>`jobs.asked + 1` }),
        )
        .returning('asked')
        .executeTakeFirstOrThrow(),
    )
    this.#schedule(0)
    return { number: asked, ended: this.#endOf(asked) }
  }

  async status(): Promise<JobStatus> {
    const { db, nodes, clock, config } = this.#parts
    const { name, everyNode, interval } = this.#job
    const rows = await this.#rows()
    const turns = await db.read
      .selectFrom('turns')
      .select('expires_at')
      .where('name', 'like', `${this.#turnName('')}%`)
      .execute()
    const alive = new Set(
      (await nodes.list()).filter(({ health }) => health !== 'gone').map((node) => node.name),
    )
    const own = rows.filter(({ node }) => (everyNode ? alive.has(node) : node === all))
    const asked = rows.find(({ node }) => node === all)?.asked ?? 0
    const done = own.length === 0 ? 0 : Math.min(...own.map((row) => row.done))
    const isRunning = turns.some(({ expires_at }) => expires_at > clock.now())
    const [last] = own
      .flatMap((row) => (row.last === null ? [] : [JSON.parse(row.last) as LastRun]))
      .sort((a, b) => b.startedAt - a.startedAt)
    return {
      name,
      interval: interval(config),
      isRunning,
      waiting: Math.max(0, asked - done - (isRunning ? 1 : 0)),
      runs: done,
      ...(last && { last: { ...last, number: done } }),
      ...(own.length > 0 && !isRunning && { nextAt: Math.min(...own.map((row) => row.next_at)) }),
    }
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#stopped.abort()
    await this.#looking
  }

  /** Resolves when the run of this number has ended; rejects when that takes too long for anybody to wait. */
  async #endOf(number: number): Promise<JobReport> {
    const deadline = performance.now() + longestWaitMs
    for (;;) {
      await delay(waitPauseMs, undefined, { ref: false, signal: this.#stopped.signal })
      const { runs, last } = await this.status()
      if (runs >= number) {
        if (last?.outcome === 'failed') throw new Error(last.error)
        return last?.report ?? {}
      }
      if (performance.now() > deadline) throw new Error('the run has not ended yet')
    }
  }

  #turnName(node: string): string {
    return `job ${this.#job.name} ${node}`
  }

  #newRow(node: string): JobRow {
    const next_at = this.#parts.clock.now() + this.#firstDelayMs
    return { name: this.#job.name, node, asked: 0, done: 0, next_at, last: null }
  }

  #rows(): Promise<JobRow[]> {
    return this.#parts.db.read.selectFrom('jobs').selectAll().where('name', '=', this.#job.name).execute()
  }

  #pause(): number {
    const ms = this.#job.interval(this.#parts.config) * 1000
    return Math.max(shortestPauseMs, Math.min(longestPauseMs, ms))
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer)
    if (this.#stopped.signal.aborted) return
    this.#timer = setTimeout(() => {
      this.#looking = this.#looking
        .then(() => this.#look())
        .catch((error) => {
          if (this.#stopped.signal.aborted) return
          const [facts, { log }] = [{ job: this.#job.name, err: error }, this.#parts]
          // It was frozen or cut off for a while. What it did late has been refused, and the other does it all.
          if (error instanceof TurnLostError) log.info(facts, 'another node has taken the job over')
          else log.warn(facts, 'a job could not be looked after')
        })
        .finally(() => this.#schedule(this.#pause()))
    }, ms)
    this.#timer.unref()
  }

  /** Runs the job if it is due and nobody else does. */
  async #look(): Promise<void> {
    if (this.#stopped.signal.aborted || !(await this.#isDue())) return
    const { config } = this.#parts
    const turn = await takeTurn(this.#parts, this.#turnName(this.#node), config.nodeTimeout * 1000)
    if (!turn) return
    try {
      // Another node may have run it between the two.
      if (await this.#isDue()) await this.#run(turn)
    } finally {
      await turn.release()
    }
  }

  async #isDue(): Promise<boolean> {
    const rows = await this.#rows()
    const own = rows.find(({ node }) => node === this.#node)
    if (!own) {
      await this.#parts.db.write((trx) =>
        trx
          .insertInto('jobs')
          .values(this.#newRow(this.#node))
          .onConflict((conflict) => conflict.doNothing())
          .execute(),
      )
      return this.#poked
    }
    const asked = rows.find(({ node }) => node === all)?.asked ?? 0
    return this.#poked || own.next_at <= this.#parts.clock.now() || asked > own.done
  }

  async #run(turn: Turn): Promise<void> {
    const parts = fencedBy(this.#parts, turn)
    const asked = (await this.#rows()).find(({ node }) => node === all)?.asked ?? 0
    this.#poked = false
    const signal = AbortSignal.any([this.#stopped.signal, turn.signal])
    let last: LastRun | undefined
    await observeRun(parts, this.#job, signal, asked, (end) => {
      last = end
    }).catch(() => {})
    if (this.#stopped.signal.aborted && last?.outcome === 'stopped') return
    const { name, interval } = this.#job
    const next_at = parts.clock.now() + Math.round(interval(parts.config) * 1000)
    await parts.db.write((trx) =>
      trx
        .updateTable('jobs')
        .set({ done: asked, next_at, last: JSON.stringify(last) })
        .where('name', '=', name)
        .where('node', '=', this.#node)
        .execute(),
    )
  }
}
