/** What the administrator sees: jobs, collection, verification, quarantine, and why a blob is alive or gone. */
import type { Reply } from '@holdfast/client'
import { factLines } from './metadata.ts'
import { localTime } from './python.ts'
import type { Shape } from './shape.ts'
import { simpleRows, table } from './table.ts'
import { size } from './units.ts'

export type Job = Reply<'showJob'>
export type Collection = Reply<'previewCollection'>
export type Explanation = Reply<'explainBlob'>
export type Verification = Reply<'showVerification'>
export type Quarantined = Reply<'listQuarantine'>[number]
type Text = Exclude<Shape, 'json'>

const time = (seconds: number | null): string => (seconds === null ? '' : localTime(seconds))

/** Rows for people, with words as column names, or for scripts. */
const rows = (names: readonly string[], lines: readonly (readonly unknown[])[], shape: Text): string =>
  shape === 'simple'
    ? simpleRows(names.map((name) => name.replaceAll(' ', '_')).join(','), lines)
    : table(names, lines)

/** What a run did, in words: `collected 3, leftovers 0`. */
export const reportText = (report: Readonly<Record<string, number>> = {}): string =>
  Object.entries(report)
    .map(([name, figure]) => `${name} ${figure}`)
    .join(', ')

const stateOf = (job: Job): string => {
  if (job.is_running) return job.waiting > 0 ? 'running, and again' : 'running'
  return job.waiting > 0 ? 'waiting' : 'idle'
}

/** `admin jobs`. */
export const jobList = (jobs: readonly Job[], shape: Text): string =>
  rows(
    ['name', 'state', 'next run', 'last run', 'seconds', 'outcome', 'report'],
    jobs.map(({ last_run: last, ...job }) => [
      job.name,
      stateOf({ ...job, last_run: last }),
      time(job.next_run_at),
      time(last?.started_at ?? null),
      last?.duration.toFixed(3) ?? '',
      last?.outcome ?? '',
      // Commas part the values of --simple
      last?.error ?? reportText(last?.report).replaceAll(',', shape === 'simple' ? ';' : ','),
    ]),
    shape,
  )

/** `admin collect --dry-run`. */
export const collectionList = ({ due, leftover_files, blobs }: Collection, shape: Text): string => {
  const list = rows(
    ['uuid', 'size', 'unreferenced since', 'collectable', 'due', 'reason'],
    blobs.map((blob) => [
      blob.uuid,
      blob.size,
      time(blob.unreferenced_at),
      time(blob.collectable_at),
      blob.is_due ? 'yes' : 'no',
      blob.reason,
    ]),
    shape,
  )
  if (shape === 'simple') return list
  const summary = `Collection would remove ${due.blobs} of these ${blobs.length} blobs now, ${size(due.bytes)}.`
  const files =
    leftover_files === 0 ? '' : `\nFiles left of blobs that were deleted before: ${leftover_files}.`
  return blobs.length === 0 ? `Something refers to every blob.${files}` : `${list}\n${summary}${files}`
}

/** `admin quarantine`. */
export const quarantineList = (entries: readonly Quarantined[], shape: Text): string =>
  rows(
    ['uuid', 'size', 'since', 'references', 'reason'],
    entries.map((entry) => [
      entry.blob_uuid,
      entry.size,
      time(entry.since),
      entry.reference_count,
      entry.reason,
    ]),
    shape,
  )

/** `admin verify` without a blob. */
export const verificationText = (verification: Verification, shape: Text): string => {
  const { due, interval, bytes_per_second: rate } = verification
  const facts: [string, unknown][] = [
    ['every', interval === 0 ? 'only when asked' : `${interval} s`],
    ['rate', rate === 0 ? 'no limit' : `${size(rate)}/s`],
    ['downloads checked', verification.verifies_reads],
    ['asked for all', time(verification.asked_at)],
    ['oldest', time(verification.oldest_at)],
    ['still to read', `${due.blobs} blobs, ${size(due.bytes)}`],
    ['new blobs', verification.unverified],
    ['in quarantine', verification.quarantined],
    ['state', verification.is_running ? 'running' : 'idle'],
  ]
  return factLines(facts, shape === 'simple', 17).join('\n')
}

/** `admin explain`. */
export const explanationText = (blob: Explanation, shape: Text): string => {
  const simple = shape === 'simple'
  const facts: [string, unknown][] = [
    ['uuid', blob.blob_uuid],
    ['state', blob.state],
    ['reason', blob.reason],
    ['size', blob.size],
    ['sha512', blob.sha512],
    ['references', blob.reference_count],
    ['created', time(blob.created_at)],
    ['unreferenced since', time(blob.unreferenced_at)],
    ['collectable', time(blob.collectable_at)],
    ['deleted', time(blob.deleted_at)],
    ['file removed', time(blob.files_removed_at)],
    ['verified', time(blob.verified_at)],
    ['healed', time(blob.healed_at)],
    ['quarantine', blob.quarantine && `since ${time(blob.quarantine.since)}: ${blob.quarantine.reason}`],
  ]
  const told = facts.filter(([, value]) => simple || (value !== null && value !== ''))
  const lines = factLines(
    told.map(([name, value]) => [name, value ?? '']),
    simple,
    18,
  )
  const section = (title: string, items: readonly string[]) => {
    if (items.length === 0) return
    const word = title.split(' ')[0]!.toLowerCase()
    if (simple) lines.push(...items.map((item) => `${word}:${item}`))
    else lines.push('', `${title}:`, ...items.map((item) => `    ${item}`))
  }
  const nameOf = (reference: Explanation['references'][number]) =>
    `${reference.namespace}/${reference.name} version ${reference.index} (${reference.artifact_type} ${reference.artifact_uuid})`
  section('Held by', blob.references.map(nameOf))
  section(
    'Leased to',
    blob.leases.map(({ namespace, expires_at }) => `${namespace} until ${time(expires_at)}`),
  )
  section(
    'Released by',
    blob.released.map((one) => `${time(one.released_at)} ${nameOf(one)}: ${one.message}`),
  )
  section(
    'Events',
    blob.events.map((event) => `${time(event.timestamp)} ${event.fqdn}: ${event.message}`),
  )
  return lines.join('\n')
}
