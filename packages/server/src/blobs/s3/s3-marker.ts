/** The object that says which store a bucket (or a prefix in it) holds; see open-blobs.ts. */
import type { S3Connection } from './s3-connection.ts'
import { isMissing } from './s3-errors.ts'
import { s3Names } from './s3-names.ts'

/** What is written in it. A newer version would be another number. */
const format = 1

/** The id of the store that is there; undefined when there is none. Throws S3's errors, and for what it does not understand. */
export const readMarker = async (connection: S3Connection, prefix: string): Promise<string | undefined> => {
  const { bucket: Bucket, call } = connection
  let text: string
  try {
    text = await call(async (s3, options) => {
      const { Body } = await s3.getObject({ Bucket, Key: s3Names(prefix).marker }, options)
      return (await Body?.transformToString()) ?? ''
    })
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  const marker = parse(text)
  if (marker.holdfast !== format || typeof marker.id !== 'string')
    throw new RangeError(`${s3Names(prefix).marker} in the bucket ${Bucket} is not of a version known here`)
  return marker.id
}

const parse = (text: string): { holdfast?: unknown; id?: unknown } => {
  try {
    return JSON.parse(text) as object
  } catch {
    return {}
  }
}

/** Makes the place a store of this id. */
export const writeMarker = async (connection: S3Connection, prefix: string, id: string): Promise<void> => {
  const { bucket: Bucket, call } = connection
  const Body = Buffer.from(`${JSON.stringify({ holdfast: format, id })}\n`)
  await call((s3, options) => s3.putObject({ Bucket, Key: s3Names(prefix).marker, Body }, options))
}
