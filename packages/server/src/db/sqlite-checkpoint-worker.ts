/**
 * The thread that brings SQLite's log into the database file: that waits for the disk, and the main thread must not.
 * See `sqlite-checkpoints.ts` for who asks for what, and when.
 */
import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'

/**
 * `merge`: as much as readers allow, beside readers and writers. `restart`: all of it, and let the log begin anew; to
 * be asked for only while nobody writes.
 */
export type CheckpointTask = 'merge' | 'restart'

export interface CheckpointResult {
  /** Pages in the log, and how many of them are in the database file. */
  readonly pages: number
  readonly merged: number
}

export type CheckpointReply = CheckpointResult | { readonly failure: string }

const { path } = workerData as { path: string }
const db = new DatabaseSync(path, { timeout: 0 })
// FULL: what the restart writes is flushed here, and not by the next who waits for a flush.
db.exec(`
  PRAGMA synchronous = FULL;
  PRAGMA fullfsync = ON;
  PRAGMA checkpoint_fullfsync = ON;
  PRAGMA wal_autocheckpoint = 0;
  PRAGMA journal_size_limit = ${64 * 1024 * 1024};
  PRAGMA trusted_schema = OFF;
`)

parentPort!.on('message', (task: CheckpointTask) => {
  try {
    parentPort!.postMessage(perform(task) satisfies CheckpointReply)
  } catch (error) {
    parentPort!.postMessage({ failure: (error as Error).message } satisfies CheckpointReply)
  }
})

function perform(task: CheckpointTask): CheckpointResult {
  const mode = task === 'merge' ? 'PASSIVE' : 'RESTART'
  const { log, checkpointed } = db.prepare(`PRAGMA wal_checkpoint(${mode})`).get() as Record<string, number>
  // Whoever writes first afterwards writes a new head and waits until it is on the disk: let it be this thread. The
  // number means nothing; SQLite keeps it for its users.
  if (task === 'restart' && log === checkpointed) {
    const { user_version: number } = db.prepare('PRAGMA user_version').get() as { user_version: number }
    db.exec(`PRAGMA user_version = ${(number + 1) % 1_000_000}`)
  }
  return { pages: log!, merged: checkpointed! }
}
