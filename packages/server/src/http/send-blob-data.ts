/**
 * `GET` and `HEAD /blobs/{uuid}/data`: a blob's bytes from any offset.
 *
 * There are two ways to ask for a part. `offset` and `limit` are the original's: the reply is always 200, and is
 * the whole answer to that URL. `Range` is HTTP's: 206 with `Content-Range`. In a request with both, `offset` and
 * `limit` count and `Range` is ignored, as servers may ignore it at any time. Preconditions come first:
 * `If-None-Match`, then `If-Range`. `HEAD` answers as `GET` would without `Range`, for which HTTP defines no `HEAD`.
 *
 * The status line is sent together with the first block, after that has been checked, so a blob that is damaged at
 * the start still gets a proper error. Damage further on breaks the connection: the reply is then shorter than its
 * Content-Length, and nobody can take it for whole.
 */
import type { ServerResponse } from 'node:http'
import { HoldfastError, isHoldfastError } from '@holdfast/api/errors'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { noteUse, openBlobFor, type ReadableBlob } from '../domain/blobs.ts'
import { sendBlob } from '../domain/send-blob.ts'
import type { Parts } from '../parts.ts'
import { attachment } from './content-disposition.ts'
import type { Call } from './handlers.ts'
import { offloadTo } from './offload.ts'
import { parseRange } from './range.ts'

type DataRoute = 'readBlob' | 'headBlobData'

