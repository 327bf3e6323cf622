/**
 * Keys and values that people attach to objects; a value is any JSON.
 *
 * A blob is shared by everybody who stored the same content, so its metadata carry the namespace that set them and are
 * seen only by those who may act on that namespace. Where several of those set the same key, the caller's own
 * value counts.
 */
import { HoldfastError } from '@holdfast/api/errors'
import { maxMetadataBytes } from '@holdfast/api/limits'
import { sql as raw } from 'kysely'
import type { Sql } from '../db/database.ts'
import { fixed, prepared } from '../db/prepared.ts'
import type { MetadataObjectType, Row } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { recordEvent } from './events.ts'
import { listValue } from './listed-metadata.ts'
import {
  findArtifact,
  findBlob,
  preparedReach,
  type Reach,
  reachOf,
  requireNamespace,
  systemNamespace,
  withinReach,
} from './visibility.ts'

/** All metadata of one object that `reach` may see. Objects other than blobs must have been looked up before. */
export const readMetadata = async (
  sql: Sql,
  objectType: MetadataObjectType,
  uuid: string,
  reach: Reach,
): Promise<Record<string, unknown>> => (await readMetadataOf(sql, objectType, [uuid], reach)).get(uuid)!

/** SQL statements hold a bounded number of values. */
const uuidsPerQuery = 1000

/** The same for many objects, with few queries. The map has an entry, if an empty one, for each of `uuids`. */
export const readMetadataOf = async (
  sql: Sql,
  objectType: MetadataObjectType,
  uuids: readonly string[],
  reach: Reach,
): Promise<Map<string, Record<string, unknown>>> => {
  const result = new Map<string, Record<string, unknown>>(uuids.map((uuid) => [uuid, {}]))
  for (let start = 0; start < uuids.length; start += uuidsPerQuery) {
    const rows = await selectMetadata(sql, {
      objectType: fixed(objectType),
      uuids: uuids.slice(start, start + uuidsPerQuery),
      reach: preparedReach(reach),
    })
    // What counts most is set last.
    rows.sort((a, b) => rank(reach, b) - rank(reach, a))
    for (const row of rows) define(result.get(row.object_uuid)!, row.key, JSON.parse(row.value))
  }
  return result
}

const selectMetadata = prepared(
  (
    sql,
    { objectType, uuids, reach }: { objectType: MetadataObjectType; uuids: readonly string[]; reach: Reach },
  ) =>
    sql
      .selectFrom('metadata')
      .select(['object_uuid', 'namespace', 'key', 'value'])
      .where('object_type', '=', objectType)
      .where('object_uuid', 'in', uuids)
      .$if(objectType === 'blob', (query) =>
        query.where((eb) => withinReach(reach)(eb.ref('metadata.namespace'))),
      )
      .orderBy('key'),
)

/** The own namespace comes first in a reach; for `system`, which reaches all, its name has to be asked for. */
const rank = (reach: Reach, row: Pick<Row<'metadata'>, 'namespace'>): number =>
  reach === 'all' ? (row.namespace === systemNamespace ? 0 : 1) : reach.indexOf(row.namespace)

/** Sets a property whatever its name; `__proto__` is a name like any other here. */
const define = (object: Record<string, unknown>, key: string, value: unknown) =>
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })

/** The object that a request names. */
export interface MetadataTarget {
  readonly type: MetadataObjectType
  /** A blob's UUID, an artifact's UUID or name, a namespace's name. */
  readonly ref: string
}

/** What the request means, once it is clear that the caller may. */
interface FoundObject {
  readonly objectType: MetadataObjectType
  /** The object's UUID; for a namespace its name. */
  readonly uuid: string
}

