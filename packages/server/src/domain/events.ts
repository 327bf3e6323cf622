/**
 * The history of objects. Events are written in the transaction of the change they tell of, so that there is never
 * one without the other. They name keys, never hold them: no secret may enter `message` or `extra`.
 */
import type { EventView } from '@holdfast/api/schemas'
import type { Sql } from '../db/database.ts'
import type { EventObjectType, EventType, Row } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { decodeCursor, makePage, type Page } from './page.ts'
import { findArtifact, findBlob, type Reach, reachOf, withinReach } from './visibility.ts'

/** What happened. */
export interface NewEvent {
  readonly objectType: EventObjectType
  /** The object's UUID; for a namespace its name. */
  readonly objectUuid: string
  /** Whose doing it was; '' for the server's own jobs. Of a blob's events others see only those they have a right to. */
  readonly namespace: string
  readonly type: EventType
  readonly message: string
  /** Whose request it was; its id goes into `extra`. */
  readonly caller?: Caller | undefined
  /** Seconds. */
  readonly duration?: number | undefined
  readonly extra?: Readonly<Record<string, unknown>> | undefined
}

/** Adds one event, at the clock's time, to the history of an object. */
export const recordEvent = (trx: Sql, parts: Parts, event: NewEvent): Promise<void> =>
  recordEvents(trx, parts, [event])

/** SQL statements hold a bounded number of values; a row here has nine. */
const rowsPerInsert = 500

/** Adds many events with few statements. */
export const recordEvents = async (
  trx: Sql,
  parts: Pick<Parts, 'clock' | 'config'>,
  events: readonly NewEvent[],
): Promise<void> => {
  const at = parts.clock.now()
  const rows = events.map((event) => ({
    object_type: event.objectType,
    object_uuid: event.objectUuid,
    namespace: event.namespace,
    type: event.type,
    at,
    node: parts.config.nodeName,
    duration: event.duration ?? null,
    message: event.message,
    extra: JSON.stringify({
      ...event.extra,
      ...(event.caller && { 'request-id': event.caller.requestId }),
    }),
  }))
  for (let start = 0; start < rows.length; start += rowsPerInsert)
    await trx
      .insertInto('events')
      .values(rows.slice(start, start + rowsPerInsert))
      .execute()
}

/** Which part of a history to list. */
export interface EventSelection {
  /** Only events of this type; one that does not exist has no events. */
  readonly type?: string | undefined
  readonly limit: number
  readonly cursor?: string | undefined
}

/** Whose history. */
export interface EventFilter extends EventSelection {
  readonly objectType: EventObjectType
  readonly objectUuid: string
  /**
   * Only events of these namespaces, and only of their present life. For blobs, whose bytes and history several
   * tenants share without knowing of each other; absent where whoever sees the object may see its whole history.
   */
  readonly reach?: Reach | undefined
}

/** The history of an artifact that the caller may read, newest first. */
export const listArtifactEvents = async (
  parts: Parts,
  caller: Caller,
  ref: string,
  selection: EventSelection,
): Promise<Page<EventView>> => {
  const { uuid } = await findArtifact(parts.db.read, caller, ref, 'read')
  return listEvents(parts.db.read, { ...selection, objectType: 'artifact', objectUuid: uuid })
}

/** What namespaces within the caller's reach did with a blob that it may see, newest first. */
export const listBlobEvents = async (
  parts: Parts,
  caller: Caller,
  blobUuid: string,
  selection: EventSelection,
): Promise<Page<EventView>> => {
  const { uuid } = await findBlob(parts.db.read, caller, blobUuid, parts.clock.now())
  const reach = await reachOf(parts.db.read, caller)
  return listEvents(parts.db.read, { ...selection, objectType: 'blob', objectUuid: uuid, reach })
}

/** The history of one object, newest first. Checks no rights beyond the filter's reach. */
export const listEvents = async (sql: Sql, filter: EventFilter): Promise<Page<EventView>> => {
  let query = sql
    .selectFrom('events')
    .selectAll()
    .where('object_type', '=', filter.objectType)
    .where('object_uuid', '=', filter.objectUuid)
    .orderBy('id', 'desc')
    .limit(filter.limit + 1)
  if (filter.type !== undefined) query = query.where('type', '=', filter.type as EventType)
  if (filter.cursor !== undefined)
    query = query.where('id', '<', decodeCursor('events', filter.cursor, ['number'])[0])
  const { reach } = filter
  if (reach !== undefined && reach !== 'all')
    query = query.where((eb) =>
      eb.and([
        withinReach(reach)(eb.ref('events.namespace')),
        // A name may have had an earlier life (see namespaces.ts); what was done then is not the new owner's to see.
        eb.exists(
          eb
            .selectFrom('namespaces')
            .select('namespaces.name')
            .whereRef('namespaces.name', '=', 'events.namespace')
            .whereRef('namespaces.created_at', '<=', 'events.at'),
        ),
      ]),
    )
  const page = makePage('events', await query.execute(), filter.limit, (row) => [row.id])
  return { ...page, items: page.items.map(eventView) }
}

const eventView = (row: Row<'events'>): EventView => ({
  type: row.type,
  timestamp: row.at / 1000,
  fqdn: row.node,
  duration: row.duration,
  message: row.message,
  extra: JSON.parse(row.extra),
})
