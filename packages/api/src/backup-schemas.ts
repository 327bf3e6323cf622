/**
 * What travels in the routes of backups and of the check of metadata against files.
 */
import { type Static, Type } from 'typebox'
import { Seconds, Size } from './schemas.ts'

const Count = (description?: string) => Type.Integer({ minimum: 0, ...(description && { description }) })
const TaskState = Type.Union([Type.Literal('running'), Type.Literal('done'), Type.Literal('failed')])
const EndedAt = Type.Union([Seconds, Type.Null()])

export const BackupView = Type.Object(
  {
    name: Type.String({ description: "The directory below the server's HOLDFAST_BACKUP_DIR" }),
    state: TaskState,
    phase: Type.Union([Type.Literal('database'), Type.Literal('blobs'), Type.Literal('finishing')]),
    started_at: Type.Number({ description: 'What was acknowledged before is in the backup; in seconds' }),
    ended_at: EndedAt,
    error: Type.Optional(Type.String({ description: 'Why it failed' })),
    blobs_total: Count(),
    bytes_total: Size,
    blobs_done: Count(),
    bytes_done: Size,
    linked_blobs: Count('Given a second name on the same file system'),
    copied_blobs: Count(),
    copied_bytes: Size,
    kept_blobs: Count('Were there from an earlier backup'),
    removed_blobs: Count('Of an earlier backup, in the store no more'),
    damaged_blobs: Count('The store had no good bytes of them, and the backup has none either'),
    damaged: Type.Array(Type.Object({ uuid: Type.String(), reason: Type.String() }), {
      description: 'The first hundred of them',
    }),
  },
  { title: 'Backup' },
)

export const CheckFault = Type.Object(
  {
    kind: Type.Union(
      [
        Type.Literal('file_missing'),
        Type.Literal('file_size_wrong'),
        Type.Literal('file_stray'),
        Type.Literal('file_unknown'),
        Type.Literal('quarantine_stray'),
        Type.Literal('upload_without_files'),
        Type.Literal('upload_without_row'),
        Type.Literal('reference_to_deleted'),
        Type.Literal('lease_of_deleted'),
        Type.Literal('unreferenced_unnoticed'),
        Type.Literal('referenced_unnoticed'),
        Type.Literal('database_damaged'),
      ],
      { description: 'docs/operators-guide.md says what each means; a newer server may know more' },
    ),
    object: Type.String({ description: 'A UUID, or a path in the data directory' }),
    message: Type.String({ description: 'For people' }),
    outcome: Type.Union([Type.Literal('found'), Type.Literal('repaired'), Type.Literal('left')], {
      description:
        'found: nothing was to be repaired; left: it could not or need not be repaired, the message says why',
    }),
  },
  { title: 'CheckFault' },
)

export const CheckView = Type.Object(
  {
    state: TaskState,
    repair: Type.Boolean(),
    started_at: Seconds,
    ended_at: EndedAt,
    error: Type.Optional(Type.String({ description: 'Why it failed' })),
    checked_blobs: Count(),
    checked_files: Count(),
    checked_uploads: Count(),
    quarantined_blobs: Count('Known to be damaged before; not faults of this check'),
    found: Count('Faults'),
    repaired: Count('Of them'),
    faults: Type.Array(CheckFault, { description: 'The first thousand' }),
  },
  { title: 'Check' },
)

export type BackupView = Static<typeof BackupView>
export type CheckFault = Static<typeof CheckFault>
export type CheckView = Static<typeof CheckView>
