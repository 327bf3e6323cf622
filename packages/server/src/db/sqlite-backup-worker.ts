/**
 * Copies a database in a thread that lives for this one task. `VACUUM INTO` reads one consistent state while others
 * write; SQLite's page-by-page backup would begin anew whenever somebody writes, and might never end.
 */
import { closeSync, fsyncSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { workerData } from 'node:worker_threads'

const { from, to } = workerData as { from: string; to: string }

// Made here, so that an existing file is refused and nobody but the owner can read the copy.
closeSync(openSync(to, 'wx', 0o600))
const db = new DatabaseSync(from, { readOnly: true })
db.prepare('VACUUM INTO ?').run(to)
db.close()
for (const path of [to, dirname(to)]) {
  const descriptor = openSync(path, 'r')
  fsyncSync(descriptor)
  closeSync(descriptor)
}
