/**
 * Reads that see durable commits only. A commit that is still on its way to the disk could be taken back by a power
 * cut, and with it what a reply, or a job that removes files, had made of it.
 *
 * While everything committed is durable, queries see the newest state, each its own. Otherwise they run in a read
 * transaction that was begun before the first commit in doubt. When a flush begins, the second connection begins such a
 * transaction on what that flush covers, and takes over when it has ended. A pinned state is therefore never older than
 * the flush before the last, and SQLite can bring the log into the database up to there.
 */
import type { SqliteConnection, StatementResult } from './sqlite-connection.ts'

export class DurableReads {
  #current: SqliteConnection
  #spare: SqliteConnection
  #isPinned = false

  /** Takes over two connections that cannot write. */
  constructor(first: SqliteConnection, second: SqliteConnection) {
    this.#current = first
    this.#spare = second
  }

  run(sql: string, parameters: readonly unknown[]): StatementResult {
    return this.#current.run(sql, parameters)
  }

  /** To be called before a commit: what follows is not seen until a flush has covered it. */
  hold(): void {
    if (this.#isPinned) return
    this.#current.pin()
    this.#isPinned = true
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
    this.#isPinned = true
    if (isAll) this.release()
  }

  /** To be called when there is nothing in doubt. */
  release(): void {
    this.#current.unpin()
    this.#isPinned = false
  }

  close(): void {
    this.#current.close()
    this.#spare.close()
  }
}
