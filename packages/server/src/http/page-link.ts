/**
 * The headers that lead to the next page of a list: `Link`, ready to follow, and `Next-Cursor`, for those who put their
 * own query together.
 */

/**
 * The value of `Link` for the next page: the same query with another cursor. It is relative to the request's own
 * URL (RFC 8288), so it stays right behind a proxy that serves the store under a path of its own.
 */
export const nextPageLink = (
  query: Readonly<Record<string, string | number | undefined>>,
  cursor: string,
): string => {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && name !== 'cursor') parameters.set(name, String(value))
  parameters.set('cursor', cursor)
  return `<?${parameters}>; rel="next"`
}

/** A request for a page of a list. */
export interface PageCall {
  readonly query: Readonly<Record<string, string | number | undefined>>
  setHeader(name: string, value: string): void
}

/** Tells where the next page is, if there is one. */
export const tellNextPage = ({ query, setHeader }: PageCall, next: string | undefined): void => {
  if (next === undefined) return
  setHeader('link', nextPageLink(query, next))
  setHeader('next-cursor', next)
}
