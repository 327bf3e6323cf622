/**
 * What can go wrong, as classes that programs can tell apart.
 *
 * - `HoldfastError` (of the contract; here always a `RefusedError`): the server answered with a code of the error table.
 * - `UnexpectedReplyError`: the server, or something in front of it, answered with a status that the table does not know.
 * - `NetworkError`, and `TimeoutError` as one kind of it: no answer came.
 * - `VerificationError`: bytes arrived, but not the right ones.
 * - `SourceChangedError`, `NotRepeatableError`: an upload cannot go on because of what it reads from.
 *
 * An aborted call rejects with the reason of its `AbortSignal`, as `fetch` does.
 */
import { type ErrorCode, errorTable, HoldfastError, isErrorCode, isHoldfastError } from '@holdfast/api/errors'
import type { RouteName } from '@holdfast/api/paths'

export { type ErrorCode, HoldfastError, isHoldfastError }

/** A refusal by the server, with the request it belongs to. */
export class RefusedError extends HoldfastError {
  readonly requestId: string
  readonly retryAfterMs: number | undefined

  constructor(
    code: ErrorCode,
    facts: {
      message: string
      detail?: Readonly<Record<string, unknown>>
      requestId: string
      retryAfterMs?: number
    },
  ) {
    super(code, facts)
    this.requestId = facts.requestId
    this.retryAfterMs = facts.retryAfterMs
  }
}

/** An answer that is neither a success nor a refusal of the error table. */
export class UnexpectedReplyError extends Error {
  override readonly name = 'UnexpectedReplyError'
  readonly status: number
  readonly requestId: string
  readonly retryAfterMs: number | undefined

  constructor(status: number, message: string, facts: { requestId: string; retryAfterMs?: number }) {
    super(message)
    this.status = status
    this.requestId = facts.requestId
    this.retryAfterMs = facts.retryAfterMs
  }
}

/** The request did not reach the server, or its reply did not come back whole. */
export class NetworkError extends Error {
  override readonly name: string = 'NetworkError'
  readonly requestId: string | undefined

  constructor(message: string, options: { cause?: unknown; requestId?: string } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.requestId = options.requestId
  }
}

/** Nothing moved for too long. */
export class TimeoutError extends NetworkError {
  override readonly name = 'TimeoutError'
}

/** The bytes are not those that the digest promises. Nothing wrong was left behind under the final name. */
export class VerificationError extends Error {
  override readonly name = 'VerificationError'
  readonly expected: string
  readonly actual: string

  constructor(message: string, expected: string, actual: string) {
    super(message)
    this.expected = expected
    this.actual = actual
  }
}

/** The file was written to while it was being uploaded. */
export class SourceChangedError extends Error {
  override readonly name = 'SourceChangedError'
}

/** The server needs bytes again which the source, a stream, gives only once. */
export class NotRepeatableError extends Error {
  override readonly name = 'NotRepeatableError'
}

/** Statuses after which the same request may succeed although nobody changed anything. */
const passingStatuses = new Set([408, 425, 429, 500, 502, 503, 504])
/** Refusals that are certain to come before the server did anything. */
const refusedUntouched = new Set<ErrorCode>([
  'body_incomplete',
  'request_timeout',
  'too_many_requests',
  'too_many_attempts',
  'upload_busy',
  'unavailable',
])

/** Whether the same request may succeed later without anybody changing anything. */
export const isPassing = (error: unknown): boolean =>
  error instanceof NetworkError ||
  (error instanceof HoldfastError && error.retryable) ||
  (error instanceof UnexpectedReplyError && passingStatuses.has(error.status))

/** What Node calls it when no connection came about. */
const neverConnected = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'])

/** Whether the server certainly did nothing, so that even a request that must not run twice may be sent again. */
export const isUntouched = (error: unknown): boolean =>
  (error instanceof NetworkError &&
    neverConnected.has(String((error.cause as { code?: unknown } | undefined)?.code))) ||
  (error instanceof HoldfastError && refusedUntouched.has(error.code)) ||
  (error instanceof UnexpectedReplyError && (error.status === 429 || error.status === 425))

/** How long the server asked to wait, if it did. */
export const retryAfterOf = (error: unknown): number | undefined =>
  error instanceof RefusedError || error instanceof UnexpectedReplyError ? error.retryAfterMs : undefined

/** `Retry-After` in milliseconds: a number of seconds or a date. */
export const parseRetryAfter = (value: string | null, now = Date.now()): number | undefined => {
  if (value === null || value.trim() === '') return undefined
  const seconds = Number(value)
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - now
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined
}

/** What a refusal looked like on the wire. */
export interface RefusalFacts {
  readonly route: RouteName
  readonly status: number
  readonly text: string
  readonly requestId: string
  readonly retryAfter: string | null
}

const parseObject = (text: string): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** The table's code for a reply of the original server, which sends messages but no codes. */
const codeOfMessage = (route: RouteName, status: number, message: string): ErrorCode | undefined => {
  if (status === 401 && message === 'unauthorized') {
    return route === 'authenticate' ? 'wrong_key' : 'system_only'
  }
  if (message.startsWith(errorTable.artifact_ambiguous.message)) return 'artifact_ambiguous'
  return (Object.keys(errorTable) as ErrorCode[]).find(
    (code) => errorTable[code].status === status && errorTable[code].message === message,
  )
}

/** The error for a reply that is not a success. */
export const errorOfReply = (facts: RefusalFacts): RefusedError | UnexpectedReplyError => {
  const body = parseObject(facts.text)
  const message = typeof body.error === 'string' ? body.error : `the server answered ${facts.status}`
  const code = isErrorCode(body.code) ? body.code : codeOfMessage(facts.route, facts.status, message)
  const retryAfterMs = parseRetryAfter(facts.retryAfter)
  const about = { requestId: facts.requestId, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
  if (code === undefined) return new UnexpectedReplyError(facts.status, message, about)
  const detail = body.detail
  return new RefusedError(code, {
    ...about,
    message,
    ...(typeof detail === 'object' && detail !== null ? { detail: detail as Record<string, unknown> } : {}),
  })
}
