/**
 * One server for a data directory. The lock is SQLite's own on a small file beside the database: the kernel drops it
 * when the process ends, however it ends, so no stale lock is ever left to clear away; and SQLite also refuses a
 * second holder in the same process, which the kernel's locks alone would let in.
 *
 * Nothing else in this process may open `lock.db`: closing any descriptor of a file drops the process's locks on it.
 */
import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Two starts at the same instant can be in each other's way for a moment; one of them then wins. */
const patienceMs = 500
const sqliteBusy = 5

/** Another server, or this one, uses the data directory already. */
export class DataDirectoryInUseError extends Error {
  override readonly name = 'DataDirectoryInUseError'

  constructor(directory: string, options?: ErrorOptions) {
    super(
      `The data directory ${directory} is in use by a running Holdfast server. Stop that server first, or give ` +
        'this one another directory with HOLDFAST_DATA_DIR.',
      options,
    )
  }
}

export interface DataDirectoryLock {
  /** Lets go of the directory. The end of the process does the same. */
  release(): void
}

/** Takes the data directory (made when absent) for this process, or throws `DataDirectoryInUseError`. */
export function lockDataDirectory(directory: string): DataDirectoryLock {
  const firstMade = mkdirSync(directory, { recursive: true, mode: 0o700 })
  if (firstMade !== undefined) syncParents(resolve(directory), resolve(firstMade))
  const db = new DatabaseSync(join(directory, 'lock.db'), { timeout: patienceMs })
  try {
    // With the journal in memory nothing is ever written beside the lock file.
    db.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE;')
  } catch (error) {
    db.close()
    const code = (error as { errcode?: number }).errcode ?? 0
    if ((code & 0xff) === sqliteBusy) throw new DataDirectoryInUseError(resolve(directory), { cause: error })
    throw error
  }
  return {
    release() {
      if (db.isOpen) db.close()
    },
  }
}

/** Puts the names of new directories, from `last` up to `first`, on stable storage: else all in them could be gone. */
function syncParents(last: string, first: string): void {
  for (let made = last; made.startsWith(first); made = dirname(made)) {
    let parent: number
    try {
      parent = openSync(dirname(made), 'r')
    } catch {
      // One may be allowed to make a directory where one may not look.
      return
    }
    try {
      fsyncSync(parent)
    } finally {
      closeSync(parent)
    }
  }
}
