/**
 * Converting: turning an upload, or a blob that exists, into a version of an artifact.
 */
import type { Transaction } from 'kysely'
import type { Millis, Schema } from '../db/schema.ts'

/** The job that forgets conversions old enough that nobody repeats them; resolves with how many went. */
export const pruneConversions = async (_trx: Transaction<Schema>, _now: Millis): Promise<number> => {
  throw new Error('to be written')
}
