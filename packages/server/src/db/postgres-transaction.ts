/**
 * One attempt at a write transaction, from BEGIN to the certainty of how it ended.
 *
 * **Isolation** is SERIALIZABLE: PostgreSQL undoes a transaction whose result could differ from that of some order one
 * after the other, and it is run again. Whoever keeps losing gets a turn alone: all transactions hold the table
 * `commit_marks` in a mode that admits each other and excludes such a turn.
 *
 * **Commit.** When the reply to a COMMIT is lost, the transaction may have been committed, or may still be. So each
 * commit first puts a mark of its own into `commit_marks`, in the same message. Whoever is in doubt inserts the same mark
 * in a transaction of its own. That waits for the one in doubt to end; fails if that was committed; and if it succeeds,
 * the one in doubt can never be committed any more, even if its COMMIT is still on the way, as the mark is taken.
 */
import { randomUUID } from 'node:crypto'
import { HoldfastError } from '@holdfast/api/errors'
import { type CompiledQuery, Kysely, type QueryResult, type Transaction } from 'kysely'
import { InDoubtError } from './database.ts'
import { driverOf, postgresDialect, runQuery } from './postgres-dialect.ts'
import { failureKind, toDatabaseError } from './postgres-errors.ts'
import type { Session, Sessions } from './postgres-sessions.ts'
import type { Schema } from './schema.ts'

/** The table of marks; see above. Marks are of no use once nobody can be in doubt about them. */
export const marksTable = `
  CREATE TABLE IF NOT EXISTS commit_marks (
    id uuid PRIMARY KEY,
    is_claim boolean NOT NULL DEFAULT false,
    made_at timestamptz NOT NULL DEFAULT now()
  )`
const forgetMarks = `BEGIN READ WRITE; DELETE FROM commit_marks WHERE made_at < now() - interval '1 hour'; COMMIT`

/** `shared` with all others; `alone` when nobody else may be in a transaction. */
export type Turn = 'shared' | 'alone'

const beginStatements: Readonly<Record<Turn, string>> = {
  shared: 'BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE; LOCK TABLE commit_marks IN ROW EXCLUSIVE MODE',
  // LOCK TABLE takes no snapshot, so that what those before did is seen.
  alone: 'BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE; LOCK TABLE commit_marks IN SHARE ROW EXCLUSIVE MODE',
}

/** The transaction was undone for reasons that are not its own; it may be run again. */
export class UndoneError extends Error {
  override readonly name = 'UndoneError'
  readonly reason: 'conflict' | 'lost'

  constructor(reason: 'conflict' | 'lost', cause: unknown) {
    super(`the transaction was undone (${reason})`, { cause })
    this.reason = reason
  }
}

/** A connection as the work of one transaction sees it. */
class Attempt {
  readonly #session: Session
  readonly #sessions: Sessions
  readonly #turn: Turn
  #hasEnded = false
  /** The first failure; PostgreSQL accepts nothing but a rollback after it. */
  #failure: unknown
  #last: Promise<unknown> = Promise.resolve()

  constructor(sessions: Sessions, session: Session, turn: Turn) {
    this.#sessions = sessions
    this.#session = session
    this.#turn = turn
  }

  /** Why it must be run again, whatever the work threw; undefined when what it threw is the reason. */
  get undone(): UndoneError | undefined {
    if (this.#failure === undefined) return undefined
    const kind = failureKind(this.#failure)
    return kind === 'other' ? undefined : new UndoneError(kind, this.#failure)
  }

  executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    // One by one, so that those nobody waited for can be refused when the transaction ends.
    const result = this.#last.then(async () => {
      if (this.#hasEnded) throw new Error('the transaction has ended')
      try {
        return await runQuery<R>(this.#session, query)
      } catch (error) {
        this.#failure ??= error
        throw toDatabaseError(error, 'write')
      }
    })
    this.#last = result.catch(() => {})
    return result
  }

  async begin(): Promise<void> {
    try {
      await this.#session.query(beginStatements[this.#turn])
    } catch (error) {
      this.#failure = error
      this.#session.abandon()
      throw toDatabaseError(error, 'write')
    }
  }

  async commit(): Promise<void> {
    this.#hasEnded = true
    await this.#last
    if (this.#failure !== undefined) throw toDatabaseError(this.#failure, 'write')
    const mark = randomUUID()
    try {
      await this.#session.query(`INSERT INTO commit_marks (id) VALUES ('${mark}'); COMMIT`)
    } catch (error) {
      if (failureKind(error) === 'lost') return this.#resolveDoubt(mark, error)
      this.#failure = error
      throw toDatabaseError(error, 'write')
    }
  }

  async rollback(): Promise<void> {
    this.#hasEnded = true
    await this.#last
    if (this.#failure !== undefined && failureKind(this.#failure) === 'lost') return
    // Closing the connection undoes it as well.
    await this.#session.query('ROLLBACK').catch(() => this.#session.abandon())
  }

  /** Resolves if the transaction was committed, and else makes sure that it never will be. */
  async #resolveDoubt(mark: string, lost: unknown): Promise<void> {
    let isCommitted: boolean
    try {
      isCommitted = await claimMark(this.#sessions, mark)
    } catch {
      throw new InDoubtError(lost)
    }
    if (isCommitted) return
    this.#failure = lost
    throw new HoldfastError('unavailable', { cause: lost })
  }
}

const claimAttempts = 5

/** Takes the mark so that no commit can, or finds that one has: then true. Rejects when it cannot be known in time. */
const claimMark = async (sessions: Sessions, mark: string): Promise<boolean> => {
  for (let left = claimAttempts; ; left--) {
    const session = await sessions.acquire()
    try {
      // One message, one transaction; a claim of an earlier try whose reply was lost is found as such.
      await session.query(
        `BEGIN READ WRITE;
         INSERT INTO commit_marks (id, is_claim) VALUES ('${mark}', true) ON CONFLICT DO NOTHING; COMMIT`,
      )
      const { rows } = await session.query('SELECT is_claim FROM commit_marks WHERE id = $1', [mark])
      const [row] = rows as { is_claim: boolean }[]
      if (row) return !row.is_claim
      throw new Error('a mark is gone that was there a moment ago')
    } catch (error) {
      session.abandon()
      if (failureKind(error) === 'other' || left === 1) throw error
    } finally {
      session.release()
    }
  }
}

/**
 * Runs `work` once in a transaction. Rejects with what `work` threw, with an `UndoneError`, or with an `InDoubtError`.
 */
export const attempt = async <T>(
  sessions: Sessions,
  turn: Turn,
  work: (trx: Transaction<Schema>) => Promise<T>,
): Promise<T> => {
  const session = await sessions.acquire()
  const transaction = new Attempt(sessions, session, turn)
  const kysely = new Kysely<Schema>({
    dialect: postgresDialect(
      driverOf(transaction, {
        beginTransaction: () => transaction.begin(),
        commitTransaction: () => transaction.commit(),
        rollbackTransaction: () => transaction.rollback(),
      }),
    ),
  })
  try {
    return await kysely.transaction().execute(work)
  } catch (error) {
    if (error instanceof InDoubtError) throw error
    throw transaction.undone ?? error
  } finally {
    session.release()
  }
}

/** Forgets old marks. */
export const pruneMarks = async (sessions: Sessions): Promise<void> => {
  const session = await sessions.acquire()
  try {
    await session.query(forgetMarks)
  } catch (error) {
    session.abandon()
    throw toDatabaseError(error, 'write')
  } finally {
    session.release()
  }
}
