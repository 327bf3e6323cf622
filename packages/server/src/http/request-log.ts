/**
 * One line and one measurement a request, whether its reply arrived or not. Lines tell the path without its query,
 * and never a header or a body.
 */
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Parts } from '../parts.ts'
import { refusals } from './errors.ts'

/** Bytes of a connection that earlier requests have accounted for. */
const accounted = new WeakMap<Socket, { received: number; sent: number }>()

/** Logged for requests whose client left before it had an answer, as other servers do. */
const unansweredStatus = 499

/** Logs and measures a request when it is over, and notes a failure. */
export const observe = (
  { metrics, failures, clock, log }: Pick<Parts, 'metrics' | 'failures' | 'clock' | 'log'>,
  request: FastifyRequest,
  reply: FastifyReply,
): void => {
  const began = performance.now()
  const socket = request.raw.socket
  reply.raw.once('close', () => {
    const seconds = (performance.now() - began) / 1000
    const route = request.routeOptions.config?.route ?? 'none'
    const status = reply.raw.headersSent ? reply.raw.statusCode : unansweredStatus
    metrics.requestSeconds.observe({ route, status }, seconds)
    const refusal = refusals.get(request)
    const namespace = request.caller?.namespace || ''
    if (refusal) failures.note({ route, namespace, requestId: request.id, refusal }, clock.now())
    if (!log.isLevelEnabled('info')) return
    const before = accounted.get(socket) ?? { received: 0, sent: 0 }
    const now = { received: socket.bytesRead, sent: socket.bytesWritten }
    accounted.set(socket, now)
    log.info(
      {
        requestId: request.id,
        route,
        method: request.method,
        path: request.url.split('?', 1)[0]!.slice(0, 512),
        status,
        seconds: Number(seconds.toFixed(6)),
        received: now.received - before.received,
        sent: now.sent - before.sent,
        namespace: namespace || undefined,
        address: request.passed?.address ?? request.ip,
        passedBy: request.passed?.from,
        ...(reply.raw.writableFinished ? {} : { aborted: true }),
      },
      'request',
    )
  })
}
