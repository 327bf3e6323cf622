/** What a failed call of S3 means. The names are those of S3's own error codes, which other servers give as well. */
import { HoldfastError } from '@holdfast/api/errors'

interface S3Failure {
  readonly name?: string
  readonly code?: string
  /** Whose fault the store says it is; absent when nothing of the store's answer could be read. */
  readonly $fault?: string
  readonly $metadata?: { readonly httpStatusCode?: number; readonly clockSkewCorrected?: boolean }
}

const statusOf = (error: unknown): number | undefined => (error as S3Failure).$metadata?.httpStatusCode
const nameOf = (error: unknown): string | undefined => (error as S3Failure).name

/** The object is not there. A reply without a body (to HEAD) cannot say whether the bucket is. */
export const isMissing = (error: unknown): boolean =>
  nameOf(error) === 'NoSuchKey' || (nameOf(error) === 'NotFound' && statusOf(error) === 404)

/** The multipart upload is not there: completed, aborted, or never made. */
export const isUploadMissing = (error: unknown): boolean => nameOf(error) === 'NoSuchUpload'

/** The parts named are not those that the store has. */
export const arePartsWrong = (error: unknown): boolean =>
  ['InvalidPart', 'InvalidPartOrder', 'EntityTooSmall'].includes(nameOf(error) ?? '')

/** The body does not have the checksum that the request says. */
export const isSumRefused = (error: unknown): boolean =>
  ['BadDigest', 'InvalidDigest', 'XAmzContentChecksumMismatch'].includes(nameOf(error) ?? '')

/** It is an answer of the store, or the want of one, rather than a fault of this program or of a local file. */
export const isFromStore = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && '$metadata' in error

/** The object has changed since it was opened. */
export const isChanged = (error: unknown): boolean => statusOf(error) === 412

const passingStatus: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504])
/** 4xx that tell of a request damaged or cut on its way. */
const passingNames: ReadonlySet<string> = new Set([
  'BadDigest',
  'IncompleteBody',
  'RequestTimeout',
  'SlowDown',
  'XAmzContentChecksumMismatch',
  'OperationAborted',
])

/**
 * Whether the same call may succeed a moment later: the network, time-outs, an overloaded or restarting server, a clock that
 * was wrong (the SDK has learned the right time from the refusal, and signs with that from now on).
 */
export const isPassing = (error: unknown): boolean => {
  const status = statusOf(error)
  if (nameOf(error) === 'AbortError') return false
  if (status === 403) return (error as S3Failure).$metadata?.clockSkewCorrected === true
  // Without an answer there is no status. One that was cut has a status, a refusal's perhaps, but not what it says.
  if (status === undefined || status < 300 || (error as S3Failure).$fault === undefined)
    return !(error instanceof RangeError)
  return passingStatus.has(status) || passingNames.has(nameOf(error) ?? '')
}

/** What clients are told, whatever the reason: they cannot do anything about it but come back. */
export const storeAway = (error: unknown): HoldfastError =>
  error instanceof HoldfastError ? error : new HoldfastError('blob_store_unavailable', { cause: error })
