/**
 * One connection to a SQLite file, with its settings and its prepared statements. It is synchronous and knows
 * nothing of Kysely: the main thread reads through two and writes through a third.
 */
import { closeSync, openSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'

/** Statements kept prepared; lists of values make texts of many lengths, hence a bound. */
const maxStatements = 256
/** For each of up to five connections; what is not in it comes from the page cache of the system. */
const cacheKiB = 8 * 1024
/** A reader waits only while another process recovers the log, and waits in the main thread: not for long. */
const readerBusyMs = 1_000
/** Before the server runs, another process's transaction (an administrator's tool, say) may be waited for. */
const startBusyMs = 10_000

export interface StatementResult {
  readonly rows: Record<string, unknown>[]
  /** Of statements that give no rows: how many they changed, and the id given last. */
  readonly changes?: number
  readonly lastId?: number
}

/** What SQLite said of an error. */
export interface SqliteFailure {
  readonly message: string
  /** SQLite's extended result code, if the failure is SQLite's. */
  readonly code: number | undefined
}

interface PreparedStatement {
  readonly statement: StatementSync
  readonly givesRows: boolean
}

export class SqliteConnection {
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, PreparedStatement>()

  private constructor(db: DatabaseSync) {
    this.#db = db
  }

  /** A connection that cannot write. The file must exist and be in WAL mode. */
  static openReader(path: string): SqliteConnection {
    const db = new DatabaseSync(path, { readOnly: true, timeout: readerBusyMs })
    // No mmap on purpose: a disk error met through a mapping kills the process instead of failing the query.
    db.exec(`PRAGMA cache_size = -${cacheKiB}; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;`)
    return new SqliteConnection(db)
  }

  /**
   * A connection that writes. Makes the file, readable by its owner only.
   *
   * - `flushed`: commits are durable before they return, the log is brought into the database now and then, and another
   *   process's transaction is waited for.
   * - `unflushed`: commits are in the log, in order, and become durable with it (`LogFlush`). Nothing that waits for the
   *   disk or for others happens in the call, but for a flush of the log's head when the log begins anew.
   */
  static openWriter(path: string, commits: 'flushed' | 'unflushed'): SqliteConnection {
    createPrivateFile(path)
    const isFlushed = commits === 'flushed'
    const db = new DatabaseSync(path, {
      timeout: isFlushed ? startBusyMs : 0,
      enableForeignKeyConstraints: true,
    })
    // fullfsync matters on macOS only, where a plain fsync leaves data in the drive's cache.
    db.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = ${isFlushed ? 'FULL' : 'NORMAL'};
      PRAGMA fullfsync = ON;
      PRAGMA checkpoint_fullfsync = ON;
      PRAGMA wal_autocheckpoint = ${isFlushed ? 1000 : 0};
      PRAGMA journal_size_limit = ${64 * 1024 * 1024};
      PRAGMA cache_size = -${cacheKiB};
      PRAGMA temp_store = MEMORY;
      PRAGMA trusted_schema = OFF;
    `)
    return new SqliteConnection(db)
  }

  /** Runs one statement to its end, so that no read transaction outlives the call. */
  run(sql: string, parameters: readonly unknown[]): StatementResult {
    const { statement, givesRows } = this.#prepare(sql)
    const values = parameters as readonly SQLInputValue[]
    if (givesRows) return { rows: statement.all(...values) }
    const { changes, lastInsertRowid } = statement.run(...values)
    return { rows: [], changes: Number(changes), lastId: Number(lastInsertRowid) }
  }

  /** Takes the write lock at once, so that no transaction finds out at its commit that it came second. */
  begin(): void {
    this.#db.exec('BEGIN IMMEDIATE')
  }

  commit(): void {
    this.#db.exec('COMMIT')
  }

  /** Ends the transaction, if SQLite has not ended it by itself (as it may when the disk is full). */
  rollback(): void {
    if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
  }

  get isInTransaction(): boolean {
    return this.#db.isTransaction
  }

  /** Renews the statistics that plans are made from, where they are out of date; cheap otherwise. */
  optimize(): void {
    this.#db.exec('PRAGMA optimize = 0x10002')
  }

  /** From here on `run` sees what is committed now, and nothing later, until `unpin`. For readers. */
  pin(): void {
    this.run('BEGIN', [])
    try {
      // The state is that of the first read.
      this.run('SELECT 1 FROM sqlite_schema LIMIT 1', [])
    } catch (error) {
      this.unpin()
      throw error
    }
  }

  /** Ends what `pin` began; does nothing when nothing is pinned. */
  unpin(): void {
    if (this.#db.isTransaction) this.run('COMMIT', [])
  }

  /** Brings the whole log into the database file and empties it, as far as other readers allow. */
  mergeLog(): void {
    this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  }

  close(): void {
    this.#statements.clear()
    this.#db.close()
  }

  #prepare(sql: string): PreparedStatement {
    let prepared = this.#statements.get(sql)
    if (prepared === undefined) {
      const statement = this.#db.prepare(sql)
      prepared = { statement, givesRows: statement.columns().length > 0 }
      if (this.#statements.size >= maxStatements) {
        // The first key is the one not used for longest, as every use moves a key to the end.
        this.#statements.delete(this.#statements.keys().next().value!)
      }
    } else {
      this.#statements.delete(sql)
    }
    this.#statements.set(sql, prepared)
    return prepared
  }
}

/** Reads what SQLite said from an error thrown by `node:sqlite`. */
export function describeFailure(error: unknown): SqliteFailure {
  const message = error instanceof Error ? error.message : String(error)
  const code = (error as { errcode?: unknown } | undefined)?.errcode
  return { message, code: typeof code === 'number' ? code : undefined }
}

/**
 * The log and the index beside the database inherit its mode. An existing file is not touched: closing it would
 * drop every lock that this process holds on it.
 */
function createPrivateFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
