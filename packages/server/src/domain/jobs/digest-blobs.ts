/**
 * Makes the digests that a blob does not have when it is made: only SHA-512 and the block checksums come out of the
 * pass that receives the bytes, so that conversion need not wait. The same read proves that what reached the disk
 * is what was received.
 */
import { deleted } from '../../db/database.ts'
import type { Row } from '../../db/schema.ts'
import type { Parts } from '../../parts.ts'
import { verifyBlob } from '../verify-blob.ts'
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
      const verdict = await verifyBlob(parts, blob, { signal, bytesPerSecond })
      if (verdict === 'damaged') report.damaged++
      else if (verdict !== 'gone') report.digested++
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
