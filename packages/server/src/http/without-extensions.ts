/**
 * `HOLDFAST_EXTENSIONS=off`: a server that answers as if nobody had added anything to the original's API (wire contract,
 * part C), so that clients can be tried against one. What is stored is the same either way.
 *
 * No capability word of ours, none of our routes; conditional appends are refused; ranges, pages, declared sizes and
 * expectations are overlooked, as the original overlooks what it does not know; errors have no codes; an upload is
 * forgotten with its conversion.
 */
import { holdfastCapabilities } from '@holdfast/api/capabilities'
import { HoldfastError } from '@holdfast/api/errors'
import { type RouteName, splitPath } from '@holdfast/api/paths'
import type { FastifyInstance } from 'fastify'
import { findUpload } from '../domain/uploads.ts'
import type { Parts } from '../parts.ts'

const addedRoutes: ReadonlySet<RouteName | undefined> = new Set<RouteName>([
  'listUploads',
  'showUpload',
  'headUpload',
  'deleteUpload',
  'headBlobData',
])
/** Of paths that the original does not have. */
const unknownRoutes: ReadonlySet<RouteName | undefined> = new Set<RouteName>([
  'showUsage',
  'setLimits',
  'listNodes',
  'forgetNode',
])
const pagedRoutes: ReadonlySet<RouteName | undefined> = new Set<RouteName>([
  'listArtifacts',
  'listVersions',
  'listBlobs',
  'listArtifactEvents',
  'listBlobEvents',
])
const addedRequestHeaders = ['range', 'if-range', 'if-none-match', 'if-match']
const addedReplyHeaders = ['upload-offset', 'accept-ranges', 'etag', 'repr-digest', 'link', 'next-cursor']
const addedErrorFields = new Set(['code', 'detail', 'request_id'])

/** Takes the extensions off every route of `app`. */
export const removeExtensions = (app: FastifyInstance, parts: Parts): void => {
  app.addHook('onRequest', async ({ routeOptions: { config }, raw }) => {
    if (addedRoutes.has(config.route)) throw new HoldfastError('method_not_allowed')
    if (
      unknownRoutes.has(config.route) ||
      (config.route && splitPath(config.route).path.startsWith('/admin/'))
    )
      throw new HoldfastError('route_not_found')
    if (raw.headers['upload-offset'] !== undefined)
      throw new HoldfastError('invalid_request', { message: 'this server takes no conditional appends' })
    for (const name of addedRequestHeaders) delete raw.headers[name]
  })
  app.addHook('preHandler', async (request) => {
    const { route } = request.routeOptions.config
    if (pagedRoutes.has(route)) request.query = {}
    if (route !== 'createUpload' && route !== 'convertUpload') return
    const { size: _, sha512: __, ...known } = request.body as Record<string, unknown>
    request.body = known
    if (route === 'convertUpload' && typeof known.upload_uuid === 'string')
      await findUpload(parts.db.read, request.caller, known.upload_uuid)
  })
  app.addHook('onSend', async (request, reply, payload) => {
    for (const name of addedReplyHeaders) reply.removeHeader(name)
    if (typeof payload !== 'string') return payload
    if (request.routeOptions.config.route === 'showRoot')
      return holdfastCapabilities.reduce((page, word) => page.replaceAll(word, ''), payload)
    return reply.statusCode < 400
      ? payload
      : JSON.stringify(JSON.parse(payload), (name, value) => (addedErrorFields.has(name) ? undefined : value))
  })
}
