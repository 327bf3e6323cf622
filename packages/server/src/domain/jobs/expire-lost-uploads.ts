/**
 * Among several nodes: removes the uploads of nodes that are gone, when their time has come, and once an hour what was sent to
 * the blob store for uploads that nobody knows of.
 *
 * When an upload had its newest data is in a file of its node. A node may take more after it last said that it is there, until the
 * others take it for gone; from then on the time of its uploads runs. A node that comes back later finds files without rows, and
 * removes them.
 */
import type { Parts } from '../../parts.ts'
import { recordEvents } from '../events.ts'
import { sweepBlobs } from '../recover.ts'
import type { Job, JobReport } from './job.ts'

const sweepEveryMs = 3600 * 1000
const sweptAt = new WeakMap<Parts['blobs'], number>()
/** Uploads in one transaction. */
const batchSize = 200

export const expireLostUploadsJob: Job = {
  name: 'expire-lost-uploads',
  interval: (config) => config.jobInterval,
  async run(parts, signal) {
    const report = await expireLostUploads(parts, signal)
    const now = parts.clock.now()
    // What a node had admitted that was started again, or is gone for long.
    await parts.db.write((trx) =>
      trx
        .deleteFrom('holds')
        .where('run', 'not in', (eb) =>
          eb
            .selectFrom('nodes')
            .select('nodes.run')
            .where('nodes.seen_at', '>', now - sweepEveryMs),
        )
        .execute(),
    )
    // At its start every node has done it for itself.
    const last = sweptAt.get(parts.blobs) ?? now
    if (now - last >= sweepEveryMs) await sweepBlobs(parts)
    sweptAt.set(parts.blobs, now - last >= sweepEveryMs ? now : last)
    return report
  },
}

/** Removes them in batches; what a node still does with one that it has lost so finds no row, and undoes itself. */
export const expireLostUploads = async (parts: Parts, signal: AbortSignal): Promise<JobReport> => {
  const idleSince = parts.clock.now() - parts.config.uploadExpiry * 1000
  const seenSince = idleSince - parts.config.nodeTimeout * 1000
  let expired = 0
  for (let count = batchSize; count === batchSize && !signal.aborted; ) {
    count = await parts.db.write(async (trx) => {
      const rows = await trx
        .selectFrom('uploads')
        .leftJoin('nodes', 'nodes.name', 'uploads.node')
        .select(['uploads.uuid', 'uploads.node'])
        .where('uploads.created_at', '<=', idleSince)
        // Looked at in this transaction: a node that comes back at this moment keeps what it has, or is too late.
        .where((eb) => eb.or([eb('nodes.seen_at', 'is', null), eb('nodes.seen_at', '<=', seenSince)]))
        .limit(batchSize)
        .execute()
      if (rows.length === 0) return 0
      await trx
        .deleteFrom('uploads')
        .where(
          'uuid',
          'in',
          rows.map(({ uuid }) => uuid),
        )
        .execute()
      await recordEvents(
        trx,
        parts,
        rows.map(({ uuid, node }) => ({
          objectType: 'upload',
          objectUuid: uuid,
          namespace: '',
          type: 'audit',
          message: 'expired: its node is gone',
          extra: { node },
        })),
      )
      return rows.length
    })
    expired += count
  }
  parts.metrics.removedUploads.inc(expired)
  return { expired }
}
