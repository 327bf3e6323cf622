/**
 * Positions in paged lists. A cursor is opaque to clients: where the page before ended, by the sort keys of its last
 * row, so that a page costs the same wherever it lies and rows that come and go meanwhile shift nothing.
 */
import { HoldfastError } from '@holdfast/api/errors'

/** Which page of a list. */
export interface PageInput {
  /** Rows the page has at most. */
  readonly limit: number
  readonly cursor?: string | undefined
}

/**
 * Some rows of a list. `next` is the cursor of the following page, absent on the last one: a page with it may hold fewer
 * rows than it could, even none.
 */
export interface Page<T> {
  readonly items: readonly T[]
  readonly next?: string
}

type Kind = 'string' | 'number'
type Position<K extends readonly Kind[]> = {
  -readonly [I in keyof K]: K[I] extends 'number' ? number : string
}

/** Makes a cursor. `order` names the list and its sorting: a cursor is good only for the one it came from. */
export const encodeCursor = (order: string, position: readonly (string | number)[]): string =>
  Buffer.from(JSON.stringify([order, ...position])).toString('base64url')

/**
 * Reads a cursor that came from a client; throws `cursor_invalid` unless it belongs to `order` and has its `kinds`.
 * A made-up one that passes is a position like any other: it says where to begin, never what may be seen.
 */
export const decodeCursor = <const K extends readonly Kind[]>(
  order: string,
  cursor: string,
  kinds: K,
): Position<K> => {
  let decoded: unknown
  try {
    decoded = JSON.parse(Buffer.from(cursor, 'base64url').toString())
  } catch {
    throw new HoldfastError('cursor_invalid')
  }
  if (!Array.isArray(decoded) || decoded.length !== kinds.length + 1 || decoded[0] !== order)
    throw new HoldfastError('cursor_invalid')
  const position = decoded.slice(1)
  if (!position.every((value, index) => typeof value === kinds[index] && isStorable(value)))
    throw new HoldfastError('cursor_invalid')
  return position as Position<K>
}

/** Whether a database can compare it with a column: PostgreSQL refuses fractions, NUL, and halves of characters. */
const isStorable = (value: string | number): boolean =>
  typeof value === 'number' ? Number.isSafeInteger(value) : value.isWellFormed() && !value.includes('\0')

/**
 * Makes a page of the rows of a query that asked for one row more than `limit`: that row only tells that there is
 * another page. `position` gives a row's sort keys.
 */
export const makePage = <T>(
  order: string,
  rows: readonly T[],
  limit: number,
  position: (row: T) => readonly (string | number)[],
): Page<T> => {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return rows.length > limit && last !== undefined
    ? { items, next: encodeCursor(order, position(last)) }
    : { items }
}
