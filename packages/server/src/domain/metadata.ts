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
import type { MetadataObjectType, Row } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { recordEvent } from './events.ts'
import { type Reach, withinReach } from './visibility.ts'

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
    const rows = await sql
      .selectFrom('metadata')
      .select(['object_uuid', 'namespace', 'key', 'value'])
      .where('object_type', '=', objectType)
      .where('object_uuid', 'in', uuids.slice(start, start + uuidsPerQuery))
      .$if(objectType === 'blob', (query) =>
        query.where((eb) => withinReach(reach)(eb.ref('metadata.namespace'))),
      )
      .orderBy('key')
      .execute()
    // What counts most is set last.
    rows.sort((a, b) => rank(reach, b) - rank(reach, a))
    for (const row of rows) define(result.get(row.object_uuid)!, row.key, JSON.parse(row.value))
  }
  return result
}

/** The own namespace comes first in a reach; for `system`, which reaches all, its name has to be asked for. */
const rank = (reach: Reach, row: Pick<Row<'metadata'>, 'namespace'>): number =>
  reach === 'all' ? (row.namespace === 'system' ? 0 : 1) : reach.indexOf(row.namespace)

/** Sets a property whatever its name; `__proto__` is a name like any other here. */
const define = (object: Record<string, unknown>, key: string, value: unknown) =>
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })

/** The object whose metadata change; the caller must have been found to have the right. */
export interface MetadataObject {
  readonly objectType: MetadataObjectType
  /** The object's UUID; for a namespace its name. */
  readonly uuid: string
}

const ownerOf = (object: MetadataObject, caller: Caller) =>
  object.objectType === 'blob' ? caller.namespace : ''

/** Sets one value; throws `metadata_too_large` when the object's metadata would grow beyond their limit. */
export const setMetadata = async (
  trx: Sql,
  parts: Parts,
  caller: Caller,
  object: MetadataObject,
  key: string,
  value: unknown,
): Promise<void> => {
  const row = {
    object_type: object.objectType,
    object_uuid: object.uuid,
    namespace: ownerOf(object, caller),
    key,
    value: JSON.stringify(value),
  }
  const { others } = await trx
    .selectFrom('metadata')
    .select(raw<number | null>`sum(length(key) + length(value))`.as('others'))
    .where('object_type', '=', row.object_type)
    .where('object_uuid', '=', row.object_uuid)
    .where('namespace', '=', row.namespace)
    .where('key', '<>', key)
    .executeTakeFirstOrThrow()
  if (Number(others ?? 0) + key.length + Buffer.byteLength(row.value) > maxMetadataBytes)
    throw new HoldfastError('metadata_too_large', { detail: { max_bytes: maxMetadataBytes } })
  await trx
    .insertInto('metadata')
    .values(row)
    .onConflict((conflict) =>
      conflict.columns(['object_type', 'object_uuid', 'namespace', 'key']).doUpdateSet({ value: row.value }),
    )
    .execute()
  await recordChange(trx, parts, caller, object, 'set metadata', key)
}

/**
 * Deletes one value; a missing one is fine. For a blob all the values go that `reach` sees, so that the key is gone
 * for the caller and not replaced by a value of another namespace.
 */
export const deleteMetadata = async (
  trx: Sql,
  parts: Parts,
  caller: Caller,
  object: MetadataObject,
  key: string,
  reach: Reach,
): Promise<void> => {
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
}

/** Values stay out of the history: people keep what they like in them. */
const recordChange = (
  trx: Sql,
  parts: Parts,
  caller: Caller,
  object: MetadataObject,
  message: string,
  key: string,
) =>
  recordEvent(trx, parts, {
    objectType: object.objectType,
    objectUuid: object.uuid,
    namespace: caller.namespace,
    type: 'mutate',
    message,
    caller,
    extra: { key },
  })
