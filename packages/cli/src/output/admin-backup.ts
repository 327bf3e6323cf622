/** What the administrator sees of backups and checks. */
import type { Reply } from '@holdfast/client'
import { factLines } from './metadata.ts'
import { localTime } from './python.ts'
import type { Shape } from './shape.ts'
import { simpleRows, table } from './table.ts'
import { duration, size } from './units.ts'

export type Backup = NonNullable<Reply<'showBackup'>>
export type Check = NonNullable<Reply<'showCheck'>>
type Text = Exclude<Shape, 'json'>

/** How far a backup is, in a line. */
export const progressText = (backup: Backup): string =>
  backup.phase === 'blobs'
    ? `backup: ${backup.blobs_done} of ${backup.blobs_total} blobs, ${size(backup.bytes_done)} of ${size(backup.bytes_total)}`
    : `backup: ${backup.phase === 'database' ? 'copying the database' : 'finishing'}`

const took = ({ started_at, ended_at }: { started_at: number; ended_at: number | null }): string =>
  ended_at === null ? '' : duration(ended_at - started_at)

/** `admin backup`. */
export const backupText = (backup: Backup, shape: Text): string => {
  const facts: [string, unknown][] = [
    ['name', backup.name],
    ['state', backup.state],
    ...(backup.error === undefined ? [] : [['error', backup.error] as [string, unknown]]),
    ['as of', localTime(backup.started_at)],
    ['took', took(backup)],
    ['blobs', backup.blobs_total],
    ['bytes', shape === 'simple' ? backup.bytes_total : size(backup.bytes_total)],
    ['linked', backup.linked_blobs],
    ['copied', backup.copied_blobs],
    ['kept', backup.kept_blobs],
    ['removed', backup.removed_blobs],
    ['damaged', backup.damaged_blobs],
  ]
  const damaged = backup.damaged.map(({ uuid, reason }) =>
    shape === 'simple' ? `damaged,${uuid},${reason}` : `    ${uuid}: ${reason}`,
  )
  const running = backup.state === 'running' && shape === 'pretty' ? [progressText(backup)] : []
  return [...factLines(facts, shape === 'simple', 9), ...damaged, ...running].join('\n')
}

/** `admin check`. */
export const checkText = (check: Check, shape: Text): string => {
  const rows = check.faults.map(({ kind, object, outcome, message }) => [kind, object, outcome, message])
  if (shape === 'simple') return simpleRows('kind,object,outcome,message', rows)
  const figures =
    `Checked ${check.checked_blobs} blobs, ${check.checked_files} files and ${check.checked_uploads} uploads: ` +
    `${check.found} faults, ${check.repaired} repaired.`
  const quarantine =
    check.quarantined_blobs === 0
      ? []
      : [`In quarantine: ${check.quarantined_blobs}; \`holdfast admin quarantine\` lists them.`]
  const list = rows.length === 0 ? [] : [table(['kind', 'object', 'outcome', 'what'], rows)]
  return [...list, figures, ...quarantine].join('\n')
}
