/**
 * Verification that the administrator asks for: of one blob at once, beside the job that verifies all by and by.
 *
 * Reading may take hours, so nobody has to wait for it: what came of it is remembered, in memory, until newer ones
 * take its place or the server ends. What it finds is on record in any case.
 */
import type { BlobVerification } from '@holdfast/api/admin-schemas'
import { HoldfastError } from '@holdfast/api/errors'
import type { Database } from '../db/database.ts'
import type { Millis, Row } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { jobsOf } from './jobs/job.ts'
import { withinTime } from './jobs/scheduler.ts'
import { type Verdict, verifyBlob } from './verify-blob.ts'
import { requireSystem } from './visibility.ts'

/** Verifications at the same time: each may read as fast as `config.verifyRate`. */
const maxUnderWay = 4
/** Verifications remembered. */
const maxRemembered = 1000

interface Verification {
  readonly startedAt: Millis
  readBytes: number
  endedAt?: Millis
  verdict?: Verdict
  error?: string
}

/** By blob, the newest last; each server its own. */
const remembered = new WeakMap<Database['read'], Map<string, Verification>>()

const verificationsOf = ({ db }: Pick<Parts, 'db'>): Map<string, Verification> => {
  const known = remembered.get(db.read) ?? new Map<string, Verification>()
  remembered.set(db.read, known)
  return known
}

/**
 * Begins to verify a blob, or joins the verification under way, and waits for its end at most `waitMs`. Throws
 * `blob_not_found`, also for a deleted blob, and `too_many_requests` while too many others are being verified.
 */
export const startVerification = async (
  parts: Parts,
  caller: Caller,
  uuid: string,
  waitMs: number,
): Promise<BlobVerification> => {
  const blob = await findAny(parts, caller, uuid)
  if (blob.state === 'deleted') throw new HoldfastError('blob_not_found')
  const known = verificationsOf(parts)
  const underWay = [...known].filter(([, one]) => one.endedAt === undefined).map(([key]) => key)
  if (underWay.length >= maxUnderWay && !underWay.includes(blob.uuid))
    throw new HoldfastError('too_many_requests')
  const ended = jobsOf(parts).once(`verify ${blob.uuid}`, (signal) => run(parts, blob, signal))
  if (waitMs > 0) await withinTime(ended, waitMs)
  return showVerificationOf(parts, caller, blob.uuid)
}

/** How far the newest verification that was asked for has come. Throws `blob_not_found`. */
export const showVerificationOf = async (
  parts: Parts,
  caller: Caller,
  uuid: string,
): Promise<BlobVerification> => {
  const blob = await findAny(parts, caller, uuid)
  const one = verificationsOf(parts).get(blob.uuid)
  return {
    blob_uuid: blob.uuid,
    state: stateOf(one),
    verdict: one?.verdict ?? null,
    ...(one?.error !== undefined && { error: one.error }),
    read_bytes: one?.readBytes ?? 0,
    size: blob.size,
    started_at: seconds(one?.startedAt),
    ended_at: seconds(one?.endedAt),
    verified_at: seconds(blob.verified_at),
  }
}

const stateOf = (one: Verification | undefined): BlobVerification['state'] => {
  if (!one) return 'none'
  if (one.endedAt === undefined) return 'running'
  return one.error === undefined ? 'done' : 'failed'
}

/** Never rejects: what goes wrong is in what is remembered. */
const run = async (parts: Parts, blob: Row<'blobs'>, signal: AbortSignal): Promise<void> => {
  const known = verificationsOf(parts)
  const one: Verification = { startedAt: parts.clock.now(), readBytes: 0 }
  known.delete(blob.uuid)
  known.set(blob.uuid, one)
  if (known.size > maxRemembered) {
    const oldest = [...known].find(([, { endedAt }]) => endedAt !== undefined)
    if (oldest) known.delete(oldest[0])
  }
  try {
    one.verdict = await verifyBlob(parts, blob, {
      signal,
      bytesPerSecond: parts.config.verifyRate || undefined,
      onProgress: (bytes) => {
        one.readBytes = bytes
      },
    })
  } catch (error) {
    one.error = signal.aborted ? 'the server is stopping' : 'the blob could not be verified; see the log'
    if (!signal.aborted) parts.log.error({ err: error, blob: blob.uuid }, 'a blob was not verified')
  } finally {
    one.endedAt = parts.clock.now()
  }
}

const findAny = async (parts: Parts, caller: Caller, uuid: string): Promise<Row<'blobs'>> => {
  requireSystem(caller)
  const found = await parts.db.read
    .selectFrom('blobs')
    .selectAll()
    .where('uuid', '=', uuid.toLowerCase())
    .executeTakeFirst()
  if (!found) throw new HoldfastError('blob_not_found')
  return found
}

const seconds = (millis: Millis | null | undefined): number | null =>
  millis === null || millis === undefined ? null : millis / 1000
