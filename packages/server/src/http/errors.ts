/**
 * From errors to replies, in one place. Refusals (`HoldfastError`) are answered in the words of the error table; what
 * Fastify or Node refuse is given a code of the table; anything else is a fault of the server, which is logged with
 * its cause and never shown.
 */
import { type ErrorCode, HoldfastError, isHoldfastError } from '@holdfast/api/errors'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { endAfterDraining } from './early-reply.ts'
import { announcedLength, announcesBody, isAwaitingContinue } from './request-body.ts'
import { requestIdHeader } from './request-id.ts'

/** What requests were refused with, for those who tell of it afterwards. */
export const refusals = new WeakMap<FastifyRequest, HoldfastError>()

/** What Fastify or a plugin refused by itself, by its status. */
const codeByStatus: Readonly<Record<number, ErrorCode>> = {
  404: 'route_not_found',
  405: 'method_not_allowed',
  408: 'request_timeout',
  413: 'body_too_large',
  431: 'headers_too_large',
}

/** An unread body up to this size is read and thrown away, and the connection lives on. */
const smallRestBytes = 4 * 1024 * 1024
/** When a client should come back unless the refusal knows better, in seconds. */
const defaultRetryAfter = 5

/** The refusal that an error amounts to. */
export const toRefusal = (error: unknown): HoldfastError => {
  if (isHoldfastError(error)) return error
  const { statusCode, code } = (error ?? {}) as { statusCode?: unknown; code?: unknown }
  if (code === 'FST_ERR_BAD_URL' || code === 'FST_ERR_MAX_PARAM_LENGTH')
    return new HoldfastError('invalid_request', { message: 'the URL is not valid', cause: error })
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500)
    return new HoldfastError(codeByStatus[statusCode] ?? 'invalid_request', { cause: error })
  return new HoldfastError('internal', { cause: error })
}

/** The body of the reply to a refusal. */
export const refusalBody = (refusal: HoldfastError, requestId: string): string =>
  JSON.stringify({
    error: refusal.message,
    status: refusal.status,
    code: refusal.code,
    ...(refusal.detail ? { detail: refusal.detail } : {}),
    request_id: requestId,
  })

/** Answers a request with an error. */
export const sendError = (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
  const refusal = toRefusal(error)
  refusals.set(request, refusal)
  if (refusal.status >= 500) logFailure(refusal, request)
  if (!request.raw.socket.writable) return reply.hijack()
  if (reply.raw.headersSent) {
    // Too late for words: a connection that breaks off tells the client that the reply is not whole.
    reply.hijack().raw.destroy()
    return reply
  }
  reply.raw.setHeader(requestIdHeader, request.id)
  reply.code(refusal.status).type('application/json')
  reply.header('cache-control', 'no-store')
  // Fastify closes the connection after any bad body, also one that was read to its end.
  if (reply.hasHeader('connection')) reply.removeHeader('connection')
  if (refusal.status === 401) reply.header('www-authenticate', 'Bearer')
  // Not with a 503 that waiting does not mend, a damaged blob's for one.
  if (refusal.retryable && (refusal.status === 429 || refusal.status === 503)) {
    const seconds = Number(refusal.detail?.retry_after)
    reply.header('retry-after', String(seconds > 0 ? Math.ceil(seconds) : defaultRetryAfter))
  }
  const body = refusalBody(refusal, request.id)
  // Of a client that has fallen silent nothing more is to be expected.
  if (refusal.code === 'request_timeout') return reply.header('connection', 'close').send(body)
  return isRestSmall(request) ? reply.send(body) : endAfterDraining(request.raw, reply, body)
}

/** Whether what is left of the body is worth reading to keep the connection. */
const isRestSmall = ({ raw }: FastifyRequest): boolean =>
  raw.complete ||
  !announcesBody(raw) ||
  (!isAwaitingContinue(raw) && (announcedLength(raw) ?? Number.POSITIVE_INFINITY) <= smallRestBytes)

const logFailure = (refusal: HoldfastError, { log }: FastifyRequest): void => {
  const facts = { code: refusal.code, err: refusal.cause ?? refusal }
  if (refusal.code === 'internal') log.error(facts, 'a request failed')
  else log.warn(facts, 'a request could not be served')
}
