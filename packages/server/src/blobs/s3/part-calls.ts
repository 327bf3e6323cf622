/** The calls of the store for one object made of a local file: in parts, or at once. */
import { setTimeout as sleep } from 'node:timers/promises'
import { blockSize } from '@holdfast/api/limits'
import type { ExpectedContent } from '../blob-store.ts'
import type { FileOps, OpenFile } from '../files.ts'
import { bodyOf, type PartSums, readSums } from './part-body.ts'
import { partStart } from './part-sizes.ts'
import type { HttpOptions, S3Connection } from './s3-connection.ts'
import { isUploadMissing } from './s3-errors.ts'
import type { S3Names } from './s3-names.ts'
import { findObject } from './s3-objects.ts'

export interface PartSenderOptions {
  readonly connection: S3Connection
  readonly names: S3Names
  readonly files: FileOps
  /** What the store compares bodies with. */
  readonly sums: 'crc32' | 'md5'
  readonly warn: (message: string, facts: Record<string, unknown>) => void
}

/** Which multipart upload. */
export interface UploadId {
  readonly key: string
  readonly id: string
}

export interface SentPart {
  /** Where it ends. A conversion that failed may have sent a last part shorter than it has to be by now. */
  readonly end: number
  readonly etag: string
  readonly sums: PartSums
}

/** Begins a multipart upload of the object `key`. */
export const beginUpload = async (
  { connection, sums }: PartSenderOptions,
  key: string,
): Promise<UploadId> => {
  const { UploadId: id } = await connection.call((s3, options) =>
    s3.createMultipartUpload(
      { Bucket: connection.bucket, Key: key, ...(sums === 'crc32' && { ChecksumAlgorithm: 'CRC32' }) },
      options,
    ),
  )
  if (!id) throw new Error('the store gave no id to a multipart upload')
  return { key, id }
}

/** Sends a part of the file, from where it begins to `end`. */
export const sendPart = (
  { connection, files, sums: kind }: PartSenderOptions,
  { key, id }: UploadId,
  path: string,
  number: number,
  end: number,
  signal: AbortSignal,
): Promise<SentPart> =>
  withFile(files, path, async (file) => {
    const start = partStart(number)
    const sums = await readSums(file, start, end, kind)
    const request = {
      Bucket: connection.bucket,
      Key: key,
      UploadId: id,
      PartNumber: number,
      ContentLength: end - start,
      ...sums.fields,
    }
    const { ETag: etag = '' } = await connection.call(
      (s3, options) =>
        withBody(file, start, end, options, (Body, signals) => s3.uploadPart({ ...request, Body }, signals)),
      { signal },
    )
    return { end, etag, sums }
  })

/** Makes the object of the file's first `size` bytes in one request. False, and nothing sent, unless they are `expected`. */
export const putWhole = (
  { connection, files, sums: kind }: PartSenderOptions,
  key: string,
  path: string,
  size: number,
  expected?: ExpectedContent,
): Promise<boolean> =>
  withFile(files, path, async (file) => {
    const sums = await readSums(file, 0, size, kind)
    if (!areRight(sums, 0, expected)) return false
    const request = { Bucket: connection.bucket, Key: key, ContentLength: size, ...sums.fields }
    await connection.call((s3, options) =>
      withBody(file, 0, size, options, (Body, signals) => s3.putObject({ ...request, Body }, signals)),
    )
    return true
  })

/** Makes one object of the parts. Throws S3's own errors, those apart that a lost reply explains. */
export const joinParts = async (
  { connection }: PartSenderOptions,
  { key: Key, id }: UploadId,
  sent: ReadonlyMap<number, SentPart>,
  size: number,
): Promise<void> => {
  const { bucket: Bucket, call } = connection
  const Parts = [...sent]
    .sort(([a], [b]) => a - b)
    .map(([PartNumber, { etag, sums }]) => ({
      PartNumber,
      ETag: etag,
      ...('ChecksumCRC32' in sums.fields && sums.fields),
    }))
  const request = { Bucket, Key, UploadId: id, MultipartUpload: { Parts } }
  try {
    await call((s3, options) => s3.completeMultipartUpload(request, options), { kind: 'join' })
  } catch (error) {
    // Perhaps it was completed, and the reply was lost: nobody else makes an object of this name.
    if (!isUploadMissing(error) || (await findObject(connection, Key))?.size !== size) throw error
  }
}

/** Whether the store knows the multipart upload. */
export const isThere = async (
  { connection: { bucket: Bucket, call } }: PartSenderOptions,
  { key: Key, id }: UploadId,
): Promise<boolean> => {
  try {
    await call((s3, options) => s3.listParts({ Bucket, Key, UploadId: id, MaxParts: 1 }, options))
    return true
  } catch (error) {
    if (isUploadMissing(error)) return false
    throw error
  }
}

const abortTries = 5
const abortPauseMs = 200

/**
 * Gives a multipart upload up; not an error when it is gone. A part that the store was still busy with may bring it back, so it
 * is looked for afterwards.
 */
export const abortUpload = async (options: PartSenderOptions, upload: UploadId): Promise<void> => {
  const { bucket: Bucket, call } = options.connection
  for (let left = abortTries; ; left--) {
    try {
      await call((s3, how) => s3.abortMultipartUpload({ Bucket, Key: upload.key, UploadId: upload.id }, how))
    } catch (error) {
      if (!isUploadMissing(error)) throw error
    }
    if (left === 0 || !(await isThere(options, upload))) return
    await sleep(abortPauseMs)
  }
}

/** All unfinished multipart uploads of objects whose names begin so. */
export async function* listUploads(
  { connection: { bucket: Bucket, call } }: PartSenderOptions,
  Prefix: string,
): AsyncGenerator<UploadId> {
  let marker: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {}
  for (;;) {
    const page = await call((s3, options) => s3.listMultipartUploads({ Bucket, Prefix, ...marker }, options))
    for (const { Key, UploadId } of page.Uploads ?? []) if (Key && UploadId) yield { key: Key, id: UploadId }
    if (!page.IsTruncated) return
    marker = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
  }
}

/** Whether a part that begins at `start` has the checksums that are expected. */
export const areRight = ({ blockSums }: PartSums, start: number, expected?: ExpectedContent): boolean => {
  const first = (start / blockSize) * 4
  return !expected || blockSums.equals(expected.blockSums.subarray(first, first + blockSums.length))
}

const withFile = async <T>(
  files: FileOps,
  path: string,
  work: (file: OpenFile) => Promise<T>,
): Promise<T> => {
  const file = await files.open(path, 'read')
  try {
    return await work(file)
  } finally {
    await file.close()
  }
}

/** Runs a request whose body is read from a file, and ends it at once when the file cannot be read. */
const withBody = async <T>(
  file: OpenFile,
  start: number,
  end: number,
  { abortSignal }: HttpOptions,
  send: (body: ReturnType<typeof bodyOf>, options: HttpOptions) => Promise<T>,
): Promise<T> => {
  const broken = new AbortController()
  let failure: Error | undefined
  const body = bodyOf(file, start, end, (error) => {
    failure = error
    broken.abort()
  })
  const signals = abortSignal ? [abortSignal, broken.signal] : [broken.signal]
  try {
    return await send(body, { abortSignal: AbortSignal.any(signals) })
  } catch (error) {
    throw failure ?? error
  } finally {
    body.destroy()
  }
}
