/**
 * Keeps `metadata_values`, by which lists find objects with a metadata value, in step with the objects: what artifacts are
 * sorted by is repeated there. All of it belongs to the transaction of the change itself.
 */

import type { Sql } from '../db/database.ts'
import { deleted } from '../db/database.ts'
import { textDigest, valueDigest } from '../db/metadata-digest.ts'
import type { Row } from '../db/schema.ts'

export { textDigest }

/** A metadata row has been set: lists find its object by the new value. */
export const listValue = async (trx: Sql, row: Row<'metadata'>): Promise<void> => {
  if (row.object_type === 'namespace') return
  await trx
    .deleteFrom('metadata_values')
    .where('object_type', '=', row.object_type)
    .where('object_uuid', '=', row.object_uuid)
    .where('namespace', '=', row.namespace)
    .where('key', '=', row.key)
    .execute()
  const object =
    row.object_type === 'artifact'
      ? await trx
          .selectFrom('artifacts')
          .select(['namespace as owner', 'shared', 'name', 'size', 'created_at', 'updated_at'])
          .where('uuid', '=', row.object_uuid)
          .where('state', '<>', deleted)
          .executeTakeFirst()
      : await trx
          .selectFrom('blobs')
          .select(['size', 'created_at', 'created_at as updated_at'])
          .where('uuid', '=', row.object_uuid)
          .executeTakeFirst()
  if (!object) return
  const { object_type, object_uuid, namespace, key, value } = row
  await trx
    .insertInto('metadata_values')
    .values({
      object_type,
      object_uuid,
      namespace,
      key,
      digest: valueDigest(value),
      owner: '',
      shared: 0,
      name: '',
      ...object,
    })
    .execute()
}

/** What an artifact is sorted or found by has changed. */
export const relistArtifact = async (
  trx: Sql,
  uuid: string,
  change: Partial<Pick<Row<'artifacts'>, 'shared' | 'size' | 'updated_at'>>,
): Promise<void> => {
  await trx
    .updateTable('metadata_values')
    .set(change)
    .where('object_type', '=', 'artifact')
    .where('object_uuid', '=', uuid)
    .execute()
}

/** Deleted artifacts keep their metadata but are in no list. */
export const unlistArtifacts = async (trx: Sql, uuids: readonly string[]): Promise<void> => {
  await trx
    .deleteFrom('metadata_values')
    .where('object_type', '=', 'artifact')
    .where('object_uuid', 'in', uuids)
    .execute()
}
