/**
 * Replies of lists: one page, or the whole list as the original answers it, written page by page.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Page, PageInput } from '../domain/page.ts'
import { type PageCall, tellNextPage } from './page-link.ts'

/** The rows of a whole list, some at a time, read as they are asked for. */
export class WholeList<T> {
  readonly parts: AsyncGenerator<readonly T[], void>

  constructor(parts: AsyncGenerator<readonly T[], void>) {
    this.parts = parts
  }
}

/** Rows per step when the whole list is asked for: reads block the event loop. */
const rowsPerStep = 100

/** Answers a list from its pages: with `limit` one of them, without it all that follow `cursor`. */
export const listReply = async <T>(
  call: PageCall & { readonly query: { readonly limit?: number; readonly cursor?: string } },
  read: (page: PageInput) => Promise<Page<T>>,
): Promise<T[] | WholeList<T>> => {
  const { limit, cursor } = call.query
  if (limit === undefined) return new WholeList(allPages(read, cursor))
  return pageReply(call, await read({ limit, cursor }))
}

/** Answers one page, and tells where the next one is. */
export const pageReply = <T>(call: PageCall, { items, next }: Page<T>): T[] => {
  tellNextPage(call, next)
  return [...items]
}

async function* allPages<T>(
  read: (page: PageInput) => Promise<Page<T>>,
  cursor: string | undefined,
): AsyncGenerator<readonly T[], void> {
  for (let at = cursor; ; ) {
    const { items, next } = await read({ limit: rowsPerStep, cursor: at })
    if (items.length > 0) yield items
    if (next === undefined) return
    at = next
    // Others get their turn between two pages.
    await nextTurn()
  }
}
