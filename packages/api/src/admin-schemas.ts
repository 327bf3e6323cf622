/**
 * What travels in the routes of administration: jobs, collection, verification, and why a blob is alive or gone.
 */
import { type Static, type TSchema, Type } from 'typebox'
import { EventView, Seconds, Size, Uuid } from './schemas.ts'

const OrNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])
const Count = (description?: string) => Type.Integer({ minimum: 0, ...(description && { description }) })

const jobFields = {
  name: Type.String(),
  interval: Type.Number({ description: 'Seconds between the end of a run and the next one' }),
  is_running: Type.Boolean(),
  waiting: Count('Runs that were asked for and have not begun'),
  runs: Count(
    'Runs that have ended since the server started; with several nodes, of those that were asked for',
  ),
  next_run_at: OrNull(Seconds),
  last_run: OrNull(
    Type.Object({
      number: Count('Counted from 1 at the start of the server'),
      started_at: Seconds,
      duration: Type.Number({ description: 'Seconds' }),
      outcome: Type.Union([Type.Literal('done'), Type.Literal('failed'), Type.Literal('stopped')]),
      report: Type.Optional(Type.Record(Type.String(), Type.Number(), { description: 'How many of what' })),
      error: Type.Optional(Type.String({ description: 'Why it failed' })),
    }),
  ),
}

export const JobView = Type.Object(jobFields, { title: 'Job' })
export const JobRunView = Type.Object(
  {
    ...jobFields,
    run: Count('The number of the run that was asked for: it has ended when `runs` is not smaller'),
  },
  { title: 'JobRun' },
)

export const CollectionView = Type.Object(
  {
    grace: Type.Number({ description: 'Seconds that a blob stays after its last reference' }),
    due: Type.Object(
      { blobs: Count(), bytes: Size },
      { description: 'What the next run removes, this page and all others' },
    ),
    leftover_files: Count('Files of blobs deleted before, removed by the next run'),
    blobs: Type.Array(
      Type.Object({
        uuid: Uuid,
        size: Size,
        state: Type.String(),
        unreferenced_at: Seconds,
        collectable_at: Seconds,
        is_due: Type.Boolean(),
        reason: Type.String({ description: 'Why it goes, or why it stays for now; for people' }),
      }),
      { description: 'Blobs that nothing refers to, the one longest unreferenced first' },
    ),
  },
  { title: 'Collection' },
)

const reference = {
  artifact_uuid: Uuid,
  namespace: Type.String(),
  name: Type.String(),
  artifact_type: Type.String(),
  index: Type.Integer(),
}

export const BlobExplanation = Type.Object(
  {
    blob_uuid: Uuid,
    state: Type.Union(
      [
        Type.Literal('created'),
        Type.Literal('quarantined'),
        Type.Literal('deleted'),
        Type.Literal('forgotten'),
      ],
      { description: 'forgotten: deleted so long ago that only events tell of it' },
    ),
    reason: Type.String({ description: 'Why it is alive or was deleted, in one sentence for people' }),
    size: OrNull(Size),
    sha512: OrNull(Type.String()),
    reference_count: Count('Live versions that hold it, in all namespaces'),
    references: Type.Array(Type.Object(reference), { description: 'The first hundred of them' }),
    released: Type.Array(Type.Object({ ...reference, released_at: Seconds, message: Type.String() }), {
      description: 'References that it lost, the newest first, as far as events tell',
    }),
    leases: Type.Array(Type.Object({ namespace: Type.String(), expires_at: Seconds }), {
      description: 'Namespaces that were told of it and may rely on it until then',
    }),
    created_at: OrNull(Seconds),
    unreferenced_at: OrNull(Seconds),
    collectable_at: OrNull(
      Type.Number({ description: 'When collection may take it; null while something refers to it' }),
    ),
    deleted_at: OrNull(Seconds),
    files_removed_at: OrNull(Seconds),
    verified_at: OrNull(Seconds),
    healed_at: OrNull(Seconds),
    quarantine: OrNull(Type.Object({ since: OrNull(Seconds), reason: Type.String() })),
    events: Type.Array(EventView, { description: 'The newest hundred, of all namespaces' }),
  },
  { title: 'BlobExplanation' },
)

export const BlobVerification = Type.Object(
  {
    blob_uuid: Uuid,
    state: Type.Union(
      [Type.Literal('running'), Type.Literal('done'), Type.Literal('failed'), Type.Literal('none')],
      { description: 'none: nobody has asked since the server started, or long ago' },
    ),
    verdict: OrNull(
      Type.Union([
        Type.Literal('good'),
        Type.Literal('damaged'),
        Type.Literal('healed'),
        Type.Literal('gone'),
      ]),
    ),
    error: Type.Optional(Type.String({ description: 'Why it failed' })),
    read_bytes: Size,
    size: Size,
    started_at: OrNull(Seconds),
    ended_at: OrNull(Seconds),
    verified_at: OrNull(Seconds),
  },
  { title: 'BlobVerification' },
)