const findObject = async (
  sql: Sql,
  parts: Parts,
  caller: Caller,
  { type, ref }: MetadataTarget,
  access: 'read' | 'write',
): Promise<FoundObject> => {
  switch (type) {
    case 'artifact':
      return { objectType: type, uuid: (await findArtifact(sql, caller, ref, access)).uuid }
    case 'blob':
      // Whoever sees a blob may note something about it, as nobody else will see the note.
      return { objectType: type, uuid: (await findBlob(sql, caller, ref, parts.clock.now())).uuid }
    case 'namespace':
      return { objectType: type, uuid: (await requireNamespace(sql, caller, ref)).name }
  }
}

/** The metadata of an object that the caller may read. */
export const showMetadata = async (
  parts: Parts,
  caller: Caller,
  target: MetadataTarget,
): Promise<Record<string, unknown>> => {
  const sql = parts.db.read
  const { objectType, uuid } = await findObject(sql, parts, caller, target, 'read')
  return readMetadata(sql, objectType, uuid, await reachOf(sql, caller))
}

/** Sets one value; throws `metadata_too_large` when the object's metadata would grow beyond their limit. */
export const setMetadata = (
  parts: Parts,
  caller: Caller,
  target: MetadataTarget,
  key: string,
  value: unknown,
): Promise<void> =>
  parts.db.write(async (trx) => {
    const object = await findObject(trx, parts, caller, target, 'write')
    const row = {
      object_type: object.objectType,
      object_uuid: object.uuid,
      namespace: object.objectType === 'blob' ? caller.namespace : '',
      key,
      value: JSON.stringify(value),
    }
    await checkSize(trx, row)
    await trx
      .insertInto('metadata')
      .values(row)
      .onConflict((conflict) =>
        conflict
          .columns(['object_type', 'object_uuid', 'namespace', 'key'])
          .doUpdateSet({ value: row.value }),
      )
      .execute()
    await listValue(trx, row)
    await recordChange(trx, parts, caller, object, 'set metadata', key)
  })

const checkSize = async (trx: Sql, row: Row<'metadata'>): Promise<void> => {
  const { bytes } = await trx
    .selectFrom('metadata')
    .select(raw<number | null>`sum(octet_length(key) + octet_length(value))`.as('bytes'))
    .where('object_type', '=', row.object_type)
    .where('object_uuid', '=', row.object_uuid)
    .where('namespace', '=', row.namespace)
    .where('key', '<>', row.key)
    .executeTakeFirstOrThrow()
  // PostgreSQL's sums are strings.
  const total = Number(bytes ?? 0) + Buffer.byteLength(row.key) + Buffer.byteLength(row.value)
  if (total > maxMetadataBytes)
    throw new HoldfastError('metadata_too_large', { detail: { max_bytes: maxMetadataBytes } })
}

/**
 * Deletes one value; a missing one is fine. For a blob all values of this key go that the caller may act on, so that
 * the key is gone and not replaced by the value of a trusting namespace.
 */
export const deleteMetadata = (
  parts: Parts,
  caller: Caller,
  target: MetadataTarget,
  key: string,
): Promise<void> =>
  parts.db.write(async (trx) => {
    const object = await findObject(trx, parts, caller, target, 'write')
    const reach = await reachOf(trx, caller)
    const { numDeletedRows } = await trx
      .deleteFrom('metadata')
      .where('object_type', '=', object.objectType)
      .where('object_uuid', '=', object.uuid)
      .where('key', '=', key)
      .$if(object.objectType === 'blob', (query) =>
        query.where((eb) => withinReach(reach)(eb.ref('metadata.namespace'))),
      )
      .executeTakeFirstOrThrow()
    if (numDeletedRows > 0n) await recordChange(trx, parts, caller, object, 'delete metadata', key)
  })

/** Values stay out of the history: people keep what they like in them. */
const recordChange = (
  trx: Sql,
  parts: Parts,
  caller: Caller,
  object: FoundObject,
  message: string,
  key: string,
): Promise<void> =>
  recordEvent(trx, parts, {
    objectType: object.objectType,
    objectUuid: object.uuid,
    namespace: caller.namespace,
    type: 'mutate',
    message,
    caller,
    extra: { key },
  })
