/**
 * Makes the digests that a blob does not have when it is made: only SHA-512 and the block checksums come out of the
 * pass that receives the bytes, so that conversion need not wait. The same read proves that what reached the disk
 * is what was received.
 */
import { isHoldfastError } from '@holdfast/api/errors'
import { blockSize } from '@holdfast/api/limits'
import type { FileDigest } from '../../blobs/hash-pipeline.ts'
import { deleted } from '../../db/database.ts'
import type { Row } from '../../db/schema.ts'
import type { Parts } from '../../parts.ts'
import { quarantineBlob } from '../blobs.ts'
import type { Job, JobReport } from './job.ts'

export const digestBlobsJob: Job = {
  name: 'digest-blobs',
  interval: (config) => config.jobInterval,
  run: (parts, signal) => digestBlobs(parts, signal),
}

/** Blobs one run reads at most. */
const maxBlobs = 1000
/** Half of what a core can do: uploads and downloads come first. */
const bytesPerSecond = 128 * 1024 * 1024

type BlobRow = Row<'blobs'>

/** Reads blobs without digests, the oldest first, one at a time. Blobs that cannot be read now are passed over. */
export const digestBlobs = async (parts: Parts, signal: AbortSignal): Promise<JobReport> => {
  const report = { digested: 0, damaged: 0, failed: 0 }
  let previous: BlobRow | undefined
  for (let count = 0; count < maxBlobs && !signal.aborted; count++) {
    const blob = await nextWithoutDigests(parts, previous)
    if (!blob) break
    previous = blob
    try {
      report[await digestBlob(parts, blob, signal)]++
    } catch (error) {
      if (signal.aborted) break
      parts.log.error({ err: error, blob: blob.uuid }, 'a blob was not digested')
      report.failed++
    }
  }
  return report
}

const nextWithoutDigests = (parts: Parts, previous: BlobRow | undefined): Promise<BlobRow | undefined> =>
  parts.db.read
    .selectFrom('blobs')
    .selectAll()
    .where('sha256', 'is', null)
    .where('state', '<>', deleted)
    .where('state', '=', 'created')
    .$if(previous !== undefined, (query) =>
      query.where(({ eb, refTuple, tuple }) =>
        eb(refTuple('created_at', 'uuid'), '>', tuple(previous!.created_at, previous!.uuid)),
      ),
    )
    .orderBy('created_at')
    .orderBy('uuid')
    .limit(1)
    .executeTakeFirst()

/** Reads one blob, and either stores its digests or finds it damaged. */
export const digestBlob = async (
  parts: Parts,
  blob: BlobRow,
  signal: AbortSignal,
): Promise<'digested' | 'damaged'> => {
  const damage = async (reason: string) => {
    await quarantineBlob(parts, blob.uuid, reason, blob)
    return 'damaged' as const
  }
  let digest: FileDigest
  try {
    const reader = await parts.blobs.open(blob.uuid)
    try {
      digest = await parts.hash.digest(reader, { signal, bytesPerSecond })
    } finally {
      await reader.close()
    }
  } catch (error) {
    if (isHoldfastError(error, 'blob_damaged')) return damage('its file is missing or cannot be read')
    throw error
  }
  if (digest.size !== blob.size) return damage(`its file has ${digest.size} bytes instead of ${blob.size}`)
  if (digest.sha512 !== blob.sha512) return damage('its file has another sha512')
  await storeDigests(parts, blob, digest)
  return 'digested'
}

const storeDigests = (parts: Parts, blob: BlobRow, digest: FileDigest): Promise<void> =>
  parts.db.write(async (trx) => {
    const { sha256, sha1, xxh128, blockSums } = digest
    const { numUpdatedRows } = await trx
      .updateTable('blobs')
      .set({ sha256, sha1, xxh128, verified_at: parts.clock.now() })
      .where('uuid', '=', blob.uuid)
      .where('state', '=', 'created')
      .executeTakeFirstOrThrow()
    // It may have been collected, or quarantined by a reader, while it was read.
    if (numUpdatedRows === 0n) return
    // The SHA-512 has just proved the content, so a list that says otherwise is what is wrong.
    const list = { block_size: blockSize, sums: blockSums }
    await trx
      .insertInto('blob_blocks')
      .values({ blob_uuid: blob.uuid, ...list })
      .onConflict((conflict) => conflict.column('blob_uuid').doUpdateSet(list))
      .execute()
  })
