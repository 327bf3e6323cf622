/**
 * The administration's part of the contract. All of it is for the namespace `system` alone, and no request is held
 * open by long work: a reply tells how far it is.
 */
import { Type } from 'typebox'
import {
  BlobExplanation,
  BlobVerification,
  CollectionView,
  FailureView,
  JobRunView,
  JobView,
  NodeView,
  QuarantineEntry,
  StoreUsageView,
  VerificationView,
} from './admin-schemas.ts'
import type { RouteContract } from './contract.ts'
import type { RouteName } from './paths.ts'
import { Maybe, Nothing, PageQuery } from './schemas.ts'

const jobParams = Type.Object({ job: Type.String() })
const blobParams = Type.Object({ blob_uuid: Type.String() })
const wait = Maybe(
  Type.Number({
    minimum: 0,
    maximum: 10,
    description: 'Seconds that the reply may wait for the end of the work; 0 by default',
  }),
)

export const adminContract = {
  listJobs: {
    summary: 'The housekeeping jobs: their last runs and their next ones',
    tag: 'administration',
    reply: Type.Array(JobView),
    errors: ['system_only'],
  },
  showJob: {
    summary: 'One housekeeping job',
    tag: 'administration',
    params: jobParams,
    reply: JobView,
    errors: ['system_only', 'job_not_found'],
  },
  runJob: {
    summary: 'Run a housekeeping job now, after a run that is under way',
    tag: 'administration',
    params: jobParams,
    body: Type.Object({ wait }),
    reply: JobRunView,
    errors: ['system_only', 'job_not_found'],
  },
  previewCollection: {
    summary:
      'What collection would remove now and later, and why; nothing changes. A thousand blobs unless `limit` says otherwise',
    tag: 'administration',
    query: Type.Object(PageQuery),
    reply: CollectionView,
    errors: ['cursor_invalid', 'system_only'],
  },
  explainBlob: {
    summary: 'Why a blob is alive or was deleted, as long as its history is kept',
    tag: 'administration',
    params: blobParams,
    reply: BlobExplanation,
    errors: ['system_only', 'blob_not_found'],
  },
  verifyBlob: {
    summary: 'Read a blob again and compare it with its digest; joins a verification that is under way',
    tag: 'administration',
    params: blobParams,
    body: Type.Object({ wait }),
    reply: BlobVerification,
    errors: ['system_only', 'blob_not_found'],
  },
  showBlobVerification: {
    summary: 'How far a verification that was asked for has come, and what it found',
    tag: 'administration',
    params: blobParams,
    reply: BlobVerification,
    errors: ['system_only', 'blob_not_found'],
  },
  verifyAll: {
    summary:
      'Ask for the verification of all blobs, those in quarantine included; it goes on in the background',
    tag: 'administration',
    reply: VerificationView,
    errors: ['system_only'],
  },
  showVerification: {
    summary: 'How far verification has come, and how many blobs are damaged',
    tag: 'administration',
    reply: VerificationView,
    errors: ['system_only'],
  },
  listQuarantine: {
    summary: 'Blobs whose bytes are damaged or missing, a thousand unless `limit` says otherwise',
    tag: 'administration',
    query: Type.Object(PageQuery),
    reply: Type.Array(QuarantineEntry),
    errors: ['cursor_invalid', 'system_only'],
  },
  showStoreUsage: {
    summary:
      'What the store held over time, and the largest namespaces; two days unless `since` says otherwise',
    tag: 'administration',
    query: Type.Object({
      since: Type.Optional(Type.Number({ minimum: 0, maximum: 1e11, description: 'Seconds since 1970' })),
      span: Type.Optional(
        Type.Number({
          minimum: 0,
          maximum: 1e9,
          description: 'Only samples that stand for at least so many seconds: 3600 or 86400 for fewer',
        }),
      ),
    }),
    reply: StoreUsageView,
    errors: ['system_only'],
  },
  listNodes: {
    summary: 'The nodes of this store: servers that share its database and its blobs',
    tag: 'administration',
    reply: Type.Array(NodeView),
    errors: ['system_only'],
  },
  forgetNode: {
    summary: 'Forget a node that will not come back, with the uploads whose bytes are there',
    tag: 'administration',
    params: Type.Object({ node: Type.String() }),
    reply: Nothing,
    errors: ['system_only', 'node_not_found', 'node_running'],
  },
  listFailures: {
    summary: 'Refusals of late that the administrator may have to do something about, the newest first',
    tag: 'administration',
    reply: Type.Array(FailureView),
    errors: ['system_only'],
  },
} as const satisfies Partial<Record<RouteName, RouteContract>>
