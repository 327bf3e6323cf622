/**
 * The blobs in quarantine, for the administrator.
 */
import type { QuarantineEntry } from '@holdfast/api/admin-schemas'
import type { Row } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { decodeCursor, makePage, type Page } from './page.ts'
import { quarantined, quarantineMessage } from './quarantine.ts'
import { batches } from './versions.ts'
import { requireSystem, type Sql } from './visibility.ts'

export interface QuarantineListInput {
  /** By default a thousand: after the loss of a disk there may be millions. */
  readonly limit?: number | undefined
  readonly cursor?: string | undefined
}

const listOrder = 'quarantine'
const defaultLimit = 1000

/** Blobs whose bytes are damaged or missing, and what is known of how that came. */
export const listQuarantine = async (
  parts: Parts,
  caller: Caller,
  { limit = defaultLimit, cursor }: QuarantineListInput,
): Promise<Page<QuarantineEntry>> => {
  requireSystem(caller)
  const { read } = parts.db
  const after = cursor === undefined ? undefined : decodeCursor(listOrder, cursor, ['string'])[0]
  const rows = await read
    .selectFrom('blobs')
    .selectAll()
    .where('state', '=', quarantined)
    .$if(after !== undefined, (query) => query.where('uuid', '>', after!))
    .orderBy('uuid')
    .limit(limit + 1)
    .execute()
  const page = makePage(listOrder, rows, limit, (row) => [row.uuid])
  const references = await countReferences(
    read,
    page.items.map((row) => row.uuid),
  )
  const items: QuarantineEntry[] = []
  for (const { uuid, size, sha512 } of page.items)
    items.push({
      blob_uuid: uuid,
      size,
      sha512,
      ...(await readQuarantine(read, uuid)),
      reference_count: references.get(uuid) ?? 0,
    })
  return { ...page, items }
}

/** Since when a blob is in quarantine (in seconds), and why, as the newest event of that kind tells. */
export const readQuarantine = async (
  sql: Sql,
  uuid: string,
): Promise<Pick<QuarantineEntry, 'since' | 'reason'>> => {
  const event = await sql
    .selectFrom('events')
    .select(['at', 'extra'])
    .where('object_type', '=', 'blob')
    .where('object_uuid', '=', uuid)
    .where('type', '=', 'status')
    .where('message', '=', quarantineMessage)
    .orderBy('at', 'desc')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (!event) return { since: null, reason: 'unknown: the event has been forgotten' }
  return { since: event.at / 1000, reason: (JSON.parse(event.extra) as { reason: string }).reason }
}

const countReferences = async (sql: Sql, blobUuids: readonly string[]): Promise<Map<string, number>> => {
  const counts = new Map<Row<'blobs'>['uuid'], number>()
  for (const uuids of batches(blobUuids)) {
    const rows = await sql
      .selectFrom('versions')
      .select(['blob_uuid', ({ fn }) => fn.countAll<number>().as('count')])
      .where('blob_uuid', 'in', uuids)
      .where('live', '=', 1)
      .groupBy('blob_uuid')
      .execute()
    for (const { blob_uuid, count } of rows) counts.set(blob_uuid, Number(count))
  }
  return counts
}
