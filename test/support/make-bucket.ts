/**
 * Makes a bucket unless it is there: `node make-bucket.ts URL BUCKET`, credentials as the SDK finds them. Waits half a
 * minute for a server that has a port but cannot work yet: Swift's proxy then answers 503.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { CreateBucketCommand, S3Client, S3ServiceException } from '@aws-sdk/client-s3'

const [endpoint, Bucket] = process.argv.slice(2) as [string, string]
const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true })
const deadline = Date.now() + 30_000
/** False when it may become true. */
const isMade = async (): Promise<boolean> => {
  try {
    await client.send(new CreateBucketCommand({ Bucket }))
    return true
  } catch (error) {
    if (!(error instanceof S3ServiceException)) throw error
    if (['BucketAlreadyOwnedByYou', 'BucketAlreadyExists'].includes(error.name)) return true
    if (error.$metadata.httpStatusCode !== 503 || Date.now() > deadline) throw error
    return false
  }
}
while (!(await isMade())) await sleep(200)
