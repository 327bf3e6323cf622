/** Single objects: looking, moving aside, removing. */
import type { S3Connection } from './s3-connection.ts'
import { isMissing } from './s3-errors.ts'

export interface ObjectFacts {
  readonly key: string
  readonly size: number
  readonly modifiedAt: number
  readonly etag: string
}

const MiB = 1024 * 1024
/** Larger objects are copied in parts: one call takes 5 GiB at most, and stays silent while it works. */
const copyAtOnce = 256 * MiB
const copyPart = 1024 * MiB

/** Undefined when there is no such object. That the bucket is gone, or is not ours, is an error instead. */
export const findObject = async (connection: S3Connection, key: string): Promise<ObjectFacts | undefined> => {
  const { bucket: Bucket, call } = connection
  try {
    const head = await call((s3, options) => s3.headObject({ Bucket, Key: key }, options))
    return {
      key,
      size: head.ContentLength ?? 0,
      modifiedAt: head.LastModified?.getTime() ?? 0,
      etag: head.ETag ?? '',
    }
  } catch (error) {
    if (!isMissing(error)) throw error
  }
  // The reply to HEAD has no body, and so does not tell whether it is the object or the bucket that is missing. If it
  // were taken for the object, a wrong setting would make all blobs damaged.
  try {
    await call(async (s3, options) => {
      const { Body } = await s3.getObject({ Bucket, Key: key, Range: 'bytes=0-0' }, options)
      await Body?.transformToByteArray()
    })
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  return findObject(connection, key)
}

/** Not an error when it is gone. */
export const removeObject = async ({ bucket: Bucket, call }: S3Connection, key: string): Promise<void> => {
  try {
    await call((s3, options) => s3.deleteObject({ Bucket, Key: key }, options))
  } catch (error) {
    if (!isMissing(error)) throw error
  }
}

/** All objects whose names begin so. */
export async function* listObjects(
  { bucket: Bucket, call }: S3Connection,
  prefix: string,
): AsyncGenerator<ObjectFacts> {
  for (let token: string | undefined; ; ) {
    const page = await call((s3, options) =>
      s3.listObjectsV2({ Bucket, Prefix: prefix, ...(token && { ContinuationToken: token }) }, options),
    )
    for (const { Key, Size = 0, LastModified, ETag = '' } of page.Contents ?? [])
      if (Key !== undefined)
        yield { key: Key, size: Size, modifiedAt: LastModified?.getTime() ?? 0, etag: ETag }
    token = page.NextContinuationToken
    if (!page.IsTruncated || !token) return
  }
}

/** Copies within the store, over what is there, and looks whether the copy has the right size. */
const copyObject = async (connection: S3Connection, from: ObjectFacts, to: string): Promise<void> => {
  const { bucket: Bucket, call } = connection
  const CopySource = `${Bucket}/${from.key}`
  if (from.size <= copyAtOnce)
    await call((s3, options) => s3.copyObject({ Bucket, Key: to, CopySource }, options), { kind: 'join' })
  else await copyInParts(connection, from, to, CopySource)
  const copy = await findObject(connection, to)
  if (copy?.size !== from.size) throw new Error(`the copy of ${from.key} has ${copy?.size} bytes`)
}

const copyInParts = async (
  { bucket: Bucket, call }: S3Connection,
  { size }: ObjectFacts,
  Key: string,
  CopySource: string,
): Promise<void> => {
  const { UploadId } = await call((s3, options) => s3.createMultipartUpload({ Bucket, Key }, options))
  const upload = { Bucket, Key, UploadId }
  try {
    const Parts: { PartNumber: number; ETag: string | undefined }[] = []
    for (let start = 0; start < size; start += copyPart) {
      const PartNumber = Parts.length + 1
      const CopySourceRange = `bytes=${start}-${Math.min(size, start + copyPart) - 1}`
      const { CopyPartResult } = await call(
        (s3, options) => s3.uploadPartCopy({ ...upload, PartNumber, CopySource, CopySourceRange }, options),
        { kind: 'join' },
      )
      Parts.push({ PartNumber, ETag: CopyPartResult?.ETag })
    }
    await call(
      (s3, options) => s3.completeMultipartUpload({ ...upload, MultipartUpload: { Parts } }, options),
      {
        kind: 'join',
      },
    )
  } catch (error) {
    await call((s3, options) => s3.abortMultipartUpload(upload, options)).catch(() => {})
    throw error
  }
}

/** Moves an object over another, if there is one to move. The copy is there before the original goes. */
export const moveObject = async (connection: S3Connection, from: string, to: string): Promise<void> => {
  const source = await findObject(connection, from)
  if (!source) return
  await copyObject(connection, source, to)
  await removeObject(connection, from)
}
