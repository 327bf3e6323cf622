/**
 * How the verification of all blobs goes, for the administrator.
 */
import type { VerificationView } from '@holdfast/api/admin-schemas'
import { deleted } from '../db/database.ts'
import type { Millis } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { jobsOf, pokeJob } from './jobs/job.ts'
import { dueNow, lastAsked, oldestVerification, verifyAll } from './jobs/verify-blobs.ts'
import { countQuarantined } from './quarantine.ts'
import { sumBlobs } from './sum-blobs.ts'
import { requireSystem } from './visibility.ts'

/** Asks for the verification of all blobs, and shows how far it is. */
export const startVerificationOfAll = async (parts: Parts, caller: Caller): Promise<VerificationView> => {
  requireSystem(caller)
  await verifyAll(parts)
  // New blobs are read for the first time there.
  pokeJob(parts, 'digest-blobs')
  return showVerification(parts, caller)
}

export const showVerification = async (parts: Parts, caller: Caller): Promise<VerificationView> => {
  requireSystem(caller)
  const { config } = parts
  const job = (await jobsOf(parts).status()).find(({ name }) => name === 'verify-blobs')
  return {
    interval: config.verifyInterval,
    bytes_per_second: config.verifyRate,
    verifies_reads: config.readVerify,
    asked_at: seconds(await lastAsked(parts)),
    oldest_at: seconds(await oldestVerification(parts)),
    due: await sumBlobs(parts, await dueNow(parts), 'verified_at'),
    unverified: await countUnverified(parts),
    quarantined: await countQuarantined(parts),
    is_running: job?.isRunning ?? false,
  }
}

const countUnverified = async (parts: Parts): Promise<number> => {
  const { count } = await parts.db.read
    .selectFrom('blobs')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('state', '<>', deleted)
    .where('verified_at', 'is', null)
    .executeTakeFirstOrThrow()
  return Number(count)
}

const seconds = (millis: Millis | undefined): number | null => (millis === undefined ? null : millis / 1000)
