/**
 * Artifacts: named, typed lists of versions. What one may do with an existing one.
 */
import type { Transaction } from 'kysely'
import type { Schema } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'

/**
 * Deletes every live artifact of a namespace inside the caller's transaction and resolves with their UUIDs. Checks
 * no rights: the caller of this function has.
 */
export const deleteAllArtifacts = async (
  _trx: Transaction<Schema>,
  _parts: Parts,
  _caller: Caller,
  _namespace: string,
): Promise<string[]> => {
  throw new Error('to be written')
}
