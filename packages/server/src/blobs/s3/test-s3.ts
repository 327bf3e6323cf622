/**
 * For tests only: a real S3-compatible server. TEST_S3_URL says where it is, as `scripts/start-s3.sh` prints it. Tests that
 * need it are the project `s3` of Vitest, which scripts/test-all.sh runs over two servers.
 */
import { randomUUID } from 'node:crypto'
import { openS3, type S3Connection, type S3Settings } from './s3-connection.ts'
import { listObjects } from './s3-objects.ts'

/** The key of `scripts/start-s3.sh`, where the SDK looks for it. */
Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test:tester', AWS_SECRET_ACCESS_KEY: 'testing' })

export interface TestS3 extends S3Connection {
  /** Of this test alone. */
  readonly prefix: string
  /** Unfinished multipart uploads under the prefix. */
  unfinished(): Promise<string[]>
  keys(): Promise<string[]>
}

/** A connection to the server of the tests, or to something before it. */
export const connectToTestS3 = async (settings: Partial<S3Settings> = {}): Promise<TestS3> => {
  const endpoint = process.env.TEST_S3_URL
  if (!endpoint) throw new Error('TEST_S3_URL does not name an S3 server: scripts/start-s3.sh starts one')
  const connection = await openS3({
    bucket: 'holdfast',
    prefix: '',
    endpoint,
    region: 'us-east-1',
    pathStyle: true,
    timeoutMs: 10_000,
    patienceMs: 5000,
    connections: 16,
    ...settings,
  })
  const prefix = `${randomUUID()}/`
  const { bucket: Bucket, call } = connection
  return {
    ...connection,
    prefix,
    async unfinished() {
      const page = await call((s3) => s3.listMultipartUploads({ Bucket, Prefix: prefix }))
      return (page.Uploads ?? []).map((upload) => upload.Key!.slice(prefix.length))
    },
    async keys() {
      const keys = []
      for await (const { key } of listObjects(connection, prefix)) keys.push(key.slice(prefix.length))
      return keys.filter((key) => key !== 'checksum-probe').sort()
    },
  }
}