/** Answers both routes. */
export const sendBlobData = async (
  parts: Parts,
  call: Call<DataRoute>,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> => {
  const blob = await openBlobFor(parts, call.caller, call.params.blob_uuid)
  const wish = readWish(blob, call, request.method)
  if (wish.status === 416) {
    reply.header('content-range', `bytes */${blob.row.size}`)
    throw new HoldfastError('range_not_satisfiable', { detail: { size: blob.row.size } })
  }
  const link = await linkFor(parts, call, request.method, blob, wish)
  if (link !== undefined) {
    noteUse(parts, call.caller, blob.row.uuid)
    return reply
      .code(307)
      .headers({ location: link, 'preference-applied': 'redirect', 'cache-control': 'private, no-store' })
      .send()
  }
  const accelerated = await offloadTo(parts, request, blob, wish)
  if (accelerated !== undefined) {
    noteUse(parts, call.caller, blob.row.uuid)
    parts.metrics.offloadedDownloads.inc()
    const { 'content-length': _, ...headers } = headersFor(blob, { ...wish, status: 200 })
    // nginx says so by itself where it sends all, and only there.
    if (wish.status === 200) delete headers['accept-ranges']
    return reply.headers({ ...headers, 'x-accel-redirect': accelerated }).send()
  }
  const begin = () => {
    reply.hijack()
    reply.raw.writeHead(wish.status, {
      ...(reply.getHeaders() as Record<string, string>),
      ...headersFor(blob, wish),
    })
  }
  if (request.method === 'HEAD' || wish.status === 304 || wish.length === 0) {
    begin()
    reply.raw.end()
    return reply
  }
  noteUse(parts, call.caller, blob.row.uuid)
  const write = writerTo(reply.raw)
  // A client that takes no byte for so long is gone. As long as it takes some, it may take its time.
  reply.raw.setTimeout(parts.config.downloadStall * 1000, () => reply.raw.destroy())
  try {
    await sendBlob(parts, blob.row, {
      offset: wish.offset,
      length: wish.length,
      signal: call.signal,
      write: async (chunk) => {
        if (!reply.sent) begin()
        await write(chunk)
        parts.metrics.sentBytes.inc(chunk.length)
      },
    })
    reply.raw.end()
  } catch (error) {
    // A write that its connection's end has cut short may fail before anybody is told of the end.
    const isClientGone = call.signal.aborted || reply.raw.destroyed
    if (!reply.sent && !isClientGone) throw error
    reply.hijack()
    reply.raw.destroy()
    if (!isClientGone)
      request.log[isHoldfastError(error) ? 'warn' : 'error']({ err: error }, 'a download was broken off')
  }
  return reply
}

/**
 * Makes writes, one at a time, that settle when the bytes have left for the kernel, or never will: their memory may then be used
 * again.
 */
const writerTo = (raw: ServerResponse): ((chunk: Uint8Array) => Promise<void>) => {
  let cut: ((error: Error) => void) | undefined
  const gone = () => new Error('the client went away')
  // One listener for all of them, not one for each: there are many.
  raw.once('close', () => cut?.(gone()))
  return (chunk) =>
    new Promise((resolve, reject) => {
      cut = reject
      raw.write(chunk, (error) => (error ? reject(error) : resolve()))
      if (raw.destroyed) reject(gone())
    })
}

/** Long enough to follow a redirect; the download itself may take longer. */
const linkSeconds = 300

/**
 * Where the client may fetch the bytes by itself, if it asks for that (RFC 7240) and the server is set up so. A `Range` goes
 * there with it; `offset` and `limit` would mean nothing there.
 */
const linkFor = async (
  { blobs, config }: Parts,
  call: Call<DataRoute>,
  method: string,
  { row, name }: ReadableBlob,
  { status, length, whole }: Wish,
): Promise<string | undefined> => {
  const preferences = ('prefer' in call.headers && call.headers.prefer) || ''
  const isWanted = preferences.split(',').some((word) => word.trim().toLowerCase() === 'redirect')
  const isBody = method === 'GET' && (status === 200 || status === 206) && length > 0 && whole
  if (!config.s3Redirect || !isWanted || !isBody) return undefined
  return blobs.linkTo?.(row.uuid, linkSeconds, attachment(name ?? row.uuid, row.uuid))
}

/** What is to be sent. */
interface Wish {
  readonly status: 200 | 206 | 304 | 416
  readonly offset: number
  readonly length: number
  /** The reply stands for the whole blob, if not with all of its bytes. */
  readonly whole: boolean
}

const readWish = ({ row }: ReadableBlob, call: Call<DataRoute>, method: string): Wish => {
  const { size } = row
  const { headers } = call
  const { offset = 0, limit = 0 } = call.query
  const from = Math.min(offset, size)
  const all = {
    offset: from,
    length: limit > 0 ? Math.min(limit, size - from) : size - from,
    whole: offset === 0 && (limit === 0 || limit >= size),
  }
  const etag = etagOf(row)
  const noneMatch = headers['if-none-match']
  if (noneMatch !== undefined && matchesWeakly(noneMatch, etag)) return { status: 304, ...all }
  const isRanged = method === 'GET' && offset === 0 && limit === 0 && headers.range !== undefined
  // Only the very ETag will do: a date, or a weak one, says too little about bytes.
  if (!isRanged || (headers['if-range'] ?? etag) !== etag) return { status: 200, ...all }
  const range = parseRange(headers.range!, size)
  if (range === undefined) return { status: 200, ...all }
  if (range === 'unsatisfiable') return { status: 416, ...all }
  return { status: 206, offset: range.first, length: range.last - range.first + 1, whole: true }
}

const etagOf = ({ sha512 }: { readonly sha512: string }): string => `"${sha512}"`

/** Whether the list of a precondition names this ETag, or any. */
const matchesWeakly = (list: string, etag: string): boolean =>
  list.trim() === '*' || (list.match(/"[^"]*"/g)?.includes(etag) ?? false)

const headersFor = ({ row, name }: ReadableBlob, wish: Wish): Record<string, string | number> => {
  const { status, offset, length, whole } = wish
  const common = { etag: etagOf(row), 'cache-control': 'private, no-cache, no-transform' }
  if (status === 304) return common
  return {
    ...common,
    'content-type': 'text/plain',
    'content-length': length,
    'x-content-type-options': 'nosniff',
    'content-disposition': attachment(name ?? row.uuid, row.uuid),
    // A digest of the whole would be wrong where the answer to this URL is a part.
    ...(whole && {
      'accept-ranges': 'bytes',
      'repr-digest': `sha-512=:${Buffer.from(row.sha512, 'hex').toString('base64')}:`,
    }),
    ...(status === 206 && { 'content-range': `bytes ${offset}-${offset + length - 1}/${row.size}` }),
  }
}
