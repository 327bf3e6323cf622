/**
 * Routes of the administration: jobs, collection, verification, and why a blob is alive or gone.
 */
import { explainBlob } from '../../domain/explain-blob.ts'
import { listJobs, runJob, showJob } from '../../domain/jobs/job-view.ts'
import { previewCollection } from '../../domain/jobs/preview-collection.ts'
import { listQuarantine } from '../../domain/quarantine-list.ts'
import { listFailures } from '../../domain/recent-failures.ts'
import { showStoreUsage } from '../../domain/usage-history.ts'
import { showVerification, startVerificationOfAll } from '../../domain/verification-status.ts'
import { showVerificationOf, startVerification } from '../../domain/verify-on-demand.ts'
import type { Handlers } from '../handlers.ts'
import { pageReply } from '../list-reply.ts'
import { tellNextPage } from '../page-link.ts'

export const adminHandlers = {
  listJobs: async (parts, { caller }) => listJobs(parts, caller),
  showJob: async (parts, { caller, params }) => showJob(parts, caller, params.job),
  runJob: (parts, { caller, params, body }) => runJob(parts, caller, params.job, waitMs(body)),

  async previewCollection(parts, call) {
    const { view, next } = await previewCollection(parts, call.caller, call.query)
    tellNextPage(call, next)
    return view
  },

  explainBlob: (parts, { caller, params }) => explainBlob(parts, caller, params.blob_uuid),

  verifyBlob: (parts, { caller, params, body }) =>
    startVerification(parts, caller, params.blob_uuid, waitMs(body)),
  showBlobVerification: (parts, { caller, params }) => showVerificationOf(parts, caller, params.blob_uuid),
  verifyAll: (parts, { caller }) => startVerificationOfAll(parts, caller),
  showVerification: (parts, { caller }) => showVerification(parts, caller),

  async listQuarantine(parts, call) {
    return pageReply(call, await listQuarantine(parts, call.caller, call.query))
  },
  showStoreUsage: (parts, { caller, query }) => showStoreUsage(parts, caller, query),
  listFailures: async (parts, { caller }) => listFailures(parts, caller),
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
>

const waitMs = ({ wait }: { wait?: number | null }): number => (wait ?? 0) * 1000
