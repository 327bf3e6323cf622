/** Response headers as undici gives them: lower-case names. */
export type Headers = Readonly<Record<string, string | string[] | undefined>>

/** The first value of a header that should come once. */
export function headerOf(headers: Headers, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}

/** What identifies the remote's file, as far as the remote says. */
export interface Validators {
  /** Only a well-formed one: it is stored and sent back. */
  etag: string | null
  lastModified: string | null
  /** What to send as `If-Range` when resuming; null when nothing proves that the file is still the same. */
  ifRange: string | null
}

/**
 * Reads the validators of a response. For resuming, an ETag must be strong; a modification time must be at least a
 * second older than the answer, or the file may have changed again within that second (RFC 9110, 8.8.2.2, 13.1.5).
 */
export function readValidators(headers: Headers): Validators {
  const etagText = headerOf(headers, 'etag') ?? ''
  const etag = etagText.length <= 1024 && /^(?:W\/)?"[\x21\x23-\x7e]*"$/.test(etagText) ? etagText : null
  const lastModifiedText = headerOf(headers, 'last-modified') ?? ''
  const lastModified = isHttpDate(lastModifiedText) ? lastModifiedText : null
  if (etag?.startsWith('"')) return { etag, lastModified, ifRange: etag }
  const age = Date.parse(headerOf(headers, 'date') ?? '') - Date.parse(lastModifiedText)
  return { etag, lastModified, ifRange: lastModified !== null && age >= 1000 ? lastModified : null }
}

/** The only form of a date that senders may use (RFC 9110, 5.6.7). */
const isHttpDate = (text: string): boolean =>
  /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text) &&
  !Number.isNaN(Date.parse(text))

/** The announced length of the body in bytes, null when there is none. */
export function contentLength(headers: Headers): number | null {
  const text = headerOf(headers, 'content-length') ?? ''
  return /^\d{1,15}$/.test(text) ? Number(text) : null
}

/** `Content-Range: bytes first-last/total`; `total` is null when it is `*`. */
export function contentRange(
  headers: Headers,
): { first: number; last: number; total: number | null } | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(headerOf(headers, 'content-range') ?? '')
  if (!match) return undefined
  const [, first, last, total] = match
  return { first: Number(first), last: Number(last), total: total === '*' ? null : Number(total) }
}

/** `Retry-After` in milliseconds from now: seconds, or a date, which is measured by the remote's own clock. */
export function retryAfterMs(headers: Headers): number | undefined {
  const text = headerOf(headers, 'retry-after') ?? ''
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const ms = Date.parse(text) - Date.parse(headerOf(headers, 'date') ?? '')
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}
