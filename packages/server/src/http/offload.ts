/**
 * Offload of downloads: nginx sends the bytes of a blob from its file (`HOLDFAST_ACCEL_REDIRECT`, `X-Accel-Redirect`), which
 * spares this process the bytes. Holdfast still decides who may have them, and makes the headers; but nobody compares the bytes
 * with their checksums.
 *
 * nginx is asked only where it answers exactly as Holdfast would: for a whole blob, or for one range of it. `offset` and `limit`, which
 * are answered with 200, and preconditions that Holdfast overlooks but nginx knows, are answered here.
 */
import type { FastifyRequest } from 'fastify'
import { type Config, ConfigError, hasOwnBlobStore } from '../config.ts'
import type { ReadableBlob } from '../domain/blobs.ts'
import type { Parts } from '../parts.ts'
import { comesThroughProxy } from './proxy-headers.ts'

/** Throws `ConfigError` when the settings for it do not go together. */
export const checkOffload = (config: Config): void => {
  const { accelRedirect, trustedProxies, extensions } = config
  if (accelRedirect === '') return
  const refuse = (words: string): never => {
    throw new ConfigError(`HOLDFAST_ACCEL_REDIRECT ${words}`)
  }
  if (!/^\/([\w.~-]+\/)+$/.test(accelRedirect))
    refuse(`is not a location with a slash at both ends, like /holdfast-blobs/: ${accelRedirect}`)
  if (trustedProxies.length === 0) refuse('needs the address of nginx in HOLDFAST_TRUSTED_PROXIES')
  if (hasOwnBlobStore(config)) refuse('needs the blobs to be files, but HOLDFAST_BLOB_STORE names a bucket')
  if (!extensions) refuse('does not work with HOLDFAST_EXTENSIONS=off')
}

/** nginx has its own opinion on these. */
const foreignPreconditions = ['if-match', 'if-modified-since', 'if-unmodified-since'] as const

/** Where nginx finds the bytes that are wished for; undefined where Holdfast is to send them. */
export const offloadTo = async (
  { blobs, config }: Parts,
  request: FastifyRequest,
  { row }: ReadableBlob,
  { status, length, whole }: { readonly status: number; readonly length: number; readonly whole: boolean },
): Promise<string | undefined> => {
  const { headers, method } = request
  const path = blobs.pathOf?.(row.uuid)
  if (config.accelRedirect === '' || path === undefined || !comesThroughProxy(request)) return undefined
  if (method !== 'GET' || !whole || length === 0) return undefined
  // A range that is overlooked here, nginx would not overlook; numbers beyond 64 bits it refuses.
  const { range } = headers
  const isSameRange = status === 206 ? !/\d{16}/.test(range!) : status === 200 && range === undefined
  if (!isSameRange || foreignPreconditions.some((name) => headers[name] !== undefined)) return undefined
  // A file that is missing or too short is damage, which is noticed where the blob is read.
  return (await blobs.stat(row.uuid))?.size === row.size ? config.accelRedirect + path : undefined
}
