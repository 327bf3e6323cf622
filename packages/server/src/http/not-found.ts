/**
 * Requests that no route takes: 405 with `Allow` where another method would do, otherwise 404.
 */
import { HoldfastError } from '@holdfast/api/errors'
import { paths, type RouteName, splitPath } from '@holdfast/api/paths'
import type { FastifyReply, FastifyRequest } from 'fastify'

const patterns = (Object.keys(paths) as RouteName[]).map((name) => {
  const { method, path } = splitPath(name)
  return { method, pattern: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`) }
})

/** The methods that some route takes at this path; none if the path is unknown. */
export const allowedMethods = (path: string): readonly string[] => {
  const methods = new Set(patterns.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method))
  if (methods.has('GET')) methods.add('HEAD')
  return [...methods].sort()
}

/** Fastify's handler for requests without a route. */
export const refuseUnknown = (request: FastifyRequest, reply: FastifyReply): never => {
  const path = request.url.split(/[?#]/, 1)[0]!.replace(/\/\/+/g, '/')
  const allowed = allowedMethods(path)
  if (allowed.length === 0) throw new HoldfastError('route_not_found')
  reply.header('allow', allowed.join(', '))
  throw new HoldfastError('method_not_allowed', { detail: { allow: allowed } })
}
