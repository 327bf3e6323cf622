/**
 * Keeps the small series of what the store holds over time, for whoever asks what fills the disk. Each run takes one
 * sample and thins the older ones, so the number of rows is bounded whatever happens.
 *
 * Kept are: every sample for two days, the first of each hour for 90 days, the first of each day for ten years. That is
 * about 6400 rows.
 */
import type { Transaction } from 'kysely'
import type { Row, Schema } from '../../db/schema.ts'
import type { Parts } from '../../parts.ts'
import { countUsage, type UsageCount } from '../count-usage.ts'
import type { Job, JobReport } from './job.ts'

/** Seconds between two samples. */
export const sampleInterval = 300
const hour = 3600
const day = 86_400

export const sampleUsageJob: Job = {
  name: 'sample-usage',
  interval: () => sampleInterval,
  run: (parts, signal) => sampleUsage(parts, signal),
}

/** Seconds that a sample stands for, and seconds that it is kept. */
const lifetimes: readonly (readonly [span: number, lifetime: number])[] = [
  [sampleInterval, 2 * day],
  [hour, 90 * day],
  [day, 3650 * day],
]
/** A count that took long is not made again until so many times its duration have passed: 1 % of a core is enough. */
const pause = 100
/** A sample younger than this, of the shortest span, is replaced: samples that are asked for do not pile up. */
const tooYoungMs = (sampleInterval * 1000) / 2
/** Namespaces of which the size is kept. */
const keptNamespaces = 50

/** Takes a sample, unless counting has just cost too much, and thins the older ones. */
export const sampleUsage = async (parts: Parts, signal: AbortSignal): Promise<JobReport> => {
  const last = await parts.db.read
    .selectFrom('usage_samples')
    .selectAll()
    .orderBy('at', 'desc')
    .limit(1)
    .executeTakeFirst()
  const now = parts.clock.now()
  // A clock that was set back counts as a pause that is over.
  const isTooSoon = last !== undefined && last.at <= now && now < last.at + pause * last.count_ms
  const count = isTooSoon ? undefined : await countUsage(parts, signal)
  return await parts.db.write(async (trx) => {
    if (count) await record(trx, count, last, now)
    return { samples: count ? 1 : 0, thinned: await thin(trx, now) }
  })
}

const record = async (
  trx: Transaction<Schema>,
  { namespaces, ...sample }: UsageCount,
  last: Row<'usage_samples'> | undefined,
  at: number,
): Promise<void> => {
  if (last?.span === sampleInterval && Math.abs(at - last.at) < tooYoungMs)
    await trx.deleteFrom('usage_samples').where('span', '=', last.span).where('at', '=', last.at).execute()
  await trx
    .insertInto('usage_samples')
    .values({ span: spanAt(at, last?.at), at, ...sample })
    .onConflict((conflict) => conflict.columns(['span', 'at']).doNothing())
    .execute()
  await trx.deleteFrom('usage_namespaces').execute()
  const largest = [...namespaces]
    .sort(([, a], [, b]) => b.bytes - a.bytes)
    .slice(0, keptNamespaces)
    .map(([namespace, { bytes, versions }]) => ({ namespace, logical_bytes: bytes, versions }))
  if (largest.length > 0) await trx.insertInto('usage_namespaces').values(largest).execute()
}

/** What a sample stands for: it may be the first since midnight, or since the last full hour (both of UTC). */
const spanAt = (at: number, lastAt: number | undefined): number => {
  const isFirstOf = (seconds: number) =>
    lastAt === undefined || Math.floor(lastAt / (seconds * 1000)) !== Math.floor(at / (seconds * 1000))
  return isFirstOf(day) ? day : isFirstOf(hour) ? hour : sampleInterval
}

const thin = async (trx: Transaction<Schema>, now: number): Promise<number> => {
  let thinned = 0
  for (const [span, lifetime] of lifetimes) {
    const { numDeletedRows } = await trx
      .deleteFrom('usage_samples')
      .where('span', '=', span)
      .where('at', '<', now - lifetime * 1000)
      .executeTakeFirstOrThrow()
    thinned += Number(numDeletedRows)
  }
  return thinned
}
