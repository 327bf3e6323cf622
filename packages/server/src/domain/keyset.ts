/**
 * The order of a list as an index has it, and the pieces of that index which a page reads: by values, never by counting
 * rows, so that a page costs the same wherever it lies and rows that come and go meanwhile shift nothing.
 */
import { type Expression, expressionBuilder, type SelectQueryBuilder, type SqlBool, sql } from 'kysely'
import type { Schema } from '../db/schema.ts'
import { decodeCursor, encodeCursor } from './page.ts'

/** Where a row stands in its list: its sort key, and what decides between equal ones. */
export interface Place {
  readonly key: string | number
  readonly id: string | number
}

/** By which column, and with `-` from its end. */
export type SortBy<Column extends string> = Column | `-${Column}`

export interface Order<Column extends string = string> {
  /** As cursors name it. */
  readonly name: string
  readonly column: Column
  readonly isDescending: boolean
  readonly direction: 'asc' | 'desc'
  /** Which kinds of values keys and ids are. */
  readonly kinds: readonly ['string' | 'number', 'string' | 'number']
}

/** The order that `sort` asks for in the list `list`. Text is `name` only; all other columns are numbers. */
export const orderOf = <Column extends string>(
  list: string,
  sort: SortBy<Column>,
  id: 'string' | 'number',
): Order<Column> => {
  const isDescending = sort.startsWith('-')
  const column = (isDescending ? sort.slice(1) : sort) as Column
  return {
    name: `${list} ${sort}`,
    column,
    isDescending,
    direction: isDescending ? 'desc' : 'asc',
    kinds: [column === 'name' ? 'string' : 'number', id],
  }
}

/** The place that a cursor of this order names; throws `cursor_invalid`. */
export const placeOf = (order: Order, cursor: string | undefined): Place | undefined => {
  if (cursor === undefined) return undefined
  const [key, id] = decodeCursor(order.name, cursor, order.kinds)
  return { key, id }
}

/** The cursor of what comes after a place. */
export const cursorAfter = (order: Order, { key, id }: Place): string => encodeCursor(order.name, [key, id])

/** Sort keys from `least` up to, and without, `end`. */
export interface KeyRange {
  readonly least?: string | number | undefined
  readonly end?: string | undefined
}

/** Whole milliseconds after a time, which may have a fraction. */
export const laterThan = (millis: number | undefined): KeyRange =>
  millis === undefined ? {} : { least: Math.floor(millis) + 1 }

/** The database's order: text by its UTF-8 bytes, not by UTF-16 units. */
const compare = (a: string | number, b: string | number): number =>
  typeof a === 'string' && typeof b === 'string'
    ? Buffer.compare(Buffer.from(a), Buffer.from(b))
    : Number(a) - Number(b)

/** The order of places in a list. */
export const comparePlaces =
  ({ isDescending }: Order) =>
  (a: Place, b: Place): number =>
    (isDescending ? -1 : 1) * (compare(a.key, b.key) || compare(a.id, b.id))

/**
 * The condition for what lies after a place and within a range. Each end has one bound, the narrower: of two a database
 * may take the wider to begin with, and read its way to the other.
 */
export const within = (
  { isDescending }: Order,
  columns: { readonly key: string; readonly id: string },
  after: Place | undefined,
  { least, end }: KeyRange,
): Expression<SqlBool> => {
  const eb = expressionBuilder<Schema, never>()
  const key = sql.ref<string | number>(columns.key)
  const place = sql`(${key}, ${sql.ref(columns.id)})`
  const bounds: Expression<SqlBool>[] = []
  if (after && !isDescending && (least === undefined || compare(after.key, least) >= 0))
    bounds.push(sql<boolean>`${place} > (${after.key}, ${after.id})`)
  else if (least !== undefined) bounds.push(sql<boolean>`${key} >= ${least}`)
  if (after && isDescending && (end === undefined || compare(after.key, end) < 0))
    bounds.push(sql<boolean>`${place} < (${after.key}, ${after.id})`)
  else if (end !== undefined) bounds.push(sql<boolean>`${key} < ${end}`)
  return eb.and(bounds)
}

/** What questions for places have in common: the first `count` of them in order. */
export const placesFrom = async <Table extends keyof Schema>(
  query: SelectQueryBuilder<Schema, Table, { id: string | number; place: string | number }>,
  { direction }: Order,
  count: number,
): Promise<readonly Place[]> => {
  const rows = await query
    .orderBy(sql.ref('place'), direction)
    .orderBy(sql.ref('id'), direction)
    .limit(count)
    .execute()
  return rows.map(({ id, place }) => ({ id, key: place }))
}

/** Texts that begin so. */
export const prefixRange = (prefix: string): KeyRange => ({ least: prefix, end: afterPrefix(prefix) })

/** The least text greater than all that begin with `prefix`; undefined when there is none. */
const afterPrefix = (prefix: string): string | undefined => {
  const points = [...prefix].map((character) => character.codePointAt(0)!)
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    if (last === 0x10ffff) continue
    // The surrogates between are no characters.
    const next = last === 0xd7ff ? 0xe000 : last + 1
    return String.fromCodePoint(...points, next)
  }
  return undefined
}
