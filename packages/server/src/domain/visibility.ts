/**
 * Who may see and do what: the only place that decides it.
 *
 * A caller acts on the objects of its own namespace and of those that trust it (its *reach*); `system` on all.
 * Shared artifacts can be read by everybody. A blob is visible to whoever sees a live version that holds it, or holds
 * a lease on it. What one may not see answers exactly like what does not exist.
 *
 * A deleted namespace may be created again, by other people. Rows that outlive a deletion (tombstones, events)
 * belong to the present life of the name only if they are not older than its `created_at`.
 */
import { HoldfastError } from '@holdfast/api/errors'
import type { Expression, ExpressionBuilder, SqlBool } from 'kysely'
import { expressionBuilder } from 'kysely'
import { asLiteral, deleted, type Sql } from '../db/database.ts'
import { fixed, prepared, type QueryValues } from '../db/prepared.ts'
import type { Row, Schema } from '../db/schema.ts'
import type { Caller } from '../parts.ts'

export type { Sql }

/** The administrator's namespace. */
export const systemNamespace = 'system'

/** The namespaces on whose objects a caller may act, the own one first; `all` for `system`. */
export type Reach = 'all' | readonly string[]

export const reachOf = async (sql: Sql, caller: Pick<Caller, 'namespace'>): Promise<Reach> => {
  const { namespace } = caller
  if (namespace === systemNamespace) return 'all'
  const trusting = await selectTrusting(sql, { namespace })
  return [namespace, ...trusting.map((row) => row.namespace)]
}

const selectTrusting = prepared((sql, { namespace }: { namespace: string }) =>
  sql
    .selectFrom('trusts')
    .select('namespace')
    .where('trusted', '=', namespace)
    .where('namespace', '<>', namespace)
    .orderBy('namespace'),
)

/** A reach as a value of a prepared query. */
export const preparedReach = (reach: Reach): Reach => (reach === 'all' ? fixed(reach) : reach)

/** Whether objects of `namespace` are within reach. */
export const mayAct = (reach: Reach, namespace: string): boolean =>
  reach === 'all' || reach.includes(namespace)

/** A condition on a column that holds a namespace: it is within reach. */
export const withinReach =
  (reach: Reach) =>
  (column: Expression<string>): Expression<SqlBool> => {
    const eb = expressionBuilder<Schema, never>()
    return reach === 'all' ? eb.lit(true) : eb(column, 'in', reach)
  }

/** A condition for queries on `artifacts`: the row may be read. `query.where(readableArtifacts(reach))`. */
export const readableArtifacts =
  (reach: Reach) =>
  <DB extends Pick<Schema, 'artifacts' | 'namespaces'>, T extends keyof DB>(
    _: ExpressionBuilder<DB, T>,
  ): Expression<SqlBool> => {
    const eb = expressionBuilder<Schema, 'artifacts'>()
    if (reach === 'all') return eb.lit(true)
    return eb.and([
      eb.or([withinReach(reach)(eb.ref('artifacts.namespace')), eb('artifacts.shared', '=', 1)]),
      eb.or([
        eb('artifacts.state', '<>', deleted),
        eb.exists(
          eb
            .selectFrom('namespaces')
            .select('namespaces.name')
            .whereRef('namespaces.name', '=', 'artifacts.namespace')
            .where('namespaces.state', '<>', deleted)
            .whereRef('namespaces.created_at', '<=', 'artifacts.deleted_at'),
        ),
      ]),
    ])
  }

/**
 * A condition for queries on `blobs`: the row may be seen at `now` (ms) by a caller with this reach. Deleted blobs
 * may be seen by nobody.
 */
export const readableBlobs =
  (reach: Reach, caller: Pick<Caller, 'namespace'>, now: number) =>
  <DB extends Pick<Schema, 'blobs' | 'artifacts' | 'versions' | 'leases'>, T extends keyof DB>(
    _: ExpressionBuilder<DB, T>,
  ): Expression<SqlBool> => {
    const eb = expressionBuilder<Schema, 'blobs'>()
    const exists = eb('blobs.state', '<>', deleted)
    if (reach === 'all') return exists
    return eb.and([
      exists,
      eb.or([
        eb.exists(
          eb
            .selectFrom('versions')
            .innerJoin('artifacts', 'artifacts.uuid', 'versions.artifact_uuid')
            .select('versions.blob_uuid')
            .whereRef('versions.blob_uuid', '=', 'blobs.uuid')
            .where('versions.live', '=', 1)
            .where('artifacts.state', '<>', deleted)
            .where(readableArtifacts(reach)),
        ),
        eb.exists(
          eb
            .selectFrom('leases')
            .select('leases.blob_uuid')
            .whereRef('leases.blob_uuid', '=', 'blobs.uuid')
            .where('leases.namespace', '=', caller.namespace)
            .where('leases.expires_at', '>', now),
        ),
      ]),
    ])
  }

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
/** More candidates than this help nobody. */
const maxCandidates = 100

/**
 * The artifact that `ref`, a UUID or a name, means to the caller.
 *
 * By UUID: in any state. By name: live ones, the caller's own before those that are shared or of trusting
 * namespaces; several of the same rank are refused with `artifact_ambiguous` and the candidates. A name means the
 * same artifact for reading and for writing. Throws `artifact_not_found` for what the caller may not read, and with
 * `write` also for what it merely reads. `known` is the caller's reach, where it has been looked up.
 */
