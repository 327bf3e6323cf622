/**
 * Verification by and by: every blob is read again and compared with its digest, the one that has waited longest first,
 * once in `config.verifyInterval` and no faster than `config.verifyRate`.
 *
 * Progress is the blobs' own `verified_at`, so a restart goes on where the server stopped. Only the one blob that was
 * being read begins anew. Were it so large that no uptime suffices for it, it would keep all others from their turn;
 * therefore a large one that was interrupted is remembered and comes after all others that are due.
 */
import type { ExpressionBuilder } from 'kysely'
import { deleted } from '../../db/database.ts'
import type { Millis, Row, Schema } from '../../db/schema.ts'
import type { Parts } from '../../parts.ts'
import { verifyBlob } from '../verify-blob.ts'
import { type Job, type JobReport, pokeJob } from './job.ts'

export const verifyBlobsJob: Job = {
  name: 'verify-blobs',
  interval: (config) => config.jobInterval,
  run: (parts, signal) => verifyBlobs(parts, signal),
}

/** Blobs one run reads at most; when more are due, the next run follows at once. */
const maxBlobs = 1000
/** Reading this much takes long enough to be worth remembering. */
const largeBytes = 1024 ** 3

/** Names in the table `settings`: the large blob being read, and when somebody asked for all to be verified. */
const reading = 'verification-reading'
export const askedAt = 'verification-asked-at'

type BlobRow = Row<'blobs'>

/** Verifies what is due. Blobs that cannot be read now for another reason than damage are passed over. */
export const verifyBlobs = async (parts: Parts, signal: AbortSignal): Promise<JobReport> => {
  const report = { verified: 0, damaged: 0, healed: 0, failed: 0 }
  const interrupted = await readSetting(parts, reading)
  const isDue = await dueNow(parts)
  const verify = async (blob: BlobRow): Promise<void> => {
    const verdict = await verifyRemembered(parts, blob, signal)
    if (verdict === 'good') report.verified++
    else if (verdict !== 'gone') report[verdict]++
  }
  const attempt = async (blob: BlobRow): Promise<void> => {
    try {
      await verify(blob)
    } catch (error) {
      if (signal.aborted) return
      parts.log.error({ err: error, blob: blob.uuid }, 'a blob was not verified')
      report.failed++
    }
  }
  let previous: BlobRow | undefined
  let count = 0
  for (; count < maxBlobs && !signal.aborted; count++) {
    const blob = await nextDue(parts, isDue, previous, interrupted)
    if (!blob) break
    previous = blob
    await attempt(blob)
  }
  if (count === maxBlobs) pokeJob(parts, 'verify-blobs')
  else if (interrupted !== undefined && !signal.aborted) {
    const last = await findDue(parts, isDue, interrupted)
    if (last) await attempt(last)
    else await writeSetting(parts, reading, undefined)
  }
  await tellOldest(parts)
  return report
}

/** Asks for the verification of all blobs, those in quarantine included, as soon as the rate allows. */
export const verifyAll = async (parts: Parts): Promise<void> => {
  await writeSetting(parts, askedAt, String(parts.clock.now()))
  pokeJob(parts, 'verify-blobs')
}

/** When `verifyAll` was last called, in ms. */
export const lastAsked = async (parts: Pick<Parts, 'db'>): Promise<Millis | undefined> => {
  const text = await readSetting(parts, askedAt)
  return text === undefined ? undefined : Number(text)
}

/** When the blob was verified that has waited longest; undefined when there is none. New ones do not count yet. */
export const oldestVerification = async (parts: Pick<Parts, 'db'>): Promise<Millis | undefined> =>
  (
    await parts.db.read
      .selectFrom('blobs')
      .select('verified_at')
      .where('state', '<>', deleted)
      .where('state', '=', 'created')
      .where('verified_at', 'is not', null)
      .orderBy('verified_at')
      .limit(1)
      .executeTakeFirst()
  )?.verified_at ?? undefined

type BlobsEb = ExpressionBuilder<Schema, 'blobs'>
type Condition = (eb: BlobsEb) => ReturnType<BlobsEb['and']>

/**
 * Which blobs are due. Those never verified are new, and the job that makes their digests verifies them. One in
 * quarantine does not mend by itself, so it is read again only when somebody asks.
 */
export const dueNow = async (parts: Parts): Promise<Condition> => {
  const { verifyInterval } = parts.config
  const asked = (await lastAsked(parts)) ?? 0
  const scheduled = verifyInterval > 0 ? parts.clock.now() - verifyInterval * 1000 : 0
  // The index holds the blobs in this order: the later of the two bounds is the one to search it by.
  return (eb) =>
    eb.and([
      eb('blobs.state', '<>', deleted),
      eb('blobs.verified_at', '<=', Math.max(asked - 1, scheduled)),
      eb.or([eb('blobs.state', '=', 'created'), eb('blobs.verified_at', '<', asked)]),
    ])
}

const nextDue = (
  parts: Parts,
  isDue: Condition,
  previous: BlobRow | undefined,
  exceptUuid: string | undefined,
): Promise<BlobRow | undefined> =>
  parts.db.read
    .selectFrom('blobs')
    .selectAll()
    .where(isDue)
    .$if(previous !== undefined, (query) =>
      query.where(({ eb, refTuple, tuple }) =>
        eb(refTuple('verified_at', 'uuid'), '>', tuple(previous!.verified_at!, previous!.uuid)),
      ),
    )
    .$if(exceptUuid !== undefined, (query) => query.where('uuid', '<>', exceptUuid!))
    .orderBy('verified_at')
    .orderBy('uuid')
    .limit(1)
    .executeTakeFirst()

const findDue = (parts: Parts, isDue: Condition, uuid: string): Promise<BlobRow | undefined> =>
  parts.db.read.selectFrom('blobs').selectAll().where(isDue).where('uuid', '=', uuid).executeTakeFirst()

/** Verifies a blob; while a large one is read, it is on record. */
const verifyRemembered = async (parts: Parts, blob: BlobRow, signal: AbortSignal) => {
  const bytesPerSecond = parts.config.verifyRate || undefined
  if (blob.size < largeBytes) return verifyBlob(parts, blob, { signal, bytesPerSecond })
  await writeSetting(parts, reading, blob.uuid)
  const verdict = await verifyBlob(parts, blob, { signal, bytesPerSecond })
  await writeSetting(parts, reading, undefined)
  return verdict
}

const tellOldest = async (parts: Parts): Promise<void> => {
  parts.metrics.oldestVerification.set(((await oldestVerification(parts)) ?? 0) / 1000)
}

const readSetting = async (parts: Pick<Parts, 'db'>, name: string): Promise<string | undefined> =>
  (await parts.db.read.selectFrom('settings').select('value').where('name', '=', name).executeTakeFirst())
    ?.value

const writeSetting = async (parts: Parts, name: string, value: string | undefined): Promise<void> => {
  await parts.db.write(async (trx) => {
    await trx.deleteFrom('settings').where('name', '=', name).execute()
    if (value !== undefined) await trx.insertInto('settings').values({ name, value }).execute()
  })
}
