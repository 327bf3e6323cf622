/**
 * From Fastify's request to the `Call` that handlers know.
 */
import type { ServerResponse } from 'node:http'
import type { RouteName } from '@holdfast/api/paths'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Call } from './handlers.ts'

/** Makes the call of a route; its schemas have been applied to `request`. */
export const callOf = <K extends RouteName>(request: FastifyRequest, reply: FastifyReply): Call<K> => {
  let signal: AbortSignal | undefined
  return {
    caller: request.caller,
    params: request.params as Call<K>['params'],
    query: request.query as Call<K>['query'],
    body: request.body as Call<K>['body'],
    headers: request.headers as Call<K>['headers'],
    address: request.ip,
    get signal() {
      signal ??= abortedOnLeave(reply.raw)
      return signal
    },
    setHeader(name, value) {
      reply.header(name, value)
    },
  }
}

const abortedOnLeave = (response: ServerResponse): AbortSignal => {
  const controller = new AbortController()
  const onClose = () => {
    if (!response.writableFinished) controller.abort()
  }
  if (response.destroyed) onClose()
  else response.once('close', onClose)
  return controller.signal
}
