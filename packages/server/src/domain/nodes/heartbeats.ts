/**
 * A node among others while it runs: says that it is there, keeps its clock with the database's, and knows the others.
 *
 * Its row carries the run that wrote it last. A heartbeat that finds another run there comes from a process that was replaced,
 * by a second one with a copy of its data directory, or by the operator who forgot it. It must end at once, because its
 * uploads are not its own any more.
 */
import { sql } from 'kysely'
import type { Logger } from 'pino'
import type { Database } from '../../db/database.ts'
import type { NodeState, Row } from '../../db/schema.ts'
import { factsOf, healthOf, type NodeFacts, type NodeHealth, type Nodes } from './nodes.ts'
import type { SharedClock } from './shared-clock.ts'

export interface HeartbeatOptions {
  readonly db: Database
  readonly clock: SharedClock
  readonly log: Logger
  readonly name: string
  readonly run: string
  readonly secret: Uint8Array
  /** Silence after which a node is taken for gone. */
  readonly timeoutMs: number
  /** Another process has taken this node's place, or it was forgotten. */
  readonly onReplaced: (error: Error) => void
  /** Told of all nodes after each beat. */
  readonly onBeat?: ((nodes: readonly NodeFacts[]) => void) | undefined
  /** Told of each node that goes or comes. */
  readonly onChange?: ((node: NodeFacts, before: NodeHealth | undefined) => void) | undefined
}

const beatsInTimeout = 5
/** What is known of the others is asked for again after this time. */
const freshMs = 1000

/** The time of the database, in ms. */
const databaseTime = sql<number>`floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint`

/** Asks the database for its time, some times over, as the first of a connection is slow. */
export const askTime = async (db: Pick<Database, 'read'>, clock: SharedClock, times = 1): Promise<void> => {
  for (let left = times; left > 0; left--) {
    const sentAt = performance.now()
    const { rows } = await sql<{ now: number }>`SELECT ${databaseTime} AS now`.execute(db.read)
    clock.observe(rows[0]!.now, sentAt, performance.now())
  }
}

export class Heartbeats implements Nodes {
  readonly isShared = true
  readonly name: string
  readonly run: string
  readonly secret: Uint8Array
  readonly #options: HeartbeatOptions
  /** By `performance.now()`: since when the database has heard of this node without a long pause. */
  #steadySince = performance.now()
  #heardAt = performance.now()
  #state: NodeState = 'up'
  /** Where the others reach it; '' until `advertise` says. */
  #url = ''
  #timer: NodeJS.Timeout | undefined
  #beating: Promise<void> = Promise.resolve()
  #hasStopped = false
  #rows: readonly Row<'nodes'>[] = []
  #readAt = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined
  readonly #known = new Map<string, NodeHealth>()

  constructor(options: HeartbeatOptions) {
    this.#options = options
    this.name = options.name
    this.run = options.run
    this.secret = options.secret
  }

  /** Begins to beat. */
  start(): void {
    this.#schedule()
  }

  /** Tells the others where to reach this node. */
  async advertise(url: string): Promise<void> {
    this.#url = url
    await this.#beat()
  }

  /** Tells the others that this node takes no more work. */
  async goDown(): Promise<void> {
    this.#state = 'stopping'
    await this.#beat()
  }

  /** The last beat: the node has stopped. */
  async stop(): Promise<void> {
    this.#hasStopped = true
    clearTimeout(this.#timer)
    await this.#beating
    this.#state = 'stopped'
    await this.#beat()
  }

  async list(): Promise<readonly NodeFacts[]> {
    await this.#refresh()
    return this.#rows.map((row) => factsOf(row, this.#healthOf(row)))
  }

  async find(name: string): Promise<NodeFacts | undefined> {
    const among = (nodes: readonly NodeFacts[]) => nodes.find((node) => node.name === name)
    const known = among(await this.list())
    if (known && known.health !== 'gone' && known.url !== '') return known
    // One that has just come, or come back, is not in what was read a moment ago.
    this.#readAt = Number.NEGATIVE_INFINITY
    return among(await this.list())
  }

  #healthOf({ name, state, seen_at }: Row<'nodes'>): NodeHealth {
    if (name === this.name) return this.#state === 'up' ? 'up' : 'stopping'
    const { clock, timeoutMs } = this.#options
    const mayJudge = performance.now() - this.#steadySince > timeoutMs
    return healthOf(state, clock.now() - seen_at, timeoutMs, mayJudge)
  }

  #schedule(): void {
    if (this.#hasStopped) return
    this.#timer = setTimeout(() => {
      this.#beating = this.#beat().finally(() => this.#schedule())
    }, this.#options.timeoutMs / beatsInTimeout)
    this.#timer.unref()
  }

  /** Never rejects: a database that is away is the other requests' concern. */
  async #beat(): Promise<void> {
    const { db, clock, log, timeoutMs, onReplaced } = this.#options
    try {
      await askTime(db, clock)
      const isThere = await db.write(async (trx) => {
        const { numUpdatedRows } = await trx
          .updateTable('nodes')
          .set({ seen_at: databaseTime, state: this.#state, url: this.#url })
          .where('name', '=', this.name)
          .where('run', '=', this.run)
          .executeTakeFirstOrThrow()
        return numUpdatedRows > 0n
      })
      if (!isThere) {
        this.#hasStopped = true
        onReplaced(
          new Error(`another process has taken the place of the node ${this.name}, or it was forgotten`),
        )
        return
      }
      const now = performance.now()
      if (now - this.#heardAt > timeoutMs / 2) this.#steadySince = now
      this.#heardAt = now
      this.#readAt = Number.NEGATIVE_INFINITY
      await this.#refresh()
      this.#options.onBeat?.(await this.list())
      this.#tellChanges()
    } catch (error) {
      log.warn({ err: error }, 'the database did not hear of this node')
    }
  }

  async #refresh(): Promise<void> {
    if (performance.now() - this.#readAt < freshMs) return
    const read = async () => {
      const rows = await this.#options.db.read.selectFrom('nodes').selectAll().orderBy('name').execute()
      this.#rows = rows
      this.#readAt = performance.now()
    }
    this.#reading ??= read().finally(() => {
      this.#reading = undefined
    })
    await this.#reading
  }

  #tellChanges(): void {
    for (const row of this.#rows) {
      const health = this.#healthOf(row)
      const before = this.#known.get(row.name)
      if (health === before) continue
      this.#known.set(row.name, health)
      this.#options.onChange?.(factsOf(row, health), before)
    }
    for (const name of this.#known.keys())
      if (!this.#rows.some((row) => row.name === name)) this.#known.delete(name)
  }
}
