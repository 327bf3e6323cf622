/**
 * Blobs as the API shows them, and the changes of state that others ask for.
 */
import type { Transaction } from 'kysely'
import type { Schema } from '../db/schema.ts'
import type { Parts } from '../parts.ts'

/**
 * Notes that references to these blobs may have gone: those without a live version begin their grace period now.
 * Call it in the transaction that takes versions away.
 */
export declare const noteUnreferenced: (
  trx: Transaction<Schema>,
  parts: Pick<Parts, 'clock'>,
  blobUuids: readonly string[],
) => Promise<void>

/** Marks a blob whose bytes are damaged or missing: never served again until the same content heals it. Idempotent. */
export declare const quarantineBlob: (parts: Parts, uuid: string, reason: string) => Promise<void>
