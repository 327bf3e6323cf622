/**
 * The header that leads to the next page of a list.
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
