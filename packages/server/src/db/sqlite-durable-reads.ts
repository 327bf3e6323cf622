/**
 * Reads that see durable commits only. A commit that is still on its way to the disk could be taken back by a power
 * cut, and with it what a reply, or a job that removes files, had made of it.
 *
 * While everything committed is durable, queries see the newest state: the first in a turn of the event loop begins a read
 * transaction, in which all others of that turn run (to begin one costs several times as much as a query by a key). None of
 * this process's commits can come between, as each calls `hold` first; those of another process are seen from the next turn
 * on. Otherwise queries run in a read transaction that was begun before the first commit in doubt. When a flush begins,
 * the second connection begins such a transaction on what that flush covers, and takes over when it has ended. A pinned
 * state is therefore never older than the flush before the last, and SQLite can bring the log into the database up to there.
 */
import type { SqliteConnection, StatementResult } from './sqlite-connection.ts'

export class DurableReads {
  #current: SqliteConnection
  #spare: SqliteConnection
  /** What the read transaction is for: the rest of this turn, or until a flush has ended. */
  #pinned: 'not' | 'for this turn' | 'until flushed' = 'not'

  /** Takes over two connections that cannot write. */
  constructor(first: SqliteConnection, second: SqliteConnection) {
    this.#current = first
    this.#spare = second
  }

  run(sql: string, parameters: readonly unknown[]): StatementResult {
    if (this.#pinned === 'not') this.#pinForThisTurn()
    return this.#current.run(sql, parameters)
  }

  /** To be called before a commit: what follows is not seen until a flush has covered it. */
  hold(): void {
    if (this.#pinned === 'not') this.#current.pin()
    this.#pinned = 'until flushed'
  }

  /** To be called when a flush begins. */
  prepare(): void {
    this.#spare.unpin()
    this.#spare.pin()
  }

  /** To be called when that flush has ended; `isAll`: there is nothing newer than what it covered. */
  advance(isAll: boolean): void {
    const former = this.#current
    this.#current = this.#spare
    this.#spare = former
    former.unpin()
    this.#pinned = 'until flushed'
    if (isAll) this.release()
  }

  /** To be called when there is nothing in doubt. */
  release(): void {
    this.#current.unpin()
    this.#pinned = 'not'
  }

  #pinForThisTurn(): void {
    this.#current.pin()
    this.#pinned = 'for this turn'
    setImmediate(this.#endTurn)
  }

  readonly #endTurn = (): void => {
    if (this.#pinned === 'for this turn') this.release()
  }

  close(): void {
    this.#pinned = 'until flushed'
    this.#current.close()
    this.#spare.close()
  }
}