export const findArtifact = async (
  sql: Sql,
  caller: Caller,
  ref: string,
  access: 'read' | 'write',
  known?: Reach,
): Promise<Row<'artifacts'>> => {
  const reach = known ?? (await reachOf(sql, caller))
  const found =
    (uuidPattern.test(ref) && (await findByUuid(sql, reach, ref.toLowerCase()))) ||
    (await findByName(sql, caller, reach, ref))
  if (!found || (access === 'write' && !mayAct(reach, found.namespace)))
    throw new HoldfastError('artifact_not_found')
  return found
}

const findByUuid = async (sql: Sql, reach: Reach, uuid: string): Promise<Row<'artifacts'> | undefined> =>
  (await selectByUuid(sql, { reach: preparedReach(reach), uuid }))[0]

const selectByUuid = prepared((sql, { reach, uuid }: { reach: Reach; uuid: string }) =>
  sql.selectFrom('artifacts').selectAll().where('uuid', '=', uuid).where(readableArtifacts(reach)),
)

/**
 * Each part of the question has an index of its own, so that the time does not tell how many foreign artifacts have
 * this name.
 */
const findByName = async (sql: Sql, caller: Caller, reach: Reach, name: string) => {
  let matches = await selectOwnByName(sql, { name, namespace: caller.namespace })
  if (matches.length === 0 && reach === 'all') matches = await selectByName(sql, { name })
  else if (matches.length === 0 && reach !== 'all') {
    const shared = await selectSharedByName(sql, { name })
    matches = [...shared, ...(await selectTrustingByName(sql, { name, reach }))]
  }
  if (matches.length > 1)
    throw new HoldfastError('artifact_ambiguous', {
      message: `multiple artifacts have the name "${name}" in namespace "${caller.namespace}"`,
      detail: {
        candidates: matches.map(({ uuid, namespace, type, source_url }) => ({
          uuid,
          namespace,
          type,
          source_url,
        })),
      },
    })
  return matches[0]
}

const named = (sql: Sql, name: string) =>
  sql
    .selectFrom('artifacts')
    .selectAll()
    .where('name', '=', name)
    .where('state', '<>', deleted)
    .limit(asLiteral(maxCandidates))

const selectByName = prepared((sql, { name }: { name: string }) => named(sql, name))

const selectOwnByName = prepared((sql, { name, namespace }: { name: string; namespace: string }) =>
  named(sql, name).where('namespace', '=', namespace),
)

const selectSharedByName = prepared((sql, { name }: { name: string }) =>
  named(sql, name).where((eb) => eb('shared', '=', eb.lit(1))),
)

const selectTrustingByName = prepared((sql, { name, reach }: { name: string; reach: readonly string[] }) =>
  named(sql, name).where('namespace', 'in', reach).where('shared', '=', 0),
)

/** The blob with this UUID, if the caller may see it at `now` (ms); else `blob_not_found`. One may be quarantined. */
export const findBlob = async (
  sql: Sql,
  caller: Caller,
  uuid: string,
  now: number,
): Promise<Row<'blobs'>> => {
  const [found] = await selectBlob(sql, {
    uuid: uuid.toLowerCase(),
    reach: preparedReach(await reachOf(sql, caller)),
    namespace: caller.namespace,
    now,
  })
  if (!found) throw new HoldfastError('blob_not_found')
  return found
}

interface BlobQuestion extends QueryValues {
  readonly uuid: string
  readonly reach: Reach
  readonly namespace: string
  readonly now: number
}

const selectBlob = prepared((sql, { uuid, reach, namespace, now }: BlobQuestion) =>
  sql
    .selectFrom('blobs')
    .selectAll()
    .where('uuid', '=', uuid)
    .where(readableBlobs(reach, { namespace }, now)),
)

/** The same, for making a version of it: one in quarantine is refused with `blob_damaged`. */
export const findWholeBlob = async (...question: Parameters<typeof findBlob>): Promise<Row<'blobs'>> => {
  const blob = await findBlob(...question)
  if (blob.state === 'quarantined')
    throw new HoldfastError('blob_damaged', { detail: { blob_uuid: blob.uuid } })
  return blob
}

/** The live namespace of this name, if it is within the caller's reach; else `namespace_not_found`. */
export const requireNamespace = async (
  sql: Sql,
  caller: Caller,
  name: string,
): Promise<Row<'namespaces'>> => {
  const found = mayAct(await reachOf(sql, caller), name) && (await findNamespace(sql, name))
  if (!found) throw new HoldfastError('namespace_not_found')
  return found
}

/** The live namespace of this name, whoever asks. */
export const findNamespace = async (sql: Sql, name: string): Promise<Row<'namespaces'> | undefined> =>
  (await selectNamespace(sql, { name }))[0]

const selectNamespace = prepared((sql, { name }: { name: string }) =>
  sql.selectFrom('namespaces').selectAll().where('name', '=', name).where('state', '<>', deleted),
)

/** Refuses everybody but `system`. */
export const requireSystem = (caller: Pick<Caller, 'namespace'>): void => {
  if (caller.namespace !== systemNamespace) throw new HoldfastError('system_only')
}
