/**
 * What Node's HTTP parser refuses before there is a request: answered in JSON like everything else.
 */

import type { ServerResponse } from 'node:http'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { type ErrorCode, HoldfastError } from '@holdfast/api/errors'
import type { FastifyBaseLogger } from 'fastify'
import { refusalBody } from './errors.ts'
import { requestIdHeader, requestIdOf } from './request-id.ts'

const codes: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_INVALID_EOF_STATE: 'body_incomplete',
}

/** Node keeps the reply in progress on the socket, and offers no other way to it. */
const replyOn = (socket: Socket): ServerResponse | undefined =>
  (socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined

/** Answers what could not be parsed, and closes the connection: where the next request begins is unknown. */
export const answerClientError =
  (log: FastifyBaseLogger) =>
  (error: NodeJS.ErrnoException, socket: Socket): void => {
    if (/^ERR_(SSL|TLS)_/.test(error.code ?? '')) {
      log.info({ code: error.code, address: socket.remoteAddress }, 'a TLS handshake failed')
      return void socket.destroy()
    }
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
    const current = replyOn(socket)
    if (current?.req.complete && !current.writableFinished) {
      // The request was good; the garbage came after it. It gets its reply, and is the last one.
      current.shouldKeepAlive = false
      return void current.once('close', () => socket.destroySoon())
    }
    if (current?.headersSent) return void socket.destroy()
    const refusal = new HoldfastError(codes[error.code ?? ''] ?? 'invalid_request', {
      ...(codes[error.code ?? ''] ? {} : { message: 'the request is not valid HTTP' }),
    })
    const requestId = String(current?.getHeader(requestIdHeader) ?? requestIdOf({ headers: {} }))
    const body = refusalBody(refusal, requestId)
    // A request that had begun has a line of its own.
    if (!current) log.info({ requestId, status: refusal.status, parser: error.code }, 'unreadable request')
    const head = [
      `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
      'Content-Type: application/json; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
      `X-Request-ID: ${requestId}`,
      'Connection: close',
    ]
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
  }
