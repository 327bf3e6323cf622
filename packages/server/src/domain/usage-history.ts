/**
 * What the store held over time, for the administrator. Not for others, not even their part of it: what is stored once
 * for several namespaces is nobody's part, and what deduplication saved would tell what others have.
 */
import type { StoreUsageView } from '@holdfast/api/admin-schemas'
import type { Row } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { requireSystem } from './visibility.ts'

export interface UsageHistoryInput {
  /** Seconds since 1970; two days ago by default. */
  readonly since?: number | undefined
  /** Only samples that stand for at least so many seconds. */
  readonly span?: number | undefined
}

const defaultSeconds = 2 * 86_400
/** More than are ever kept. */
const maxSamples = 10_000

/** The samples since a time, the oldest first, and the largest namespaces of the newest sample. */
export const showStoreUsage = async (
  parts: Parts,
  caller: Caller,
  { since, span = 0 }: UsageHistoryInput,
): Promise<StoreUsageView> => {
  requireSystem(caller)
  const { read } = parts.db
  const from = since === undefined ? parts.clock.now() - defaultSeconds * 1000 : since * 1000
  const samples = await read
    .selectFrom('usage_samples')
    .selectAll()
    .where('at', '>=', Math.floor(from))
    .where('span', '>=', Math.ceil(span))
    .orderBy('at')
    .limit(maxSamples)
    .execute()
  const newest = await read
    .selectFrom('usage_samples')
    .selectAll()
    .orderBy('at', 'desc')
    .limit(1)
    .executeTakeFirst()
  const namespaces = await read
    .selectFrom('usage_namespaces')
    .selectAll()
    .orderBy('logical_bytes', 'desc')
    .orderBy('namespace')
    .execute()
  return {
    node: parts.config.nodeName,
    newest: newest ? sampleView(newest) : null,
    samples: samples.map(sampleView),
    namespaces,
  }
}

const sampleView = ({ at, count_ms: _, ...sample }: Row<'usage_samples'>) => ({
  ...sample,
  at: at / 1000,
  // What its versions would take one by one, less what is stored for them.
  saved_bytes: Math.max(0, sample.logical_bytes - (sample.stored_bytes - sample.unreferenced_bytes)),
})