export const VerificationView = Type.Object(
  {
    interval: Type.Number({
      description: 'Seconds within which every blob is read again; 0: only when asked',
    }),
    bytes_per_second: Type.Integer({ minimum: 0, description: '0 is no limit' }),
    verifies_reads: Type.Boolean({ description: 'Whether every block of a download is checked' }),
    asked_at: OrNull(Seconds),
    oldest_at: OrNull(
      Type.Number({ description: 'When the blob that has waited longest was verified, in seconds' }),
    ),
    due: Type.Object({ blobs: Count(), bytes: Size }, { description: 'What is still to be read' }),
    unverified: Count('New blobs, whose first verification makes their digests'),
    quarantined: Count('Blobs whose bytes are damaged or missing'),
    is_running: Type.Boolean(),
  },
  { title: 'Verification' },
)

export const QuarantineEntry = Type.Object(
  {
    blob_uuid: Uuid,
    size: Size,
    sha512: Type.String(),
    since: OrNull(Seconds),
    reason: Type.String(),
    reference_count: Count('Live versions that hold it'),
  },
  { title: 'QuarantineEntry' },
)

const UsageSample = Type.Object({
  at: Seconds,
  span: Type.Integer({
    minimum: 1,
    description:
      'Seconds that it stands for: the first of a day 86400, the first of an hour 3600, others 300',
  }),
  stored_bytes: Type.Integer({
    minimum: 0,
    description: 'Of all blobs, those that wait for collection included',
  }),
  unreferenced_bytes: Type.Integer({ minimum: 0, description: 'Of blobs that wait for collection' }),
  logical_bytes: Type.Integer({
    minimum: 0,
    description: 'Of all versions, as if each were stored by itself',
  }),
  saved_bytes: Type.Integer({ minimum: 0, description: 'What storing equal content once saves' }),
  blobs: Count(),
  versions: Count(),
  artifacts: Count(),
  uploads: Count('Unfinished ones'),
  upload_bytes: Size,
  free_bytes: Type.Integer({ minimum: 0, description: 'On the filesystem of the data directory' }),
})

export const StoreUsageView = Type.Object(
  {
    node: Type.String({ description: 'The node that answers' }),
    newest: OrNull(UsageSample),
    samples: Type.Array(UsageSample, {
      description: 'The oldest first: all of two days, one an hour of 90 days, one a day of ten years',
    }),
    namespaces: Type.Array(
      Type.Object({
        namespace: Type.String(),
        logical_bytes: Type.Integer({ minimum: 0 }),
        versions: Count(),
      }),
      { description: 'The fifty largest when the newest sample was taken, the largest first' },
    ),
  },
  { title: 'StoreUsage' },
)

export const NodeView = Type.Object(
  {
    name: Type.String(),
    state: Type.Union(
      [Type.Literal('up'), Type.Literal('stopping'), Type.Literal('silent'), Type.Literal('gone')],
      {
        description:
          'stopping: on its way down, or stopped a moment ago; silent: not heard of for a moment; gone: not heard of for longer',
      },
    ),
    url: Type.String({ description: 'Where the other nodes reach it; empty while it starts' }),
    version: Type.String(),
    started_at: Seconds,
    seen_at: Seconds,
    uploads: Count('Unfinished uploads whose bytes it holds'),
    answers: Type.Boolean({ description: 'Whether it is the one that answers this request' }),
  },
  { title: 'Node' },
)

export const FailureView = Type.Object(
  {
    route: Type.String({ description: 'The name of the route in the OpenAPI document' }),
    namespace: Type.String({ description: 'Who asked; empty where nobody was signed in' }),
    code: Type.String(),
    status: Type.Integer(),
    message: Type.String(),
    count: Count('How often, since the server started'),
    first_at: Seconds,
    last_at: Seconds,
    request_id: Type.String({ description: 'Of the last one, as in the log' }),
  },
  { title: 'Failure' },
)

export type StoreUsageView = Static<typeof StoreUsageView>
export type NodeView = Static<typeof NodeView>
export type FailureView = Static<typeof FailureView>
export type JobView = Static<typeof JobView>
export type JobRunView = Static<typeof JobRunView>
export type CollectionView = Static<typeof CollectionView>
export type BlobExplanation = Static<typeof BlobExplanation>
export type BlobVerification = Static<typeof BlobVerification>
export type VerificationView = Static<typeof VerificationView>
export type QuarantineEntry = Static<typeof QuarantineEntry>
