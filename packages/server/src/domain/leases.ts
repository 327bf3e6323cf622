/**
 * Leases: a namespace that was told "this blob exists" may rely on it for a while, although none of its artifacts
 * hold the blob yet. A lease makes the blob visible to that namespace and keeps collection away from it.
 */
import { HoldfastError } from '@holdfast/api/errors'
import type { Transaction } from 'kysely'
import type { Schema } from '../db/schema.ts'
import type { Parts } from '../parts.ts'

/**
 * Leases a blob to a namespace for `config.leaseLifetime` from now on; a longer lease it holds already stays as it
 * is. Throws `blob_not_found` for a blob that has been collected meanwhile: writes run one after the other, so a
 * lease given here is seen by the transaction that would delete the blob.
 *
 * Returns when the lease expires, in milliseconds.
 */
export const leaseBlob = async (
  trx: Transaction<Schema>,
  parts: Pick<Parts, 'clock' | 'config'>,
  blobUuid: string,
  namespace: string,
): Promise<number> => {
  const blob = await trx
    .selectFrom('blobs')
    .select('uuid')
    .where('uuid', '=', blobUuid)
    .where('state', '<>', 'deleted')
    .executeTakeFirst()
  if (!blob) throw new HoldfastError('blob_not_found')
  const wanted = parts.clock.now() + Math.round(parts.config.leaseLifetime * 1000)
  const held = await trx
    .selectFrom('leases')
    .select('expires_at')
    .where('blob_uuid', '=', blobUuid)
    .where('namespace', '=', namespace)
    .executeTakeFirst()
  const expires_at = Math.max(wanted, held?.expires_at ?? 0)
  await trx
    .insertInto('leases')
    .values({ blob_uuid: blobUuid, namespace, expires_at })
    .onConflict((conflict) => conflict.columns(['blob_uuid', 'namespace']).doUpdateSet({ expires_at }))
    .execute()
  return expires_at
}

/**
 * Ends all leases of a namespace and forgets which blobs it used: for its deletion, so that a later life of the name
 * inherits nothing.
 */
export const endLeasesOf = async (trx: Transaction<Schema>, namespace: string): Promise<void> => {
  await trx.deleteFrom('leases').where('namespace', '=', namespace).execute()
  await trx.deleteFrom('blob_uses').where('namespace', '=', namespace).execute()
}
