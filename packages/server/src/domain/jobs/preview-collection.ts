/**
 * What collection would do, without doing it: the blobs that nothing refers to, and why each goes or stays for now.
 */
import type { CollectionView } from '@holdfast/api/admin-schemas'
import { deleted } from '../../db/database.ts'
import type { Row } from '../../db/schema.ts'
import type { Caller, Parts } from '../../parts.ts'
import { decodeCursor, makePage } from '../page.ts'
import { sumBlobs } from '../sum-blobs.ts'
import { requireSystem } from '../visibility.ts'
import { isDue, isReferenced } from './collect-blobs.ts'

export interface PreviewInput {
  /** By default a thousand. */
  readonly limit?: number | undefined
  readonly cursor?: string | undefined
}

const defaultLimit = 1000
const listOrder = 'collection'

type BlobRow = Row<'blobs'>
type Orphan = CollectionView['blobs'][number]

/** For `system`. `next` is the cursor of the next page of blobs. */
export const previewCollection = async (
  parts: Parts,
  caller: Caller,
  { limit = defaultLimit, cursor }: PreviewInput,
): Promise<{ readonly view: CollectionView; readonly next?: string }> => {
  requireSystem(caller)
  const after = cursor === undefined ? undefined : decodeCursor(listOrder, cursor, ['number', 'string'])
  const rows = await readOrphans(parts, after, limit + 1)
  const page = makePage(listOrder, rows, limit, (row) => [row.unreferenced_at!, row.uuid])
  const leases = await readLeases(
    parts,
    page.items.map((row) => row.uuid),
  )
  const view = {
    grace: parts.config.collectGrace,
    due: await sumBlobs(parts, isDue(parts), 'unreferenced_at'),
    leftover_files: await countLeftovers(parts),
    blobs: page.items.map((row) => explainOrphan(parts, row, leases.get(row.uuid))),
  }
  return page.next === undefined ? { view } : { view, next: page.next }
}

/** Blobs without references, the one longest unreferenced first. */
const readOrphans = (
  parts: Parts,
  after: readonly [number, string] | undefined,
  limit: number,
): Promise<BlobRow[]> =>
  parts.db.read
    .selectFrom('blobs')
    .selectAll()
    .where('state', '<>', deleted)
    .where('unreferenced_at', 'is not', null)
    .where((eb) => eb.not(isReferenced(eb)))
    .$if(after !== undefined, (query) =>
      query.where(({ eb, refTuple, tuple }) =>
        eb(refTuple('unreferenced_at', 'uuid'), '>', tuple(after![0], after![1])),
      ),
    )
    .orderBy('unreferenced_at')
    .orderBy('uuid')
    .limit(limit)
    .execute()

/** The longest lease of each of these blobs that has not expired. */
const readLeases = async (
  parts: Parts,
  uuids: readonly string[],
): Promise<Map<string, Pick<Row<'leases'>, 'namespace' | 'expires_at'>>> => {
  if (uuids.length === 0) return new Map()
  const rows = await parts.db.read
    .selectFrom('leases')
    .selectAll()
    .where('blob_uuid', 'in', uuids)
    .where('expires_at', '>', parts.clock.now())
    .orderBy('expires_at')
    .execute()
  return new Map(rows.map((row) => [row.blob_uuid, row]))
}

const explainOrphan = (
  { clock, config }: Parts,
  row: BlobRow,
  lease: Pick<Row<'leases'>, 'namespace' | 'expires_at'> | undefined,
): Orphan => {
  const since = row.unreferenced_at!
  const graceEnd = since + config.collectGrace * 1000
  const collectableAt = Math.max(graceEnd, lease?.expires_at ?? 0)
  const isBlobDue = collectableAt <= clock.now()
  const reason = isBlobDue
    ? `no version and no lease, unreferenced since ${iso(since)}`
    : lease && lease.expires_at > graceEnd
      ? `stays until ${iso(lease.expires_at)}: leased to ${lease.namespace}`
      : `stays until ${iso(graceEnd)}: in its grace period`
  return {
    uuid: row.uuid,
    size: row.size,
    state: row.state,
    unreferenced_at: since / 1000,
    collectable_at: collectableAt / 1000,
    is_due: isBlobDue,
    reason,
  }
}

const iso = (millis: number): string => new Date(millis).toISOString()

const countLeftovers = async (parts: Parts): Promise<number> => {
  const { count } = await parts.db.read
    .selectFrom('blobs')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('state', '=', deleted)
    .where('files_removed_at', 'is', null)
    .executeTakeFirstOrThrow()
  return Number(count)
}
