/** Stores with very many artifacts, made without requests: their rows go straight into the SQLite file. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export interface Filled {
  readonly names: readonly string[]
  /** SHA-512 of a blob in the middle. */
  readonly sha512: string
}

/** Rows in one transaction. */
const batch = 50_000

const nameOf = (i: number): string => `artifact-${String(i).padStart(8, '0')}`

/**
 * Adds `count` artifacts of the namespace `system`, each with one version and a blob of its own, to a store that has
 * been started once and is at rest. Their files do not exist; nothing here reads them. Every hundredth artifact is an image.
 */
export const fillStore = (dataDir: string, count: number): Filled => {
  const db = new DatabaseSync(join(dataDir, 'holdfast.db'))
  db.exec('PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -200000')
  // Built at the end, from sorted rows, they cost less than half of what they cost row by row
  const indexes = db
    .prepare(`SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL`)
    .all()
  for (const { name } of indexes) db.exec(`DROP INDEX ${name}`)
  const blob = db.prepare(
    `INSERT INTO blobs (uuid, state, size, sha512, sha256, sha1, xxh128, created_at, info, node, verified_at)
     VALUES (?, 'created', 1048576, ?, ?, ?, ?, ?, '{}', 'node-1', ?)`,
  )
  const sums = db.prepare('INSERT INTO blob_blocks (blob_uuid, block_size, sums) VALUES (?, 1048576, ?)')
  const artifact = db.prepare(
    `INSERT INTO artifacts (uuid, namespace, name, type, source_url, state, shared, max_versions, next_index, created_at)
     VALUES (?, 'system', ?, ?, ?, 'created', 0, 3, 2, ?)`,
  )
  const version = db.prepare(
    'INSERT INTO versions (artifact_uuid, idx, blob_uuid, live, created_at) VALUES (?, 1, ?, 1, ?)',
  )
  const now = Date.now()
  let middle = ''
  for (let start = 0; start < count; start += batch) {
    db.exec('BEGIN')
    for (let i = start; i < Math.min(count, start + batch); i++) {
      const bytes = randomBytes(32 + 64)
      const [blobUuid, artifactUuid] = [uuidOf(bytes, 0), uuidOf(bytes, 16)]
      const sha512 = bytes.toString('hex', 32)
      const at = now - (count - i)
      if (i === count >> 1) middle = sha512
      blob.run(blobUuid, sha512, sha512.slice(0, 64), sha512.slice(0, 40), sha512.slice(0, 32), at, now)
      sums.run(blobUuid, bytes.subarray(0, 4))
      const name = nameOf(i)
      artifact.run(artifactUuid, name, i % 10 === 0 ? 'image' : 'other', `sf://upload/system/${name}`, at)
      version.run(artifactUuid, blobUuid, at)
    }
    db.exec('COMMIT')
  }
  for (const { sql } of indexes) db.exec(String(sql))
  db.exec('PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)')
  db.close()
  return { names: [nameOf(0), nameOf(count >> 1), nameOf(count - 1)], sha512: middle }
}

/** 16 bytes as a UUID of version 4. */
const uuidOf = (bytes: Buffer, at: number): string => {
  const id = Buffer.from(bytes.subarray(at, at + 16))
  id[6] = (id[6]! & 0x0f) | 0x40
  id[8] = (id[8]! & 0x3f) | 0x80
  return id.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
