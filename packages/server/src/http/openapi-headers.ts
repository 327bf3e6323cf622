/**
 * What the contract's tables do not say about replies, for the OpenAPI document: statuses other than 200, headers.
 */

import { routeContract } from '@holdfast/api/contract'
import type { RouteName } from '@holdfast/api/paths'

type Header = { readonly description: string; readonly schema: { readonly type: 'string' | 'integer' } }

const text = (description: string): Header => ({ description, schema: { type: 'string' } })
const number = (description: string): Header => ({ description, schema: { type: 'integer' } })

const isBlobData = (route: RouteName): boolean => route === 'readBlob' || route === 'headBlobData'

/** The replies of a route that are no refusals, with their descriptions. */
export const successReplies = (route: RouteName, description: string): Record<string, string> => ({
  200: description,
  ...(isBlobData(route)
    ? { 206: 'The range that was asked for', 304: 'The client has these bytes already' }
    : {}),
})

/** The headers of a reply. */
export const replyHeaders = (route: RouteName, status: number): Record<string, Header> => ({
  'X-Request-ID': text("The request's own, or a fresh UUID"),
  ...(isBlobData(route) && status < 400 ? blobDataHeaders(status) : {}),
  ...(status === 200 && routeContract(route).query?.properties.cursor
    ? {
        Link: text('Leads to the next page, when there is one'),
        'Next-Cursor': text('The cursor of the next page, when there is one'),
      }
    : {}),
  ...(hasUploadOffset(route, status) ? { 'Upload-Offset': number('The size of the upload') } : {}),
  ...(status === 401 ? { 'WWW-Authenticate': text('`Bearer`') } : {}),
  ...(status === 405 ? { Allow: text('The methods that this path takes') } : {}),
  ...(status === 416 ? { 'Content-Range': text('The size of the blob') } : {}),
  ...(status === 429 || status === 503 ? { 'Retry-After': number('Seconds') } : {}),
})

const hasUploadOffset = (route: RouteName, status: number): boolean =>
  (route === 'appendUpload' && (status === 200 || status === 409)) ||
  (route === 'headUpload' && status === 200)

const blobDataHeaders = (status: number): Record<string, Header> => ({
  ETag: text("The blob's SHA-512"),
  'Accept-Ranges': text('`bytes`'),
  'Repr-Digest': text('Digests of the whole blob (RFC 9530)'),
  ...(status === 206 ? { 'Content-Range': text('Which bytes these are') } : {}),
})
