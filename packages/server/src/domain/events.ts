/**
 * The history of objects. Events are written in the transaction of the change they tell of, so that there is never
 * one without the other. They name keys, never hold them: no secret may enter `message` or `extra`.
 */
import type { EventView } from '@holdfast/api/schemas'
import { sql as raw } from 'kysely'
import type { Sql } from '../db/database.ts'
import type { EventObjectType, EventType, Row } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import {
  type KeyRange,
  laterThan,
  type Order,
  orderOf,
  type Place,
  placesFrom,
  type SortBy,
  within,
} from './keyset.ts'
import type { Page, PageInput } from './page.ts'
import { mergePlaces, readPage } from './read-page.ts'
import { findArtifact, findBlob, type Reach, reachOf } from './visibility.ts'

const eventTypes: readonly EventType[] = [
  'audit',
  'mutate',
  'status',
  'usage',
  'resources',
  'prune',
  'historic',
]

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
export interface EventSelection extends PageInput {
  /** Only events of this type; one that does not exist has no events. */
  readonly type?: string | undefined
  /** By default newest first. */
  readonly sort?: SortBy<'timestamp'> | undefined
  /** Milliseconds. */
  readonly createdAfter?: number | undefined
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

/** The history of an artifact that the caller may read. */
export const listArtifactEvents = async (
  parts: Parts,
  caller: Caller,
  ref: string,
  selection: EventSelection,
): Promise<Page<EventView>> => {
  const { uuid } = await findArtifact(parts.db.read, caller, ref, 'read')
  return listEvents(parts.db.read, { ...selection, objectType: 'artifact', objectUuid: uuid })
}

/** What namespaces within the caller's reach did with a blob that it may see. */
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

/** The history of one object. Checks no rights beyond the filter's reach. */
export const listEvents = async (sql: Sql, filter: EventFilter): Promise<Page<EventView>> => {
  const order = orderOf('events', filter.sort ?? '-timestamp', 'number')
  const sources = await sourcesOf(sql, filter)
  const page = await readPage<EventView>(
    {
      order,
      isFiltered: false,
      async readPlaces(after, count) {
        const found: (readonly Place[])[] = []
        for (const source of sources) found.push(await placesIn(sql, filter, source, order, after, count))
        return mergePlaces(order, found, count)
      },
      async load(places) {
        if (places.length === 0) return new Map()
        const ids = places.map(({ id }) => Number(id))
        const rows = await sql.selectFrom('events').selectAll().where('id', 'in', ids).execute()
        return new Map(rows.map((row) => [row.id, eventView(row)]))
      },
    },
    filter,
  )
  return page
}

/** A part of a history that an index has in order: all of it, or what one namespace did. */
interface Source {
  readonly namespace?: string
  readonly range: KeyRange
}

const sourcesOf = async (sql: Sql, { reach, createdAfter }: EventFilter): Promise<Source[]> => {
  const range = laterThan(createdAfter)
  if (reach === undefined || reach === 'all') return [{ range }]
  const rows = await sql
    .selectFrom('namespaces')
    .select(['name', 'created_at'])
    .where('name', 'in', reach)
    .execute()
  // A name may have had an earlier life (see namespaces.ts); what was done then is not the new owner's to see.
  return rows.map((row) => ({
    namespace: row.name,
    range: { least: Math.max(row.created_at, Number(range.least ?? 0)) },
  }))
}

/** Each type is a piece of the index in order; the database merges them as it reads. */
const placesIn = async (
  sql: Sql,
  { objectType, objectUuid, type }: EventFilter,
  { namespace, range }: Source,
  order: Order,
  after: Place | undefined,
  count: number,
): Promise<readonly Place[]> => {
  const types = type === undefined ? eventTypes : eventTypes.filter((one) => one === type)
  const [first, ...others] = types.map((one) =>
    sql
      .selectFrom('events')
      .select(['id as id', 'at as place'])
      .where('object_type', '=', raw.lit(objectType))
      .where('object_uuid', '=', objectUuid)
      .where('type', '=', raw.lit(one))
      .$if(namespace !== undefined, (query) => query.where('namespace', '=', namespace!))
      .where(within(order, { key: 'at', id: 'id' }, after, range)),
  )
  if (first === undefined) return []
  return placesFrom(
    others.reduce((query, other) => query.unionAll(other), first),
    order,
    count,
  )
}

const eventView = (row: Row<'events'>): EventView => ({
  type: row.type,
  timestamp: row.at / 1000,
  fqdn: row.node,
  duration: row.duration,
  message: row.message,
  extra: JSON.parse(row.extra),
})
