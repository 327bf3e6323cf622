/**
 * What a namespace has stored, and how much it may.
 *
 * Usage is counted when it is asked for, never stored, so it cannot drift. Bytes are those of the distinct blobs that
 * live versions of the namespace's artifacts hold, whoever stored them first, and of its unfinished uploads; what
 * collection has not removed yet is nobody's. Every artifact that is not deleted counts, labels too.
 *
 * The limits are those of the namespace, whoever acts on it. The defaults of the settings do not hold for `system`,
 * so that the administrator is never locked out; limits that are set for it do.
 */
import { HoldfastError } from '@holdfast/api/errors'
import type { UsageView } from '@holdfast/api/schemas'
import { sql } from 'kysely'
import type { Config } from '../config.ts'
import { deleted, type Sql } from '../db/database.ts'
import { prepared } from '../db/prepared.ts'
import type { Row } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { recordEvent } from './events.ts'
import { requireNamespace, requireSystem, systemNamespace } from './visibility.ts'

/** Limits of a namespace; 0 is none. */
export interface Limits {
  readonly bytes: number
  readonly artifacts: number
  readonly uploads: number
}

export type LimitedResource = keyof Limits

/** `quota_exceeded` with the figures that a client can show or act on. */
export const quotaExceeded = (
  resource: LimitedResource,
  figures: { readonly limit: number; readonly used: number; readonly asked: number },
): HoldfastError => new HoldfastError('quota_exceeded', { detail: { resource, ...figures } })

type LimitColumns = Pick<Row<'namespaces'>, 'name' | 'max_bytes' | 'max_artifacts' | 'max_uploads'>

const limitsFor = (config: Config, row: LimitColumns): Limits => {
  const or = (own: number | null, byDefault: number) => own ?? (row.name === systemNamespace ? 0 : byDefault)
  return {
    bytes: or(row.max_bytes, config.namespaceMaxBytes),
    artifacts: or(row.max_artifacts, config.namespaceMaxArtifacts),
    uploads: or(row.max_uploads, config.namespaceMaxUploads),
  }
}

/** The limits of a namespace; of one that does not exist the defaults. */
export const limitsOf = async (sql: Sql, config: Config, namespace: string): Promise<Limits> => {
  const [row] = await selectLimits(sql, { namespace })
  return limitsFor(
    config,
    row ?? { name: namespace, max_bytes: null, max_artifacts: null, max_uploads: null },
  )
}

const selectLimits = prepared((sql, { namespace }: { namespace: string }) =>
  sql
    .selectFrom('namespaces')
    .select(['name', 'max_bytes', 'max_artifacts', 'max_uploads'])
    .where('name', '=', namespace),
)

const liveBlobsOf = (read: Sql, namespace: string) =>
  read
    .selectFrom('artifacts')
    .innerJoin('versions', 'versions.artifact_uuid', 'artifacts.uuid')
    .select('versions.blob_uuid')
    .where('artifacts.namespace', '=', namespace)
    .where('artifacts.state', '<>', deleted)
    .where('versions.live', '=', 1)

/** More versions than this are not counted in the main thread: they take some ten microseconds each. */
const countedAtOnce = 1000

/**
 * Bytes of the distinct blobs that a namespace holds, or is about to: `more` names those. The time it takes grows with the
 * number of its versions, but it keeps nobody else waiting.
 */
export const countBlobBytes = async (
  { read, readAside }: Pick<Parts['db'], 'read' | 'readAside'>,
  namespace: string,
  more: readonly string[] = [],
): Promise<number> => {
  const live = liveBlobsOf(read, namespace)
  const all =
    more.length === 0
      ? live
      : live.union(read.selectFrom('blobs').select('uuid as blob_uuid').where('uuid', 'in', more))
  const sum = read
    .selectFrom('blobs')
    .select(sql<number>`coalesce(sum(size), 0)`.as('bytes'))
    .where('uuid', 'in', all)
  const isLarge = (await live.limit(1).offset(countedAtOnce).executeTakeFirst()) !== undefined
  const [row] = isLarge ? await readAside(sum.compile()) : await sum.execute()
  return Number(row!.bytes)
}

/** Whether a live version of the namespace holds the blob, so that another one costs nothing. */
export const holdsBlob = async (read: Sql, namespace: string, blobUuid: string): Promise<boolean> => {
  const held = await liveBlobsOf(read, namespace)
    .where('versions.blob_uuid', '=', blobUuid)
    .limit(1)
    .executeTakeFirst()
  return held !== undefined
}

/** How many artifacts a namespace has. */
export const countArtifacts = async (read: Sql, namespace: string): Promise<number> => {
  const { count } = await read
    .selectFrom('artifacts')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('namespace', '=', namespace)
    .where('state', '<>', deleted)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** How many unfinished uploads a namespace has. */
export const countUploads = async (read: Sql, namespace: string): Promise<number> => {
  const { count } = await read
    .selectFrom('uploads')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('namespace', '=', namespace)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** The unfinished uploads of a namespace. */
export const listUploadUuids = async (read: Sql, namespace: string): Promise<string[]> =>
  (await read.selectFrom('uploads').select('uuid').where('namespace', '=', namespace).execute()).map(
    ({ uuid }) => uuid,
  )

/** What a namespace within the caller's reach has stored, and its limits. */
export const showUsage = async (parts: Parts, caller: Caller, namespace: string): Promise<UsageView> => {
  const { read } = parts.db
  const limits = limitsFor(parts.config, await requireNamespace(read, caller, namespace))
  const { blobBytes, uploadBytes } = await parts.admission.count(parts, namespace)
  return {
    namespace,
    bytes: blobBytes + uploadBytes,
    blob_bytes: blobBytes,
    upload_bytes: uploadBytes,
    artifacts: await countArtifacts(read, namespace),
    uploads: await countUploads(read, namespace),
    limits: { max_bytes: limits.bytes, max_artifacts: limits.artifacts, max_uploads: limits.uploads },
  }
}

/** New limits: 0 is none, null the default of the settings. */
export type NewLimits = Omit<LimitColumns, 'name'>

/** Sets the limits of a namespace. What it has stored already stays, even beyond them. For `system` only. */
export const setLimits = async (
  parts: Parts,
  caller: Caller,
  namespace: string,
  limits: NewLimits,
): Promise<UsageView> => {
  requireSystem(caller)
  await parts.db.write(async (trx) => {
    await requireNamespace(trx, caller, namespace)
    await trx.updateTable('namespaces').set(limits).where('name', '=', namespace).execute()
    await recordEvent(trx, parts, {
      objectType: 'namespace',
      objectUuid: namespace,
      namespace: caller.namespace,
      type: 'audit',
      message: 'set limits',
      caller,
      extra: limits,
    })
  })
  return showUsage(parts, caller, namespace)
}
