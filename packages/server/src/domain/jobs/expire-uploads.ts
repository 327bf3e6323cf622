import type { Parts } from '../../parts.ts'
import { sweepBlobs } from '../recover.ts'
import { expireUploads } from '../uploads.ts'
import type { Job } from './job.ts'

const sweepEveryMs = 3600 * 1000
const sweptAt = new WeakMap<Parts['blobs'], number>()

/**
 * Removes uploads that have had no new data for `config.uploadExpiry`. Once an hour also what was sent to the blob store for
 * uploads that nobody knows of: the store may have begun something and not been able to say so. Among several nodes each does the
 * first for its own, and `expire-lost-uploads.ts` the second for all.
 */
export const expireUploadsJob: Job = {
  name: 'expire-uploads',
  everyNode: true,
  interval: (config) => config.jobInterval,
  run: async (parts) => {
    const now = parts.clock.now()
    // The start has just done it.
    const last = sweptAt.get(parts.blobs) ?? now
    if (now - last >= sweepEveryMs && !parts.nodes.isShared) await sweepBlobs(parts)
    sweptAt.set(parts.blobs, now - last >= sweepEveryMs ? now : last)
    return { expired: await expireUploads(parts) }
  },
}
