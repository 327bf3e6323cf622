/**
 * A page of a list from the places that an index has in order.
 *
 * Filters that the index serves cost nothing. Others are tried on one row after the other, and a page tries a bounded
 * number: it may then hold fewer rows than asked for, even none, while `next` says that the list goes on. What is tried
 * is only what the caller may see, so that the number of pages tells nothing of others.
 */
import { comparePlaces, cursorAfter, type Order, type Place, placeOf } from './keyset.ts'
import type { Page, PageInput } from './page.ts'

/** Rows tried with filters that no index serves: for one page, and at a time. */
const maxTried = 1000
const triedAtOnce = 250

export interface PageSource<T> {
  readonly order: Order
  /** Whether `load` leaves out what it finds. */
  readonly isFiltered: boolean
  /** The next `count` places, in order, straight from an index. */
  readPlaces(after: Place | undefined, count: number): Promise<readonly Place[]>
  /** The rows at these places by the places' ids; what has gone meanwhile, or is not wanted, is missing. */
  load(places: readonly Place[]): Promise<ReadonlyMap<Place['id'], T>>
}

/** Reads one page. */
export const readPage = async <T>(
  { order, isFiltered, readPlaces, load }: PageSource<T>,
  { limit, cursor }: PageInput,
): Promise<Page<T>> => {
  const items: T[] = []
  let after = placeOf(order, cursor)
  for (let tried = 0; ; ) {
    const count = isFiltered ? triedAtOnce : limit
    const found = await readPlaces(after, count + 1)
    const places = found.slice(0, count)
    const rows = await load(places)
    for (const [at, place] of places.entries()) {
      after = place
      const row = rows.get(place.id)
      if (row === undefined) continue
      items.push(row)
      if (items.length === limit)
        return at + 1 < found.length ? { items, next: cursorAfter(order, place) } : { items }
    }
    tried += places.length
    if (found.length <= count || after === undefined) return { items }
    if (!isFiltered || tried >= maxTried) return { items, next: cursorAfter(order, after) }
  }
}

/** Merges what several sources found, each in order; what several have is taken once. */
export const mergePlaces = (
  order: Order,
  found: readonly (readonly Place[])[],
  count: number,
): readonly Place[] => {
  if (found.length === 1) return found[0]!
  const all = found.flat().sort(comparePlaces(order))
  return all.filter((place, at) => place.id !== all[at - 1]?.id).slice(0, count)
}
