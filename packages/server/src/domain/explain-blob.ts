/**
 * Why a blob is alive or was deleted: what refers to it, who may rely on it, what collection would say of it, and how
 * it lost its references.
 */
import type { BlobExplanation } from '@holdfast/api/admin-schemas'
import { HoldfastError } from '@holdfast/api/errors'
import type { EventView } from '@holdfast/api/schemas'
import type { Millis, Row } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { listEvents } from './events.ts'
import { readQuarantine } from './quarantine-list.ts'
import { requireSystem, type Sql } from './visibility.ts'

/** References and events shown at most. */
const maxShown = 100

type Reference = BlobExplanation['references'][number]
type Released = BlobExplanation['released'][number]

/** For `system`. Throws `blob_not_found` for a UUID of which nothing is known, or nothing any more. */
export const explainBlob = async (parts: Parts, caller: Caller, uuid: string): Promise<BlobExplanation> => {
  requireSystem(caller)
  const blobUuid = uuid.toLowerCase()
  const { read } = parts.db
  const history = { objectType: 'blob', objectUuid: blobUuid, limit: maxShown } as const
  const events = [...(await listEvents(read, history)).items]
  const row = await read.selectFrom('blobs').selectAll().where('uuid', '=', blobUuid).executeTakeFirst()
  if (!row && events.length === 0) throw new HoldfastError('blob_not_found')
  const released = await findReleases(read, blobUuid, events)
  if (!row) return explainForgotten(blobUuid, events, released)

  const { reference_count, references } = await findReferences(read, blobUuid)
  const leases = await findLeases(parts, blobUuid)
  const collectableAt = collectableFrom(parts, row, reference_count > 0, leases)
  return {
    blob_uuid: blobUuid,
    state: row.state,
    reason: reasonOf(parts, row, reference_count, leases, collectableAt),
    size: row.size,
    sha512: row.sha512,
    reference_count,
    references,
    released,
    leases: leases.map(({ namespace, expires_at }) => ({ namespace, expires_at: expires_at / 1000 })),
    created_at: row.created_at / 1000,
    unreferenced_at: seconds(row.unreferenced_at),
    collectable_at: seconds(collectableAt),
    deleted_at: seconds(row.deleted_at),
    files_removed_at: seconds(row.files_removed_at),
    verified_at: seconds(row.verified_at),
    healed_at: seconds(row.healed_at),
    quarantine: row.state === 'quarantined' ? await readQuarantine(read, blobUuid) : null,
    events,
  }
}

/** Only events are left. */
const explainForgotten = (blob_uuid: string, events: EventView[], released: Released[]): BlobExplanation => {
  const collected = events.find((event) => event.type === 'prune')
  return {
    blob_uuid,
    state: 'forgotten',
    reason: collected
      ? `deleted at ${iso(collected.timestamp * 1000)} by ${collected.fqdn}: ${collected.message}`
      : 'deleted long ago',
    size: typeof collected?.extra.size === 'number' ? collected.extra.size : null,
    sha512: null,
    reference_count: 0,
    references: [],
    released,
    leases: [],
    created_at: null,
    unreferenced_at:
      typeof collected?.extra.unreferenced_at === 'number' ? collected.extra.unreferenced_at : null,
    collectable_at: null,
    deleted_at: collected?.timestamp ?? null,
    files_removed_at: null,
    verified_at: null,
    healed_at: null,
    quarantine: null,
    events,
  }
}

const findReferences = async (
  sql: Sql,
  uuid: string,
): Promise<Pick<BlobExplanation, 'reference_count' | 'references'>> => {
  const live = sql
    .selectFrom('versions')
    .where('versions.blob_uuid', '=', uuid)
    .where('versions.live', '=', 1)
  const { count } = await live.select(({ fn }) => fn.countAll<number>().as('count')).executeTakeFirstOrThrow()
  const references = await live
    .innerJoin('artifacts', 'artifacts.uuid', 'versions.artifact_uuid')
    .select([
      'artifacts.uuid as artifact_uuid',
      'artifacts.namespace',
      'artifacts.name',
      'artifacts.type as artifact_type',
      'versions.idx as index',
    ])
    .limit(maxShown)
    .execute()
  return { reference_count: Number(count), references }
}

