/** Makes a bucket unless it is there: `node make-bucket.ts URL BUCKET`, credentials as the SDK finds them. */
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'

const [endpoint, Bucket] = process.argv.slice(2) as [string, string]
const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true })
try {
  await client.send(new CreateBucketCommand({ Bucket }))
} catch (error) {
  if (!['BucketAlreadyOwnedByYou', 'BucketAlreadyExists'].includes((error as Error).name)) throw error
}
