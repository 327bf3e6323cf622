/**
 * Counts what the whole store holds. The numbers grow with it, so they are counted beside the main thread and in pieces,
 * and others who have something to count get their turn between two of them.
 */
import { statfs } from 'node:fs/promises'
import { type CompiledQuery, sql } from 'kysely'
import { deleted, type Sql } from '../db/database.ts'
import type { Row } from '../db/schema.ts'
import type { Parts } from '../parts.ts'

/** How much a namespace has; equal content counts as often as versions hold it. */
export interface NamespaceSize {
  readonly bytes: number
  readonly versions: number
}

/** The columns of a sample, and how much each namespace has. */
export interface UsageCount extends Omit<Row<'usage_samples'>, 'span' | 'at'> {
  readonly namespaces: ReadonlyMap<string, NamespaceSize>
}

/** With more blobs than this nothing is counted in the main thread. */
const countedAtOnce = 1000
/** The first digits of UUIDs: of a large store a sixteenth is counted at a time. */
const pieces = [...'0123456789abcdef']

/** Counts. What changes meanwhile may be counted or not. Throws when `signal` aborts. */
export const countUsage = async (parts: Parts, signal: AbortSignal): Promise<UsageCount> => {
  const began = performance.now()
  const { read } = parts.db
  const isLarge = await hasManyBlobs(read)
  const ask = async <R>(query: CompiledQuery<R>): Promise<readonly R[]> =>
    isLarge ? parts.db.readAside(query) : (await read.executeQuery(query)).rows

  const [stored] = await ask(storedQuery(read))
  const namespaces = new Map<string, NamespaceSize>()
  for (const digit of isLarge ? pieces : [undefined]) {
    signal.throwIfAborted()
    for (const row of await ask(heldQuery(read, digit))) {
      const sum = namespaces.get(row.namespace) ?? { bytes: 0, versions: 0 }
      namespaces.set(row.namespace, {
        bytes: sum.bytes + Number(row.bytes),
        versions: sum.versions + Number(row.versions),
      })
    }
  }
  const { bavail, bsize } = await statfs(parts.config.dataDir)
  const held = [...namespaces.values()]
  return {
    stored_bytes: Number(stored!.stored),
    unreferenced_bytes: Number(stored!.unreferenced),
    logical_bytes: held.reduce((sum, { bytes }) => sum + bytes, 0),
    blobs: Number(stored!.blobs),
    versions: held.reduce((sum, { versions }) => sum + versions, 0),
    artifacts: Number(stored!.artifacts),
    ...(await countUploads(parts, signal)),
    free_bytes: bavail * bsize,
    count_ms: Math.ceil(performance.now() - began),
    namespaces,
  }
}

const hasManyBlobs = async (read: Sql): Promise<boolean> => {
  const row = await read
    .selectFrom('blobs')
    .select('size')
    .where('state', '<>', deleted)
    .limit(1)
    .offset(countedAtOnce)
    .executeTakeFirst()
  return row !== undefined
}

interface Stored {
  readonly stored: number
  readonly blobs: number
  readonly unreferenced: number
  readonly artifacts: number
}

/** Each of these sums reads one index. */
const storedQuery = (read: Sql): CompiledQuery<Stored> =>
  sql<Stored>`SELECT
    (SELECT coalesce(sum(size), 0) FROM blobs WHERE state <> ${deleted}) AS stored,
    (SELECT count(*) FROM blobs WHERE state <> ${deleted}) AS blobs,
    (SELECT coalesce(sum(size), 0) FROM blobs
     WHERE unreferenced_at IS NOT NULL AND state <> ${deleted}) AS unreferenced,
    (SELECT count(*) FROM artifacts WHERE state <> ${deleted}) AS artifacts`.compile(read)

interface HeldRow extends NamespaceSize {
  readonly namespace: string
}

/** CROSS JOIN tells SQLite to begin with the blobs; PostgreSQL decides for itself. */
const heldQuery = (read: Sql, digit: string | undefined): CompiledQuery<HeldRow> =>
  sql<HeldRow>`SELECT artifacts.namespace, sum(blobs.size) AS bytes, count(*) AS versions
    FROM blobs CROSS JOIN versions CROSS JOIN artifacts
    WHERE versions.blob_uuid = blobs.uuid AND versions.live = 1 AND artifacts.uuid = versions.artifact_uuid
    ${digit === undefined ? sql`` : sql`AND blobs.uuid >= ${digit} AND blobs.uuid < ${after(digit)}`}
    GROUP BY artifacts.namespace`.compile(read)

/** The next character: no UUID lies between it and the last one that begins with `digit`. */
const after = (digit: string): string => String.fromCharCode(digit.charCodeAt(0) + 1)

/** Uploads and their bytes; of those on other nodes what they last said. */
const countUploads = async (
  { db, uploadFiles }: Parts,
  signal: AbortSignal,
): Promise<{ uploads: number; upload_bytes: number }> => {
  const rows = await db.read.selectFrom('uploads').select(['uuid', 'counted_bytes']).execute()
  let bytes = 0
  for (const { uuid, counted_bytes } of rows) {
    signal.throwIfAborted()
    bytes += (await uploadFiles.status(uuid))?.size ?? counted_bytes
  }
  return { uploads: rows.length, upload_bytes: bytes }
}
