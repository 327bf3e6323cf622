/**
 * The database of a backup, for looking into. It is opened as something that nobody changes, so that nothing is ever
 * written beside it: a backup may lie on a medium that cannot be written.
 */

import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'

/** What a backup needs to know of a blob. */
export interface CopiedBlob {
  readonly uuid: string
  readonly size: number
  readonly sha512: string
  readonly state: 'created' | 'quarantined'
  readonly healed_at: number | null
}

export interface CopiedDatabase {
  /** Blobs that are not deleted, and their bytes. */
  totals(): Promise<{ blobs: number; bytes: number }>
  /** The next of them after a UUID, in their order. */
  blobsAfter(uuid: string, limit: number): CopiedBlob[]
  /** Whether the blob is there and not deleted. */
  has(uuid: string): boolean
  /** What SQLite finds wrong with the file; empty when nothing is. Reads all of it. */
  faults(): string[]
  close(): void
}

export const openCopiedDatabase = (path: string): CopiedDatabase => {
  const url = pathToFileURL(path)
  url.searchParams.set('immutable', '1')
  const db = new DatabaseSync(url, { readOnly: true })
  const totals = db.prepare(
    `SELECT count(*) AS blobs, coalesce(sum(size), 0) AS bytes, max(uuid) AS last FROM
     (SELECT uuid, size FROM blobs WHERE uuid > ? AND state <> 'deleted' ORDER BY uuid LIMIT 5000)`,
  )
  const after = db.prepare(
    `SELECT uuid, size, sha512, state, healed_at FROM blobs
     WHERE uuid > ? AND state <> 'deleted' ORDER BY uuid LIMIT ?`,
  )
  const one = db.prepare("SELECT 1 FROM blobs WHERE uuid = ? AND state <> 'deleted'")
  return {
    async totals() {
      const sum = { blobs: 0, bytes: 0 }
      for (let last: string | null = ''; last !== null; ) {
        const page = totals.get(last) as { blobs: number; bytes: number; last: string | null }
        sum.blobs += page.blobs
        sum.bytes += page.bytes
        last = page.last
        // A running server has other things to do between two pages.
        await new Promise(setImmediate)
      }
      return sum
    },
    blobsAfter: (uuid, limit) => after.all(uuid, limit) as unknown as CopiedBlob[],
    has: (uuid) => one.get(uuid) !== undefined,
    faults: () => {
      const broken = db.prepare('PRAGMA foreign_key_check').all()
      return [
        ...db
          .prepare('PRAGMA quick_check(20)')
          .all()
          .map((row) => String(Object.values(row)[0]))
          .filter((text) => text !== 'ok'),
        ...broken.slice(0, 20).map((row) => `a row of ${row.table} refers to a missing one of ${row.parent}`),
      ]
    },
    close: () => db.close(),
  }
}
