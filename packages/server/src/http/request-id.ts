/**
 * The name of a request: the client's own, or a fresh one. It is on every reply, in every log line and in events, so
 * it must be short and printable whatever the client sends.
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

const acceptable = /^[\x21-\x7e]{1,128}$/

export const requestIdHeader = 'x-request-id'

/** The request's own `X-Request-ID` if it is one, otherwise a fresh UUID. */
export const requestIdOf = (raw: Pick<IncomingMessage, 'headers'>): string => {
  const given = raw.headers[requestIdHeader]
  return typeof given === 'string' && acceptable.test(given) ? given : randomUUID()
}
