/**
 * Routes of the administration: jobs, collection, verification, and why a blob is alive or gone.
 */

import type { BlobVerification, FailureView } from '@holdfast/api/admin-schemas'
import { explainBlob } from '../../domain/explain-blob.ts'
import { listJobs, runJob, showJob } from '../../domain/jobs/job-view.ts'
import { previewCollection } from '../../domain/jobs/preview-collection.ts'
import { forgetNode, listNodes } from '../../domain/nodes/node-list.ts'
import { listQuarantine } from '../../domain/quarantine-list.ts'
import { listFailures } from '../../domain/recent-failures.ts'
import { showStoreUsage } from '../../domain/usage-history.ts'
import { showVerification, startVerificationOfAll } from '../../domain/verification-status.ts'
import { showVerificationOf, startVerification } from '../../domain/verify-on-demand.ts'
import { requireSystem } from '../../domain/visibility.ts'
import type { Parts } from '../../parts.ts'
import { askOthers } from '../ask-node.ts'
import type { Call, Handlers } from '../handlers.ts'
import { pageReply } from '../list-reply.ts'
import { tellNextPage } from '../page-link.ts'

export const adminHandlers = {
  listJobs: (parts, { caller }) => listJobs(parts, caller),
  showJob: (parts, { caller, params }) => showJob(parts, caller, params.job),
  runJob: (parts, { caller, params, body }) => runJob(parts, caller, params.job, waitMs(body)),

  async previewCollection(parts, call) {
    const { view, next } = await previewCollection(parts, call.caller, call.query)
    tellNextPage(call, next)
    return view
  },

  explainBlob: (parts, { caller, params }) => explainBlob(parts, caller, params.blob_uuid),

  async verifyBlob(parts, call) {
    const { caller, params, body } = call
    // One that is under way on another node is joined by looking at it.
    const others = await verificationsElsewhere(parts, call)
    const running = others.find(({ state }) => state === 'running')
    return running ?? startVerification(parts, caller, params.blob_uuid, waitMs(body))
  },
  async showBlobVerification(parts, call) {
    const own = await showVerificationOf(parts, call.caller, call.params.blob_uuid)
    return newest([own, ...(await verificationsElsewhere(parts, call))])
  },
  verifyAll: (parts, { caller }) => startVerificationOfAll(parts, caller),
  showVerification: (parts, { caller }) => showVerification(parts, caller),

  async listQuarantine(parts, call) {
    return pageReply(call, await listQuarantine(parts, call.caller, call.query))
  },
  showStoreUsage: (parts, { caller, query }) => showStoreUsage(parts, caller, query),
  async listFailures(parts, call) {
    const own = listFailures(parts, call.caller)
    const others = await askOthers<FailureView[]>(parts, call, '/admin/failures')
    return [own, ...others].flat().sort((a, b) => b.last_at - a.last_at)
  },

  listNodes: (parts, { caller }) => listNodes(parts, caller),

  async forgetNode(parts, { caller, params }) {
    await forgetNode(parts, caller, params.node)
    return null
  },
} satisfies Pick<
  Handlers,
  | 'listJobs'
  | 'showJob'
  | 'runJob'
  | 'previewCollection'
  | 'explainBlob'
  | 'verifyBlob'
  | 'showBlobVerification'
  | 'verifyAll'
  | 'showVerification'
  | 'listQuarantine'
  | 'showStoreUsage'
  | 'listFailures'
  | 'listNodes'
  | 'forgetNode'
>

const verificationsElsewhere = (
  parts: Parts,
  call: Pick<Call<'showBlobVerification'>, 'caller' | 'headers' | 'address' | 'params'>,
): Promise<BlobVerification[]> => {
  requireSystem(call.caller)
  const uuid = encodeURIComponent(call.params.blob_uuid)
  return askOthers<BlobVerification>(parts, call, `/admin/blobs/${uuid}/verification`)
}

/** The one that began last: several nodes may have been asked. */
const newest = (verifications: readonly BlobVerification[]): BlobVerification =>
  verifications.reduce((last, one) => ((one.started_at ?? 0) > (last.started_at ?? 0) ? one : last))

const waitMs = ({ wait }: { wait?: number | null }): number => (wait ?? 0) * 1000
