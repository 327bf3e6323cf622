/**
 * Blobs of tests that run over S3: with TEST_S3_URL, the URL of a throw-away server (scripts/start-s3.sh), every data directory of
 * a test has a prefix of its own there. Without it blobs are files in the data directory.
 */
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import type { S3 } from '@aws-sdk/client-s3'

/** The key of scripts/start-s3.sh. */
export const testCredentials = { AWS_ACCESS_KEY_ID: 'test:tester', AWS_SECRET_ACCESS_KEY: 'testing' }

const bucket = 'holdfast'

const prefixFor = (dataDir: string): string =>
  createHash('sha256').update(resolve(dataDir)).digest('hex').slice(0, 24)

/** The settings that lead a server with this data directory to its blobs. */
export const blobSettings = (dataDir: string, endpoint = process.env.TEST_S3_URL): Record<string, string> =>
  endpoint
    ? {
        ...testCredentials,
        HOLDFAST_BLOB_STORE: `s3://${bucket}/${prefixFor(dataDir)}`,
        HOLDFAST_S3_ENDPOINT: endpoint,
        HOLDFAST_S3_PATIENCE: '5',
      }
    : {}

/** The place of that server's blobs, to look at without it. Undefined when they are files. */
export const openTestS3 = async (
  dataDir: string,
  endpoint = process.env.TEST_S3_URL,
): Promise<{ client: S3; bucket: string; prefix: string } | undefined> => {
  if (!endpoint) return undefined
  // Loading it takes a while, and most tests run without.
  const { S3: Client } = await import('@aws-sdk/client-s3')
  const client = new Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: {
      accessKeyId: testCredentials.AWS_ACCESS_KEY_ID,
      secretAccessKey: testCredentials.AWS_SECRET_ACCESS_KEY,
    },
  })
  return { client, bucket, prefix: prefixFor(dataDir) }
}