const findLeases = ({ db, clock }: Parts, uuid: string): Promise<Row<'leases'>[]> =>
  db.read
    .selectFrom('leases')
    .selectAll()
    .where('blob_uuid', '=', uuid)
    .where('expires_at', '>', clock.now())
    .orderBy('expires_at', 'desc')
    .execute()

const collectableFrom = (
  { config }: Parts,
  row: Row<'blobs'>,
  isReferenced: boolean,
  leases: readonly Row<'leases'>[],
): Millis | null =>
  isReferenced || row.unreferenced_at === null || row.state === 'deleted'
    ? null
    : Math.max(row.unreferenced_at + config.collectGrace * 1000, leases[0]?.expires_at ?? 0)

const reasonOf = (
  { clock, config }: Parts,
  row: Row<'blobs'>,
  referenceCount: number,
  leases: readonly Row<'leases'>[],
  collectableAt: Millis | null,
): string => {
  if (row.state === 'deleted') {
    const since = row.unreferenced_at === null ? '' : ` since ${iso(row.unreferenced_at)}`
    return `deleted at ${iso(row.deleted_at!)} by the job collect-blobs: nothing referred to it${since}`
  }
  if (referenceCount > 0)
    return `alive: ${referenceCount} ${referenceCount === 1 ? 'version holds' : 'versions hold'} it`
  if (collectableAt === null) return 'alive: nothing refers to it, which collection has not noticed yet'
  if (collectableAt <= clock.now()) return 'due: nothing refers to it; the next collection removes it'
  const [lease] = leases
  return lease && lease.expires_at > row.unreferenced_at! + config.collectGrace * 1000
    ? `alive: leased to ${lease.namespace} until ${iso(collectableAt)}`
    : `alive: in its grace period until ${iso(collectableAt)}`
}

/** Events of one artifact that are searched. */
const maxSearched = 1000

/**
 * The references that a blob lost. Its own events name the versions it became, and the events of those artifacts say
 * how each went.
 */
const findReleases = async (
  sql: Sql,
  blobUuid: string,
  events: readonly EventView[],
): Promise<Released[]> => {
  const became = new Map<string, Set<number>>()
  for (const { extra } of events) {
    const { artifact_uuid: artifact, index } = extra
    if (typeof artifact !== 'string' || typeof index !== 'number') continue
    became.set(artifact, (became.get(artifact) ?? new Set()).add(index))
  }
  const released: Released[] = []
  for (const [artifactUuid, indexes] of became) {
    const live = await sql
      .selectFrom('versions')
      .select('idx')
      .where('artifact_uuid', '=', artifactUuid)
      .where('blob_uuid', '=', blobUuid)
      .where('live', '=', 1)
      .execute()
    const gone = [...indexes].filter((index) => !live.some(({ idx }) => idx === index))
    if (gone.length > 0) released.push(...(await releasesBy(sql, artifactUuid, gone)))
  }
  return released.sort((a, b) => b.released_at - a.released_at)
}

const releasesBy = async (
  sql: Sql,
  artifactUuid: string,
  indexes: readonly number[],
): Promise<Released[]> => {
  const artifact = await sql
    .selectFrom('artifacts')
    .select(['namespace', 'name', 'type'])
    .where('uuid', '=', artifactUuid)
    .executeTakeFirst()
  const { items } = await listEvents(sql, {
    objectType: 'artifact',
    objectUuid: artifactUuid,
    limit: maxSearched,
  })
  return indexes.flatMap((index): Released[] => {
    // The deletion of the artifact comes after that of a version; the version's own is what is meant.
    const told =
      items.find(
        ({ message, extra }) => extra.index === index && /^(pruned|deleted) version /.test(message),
      ) ?? items.find(({ message }) => message === 'deleted')
    if (!told) return []
    const reference: Reference = {
      artifact_uuid: artifactUuid,
      namespace: artifact?.namespace ?? '',
      name: artifact?.name ?? '',
      artifact_type: artifact?.type ?? '',
      index,
    }
    return [{ ...reference, released_at: told.timestamp, message: told.message }]
  })
}

const iso = (millis: Millis): string => new Date(millis).toISOString()

const seconds = (millis: Millis | null): number | null => (millis === null ? null : millis / 1000)
