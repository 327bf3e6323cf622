/**
 * Verification of one blob: its bytes are read again and compared with its digest. Whoever reads a whole blob does it
 * here: the job that makes the digests of new blobs, the one that verifies all of them by and by, the administrator,
 * and the healing of a blob whose bytes turn out to be right after all.
 */
import { isHoldfastError } from '@holdfast/api/errors'
import { blockSize } from '@holdfast/api/limits'
import type { FileDigest } from '../blobs/hash-pipeline.ts'
import type { Row } from '../db/schema.ts'
import type { Parts } from '../parts.ts'
import { exclusively, markHealed, quarantineBlob, setAside, stateOf, storeBlockSums } from './quarantine.ts'

/** `healed`: it was in quarantine, and its bytes are right. `gone`: it was collected meanwhile. */
export type Verdict = 'good' | 'damaged' | 'healed' | 'gone'

export interface VerifyOptions {
  readonly signal: AbortSignal
  /** Reads no faster than this. */
  readonly bytesPerSecond?: number | undefined
  /** Told how many bytes have been read; begins anew when the blob has to be read again. */
  readonly onProgress?: ((bytes: number) => void) | undefined
}

type BlobRow = Row<'blobs'>

/**
 * Reads a blob and compares. Good bytes get the digests and checksums that were missing; bad or missing ones put the
 * blob in quarantine; a blob in quarantine whose bytes are right leaves it. Throws what is neither: the signal's reason,
 * failures of the server itself.
 *
 * A read that was interrupted begins anew: the state of a SHA-512 cannot be kept, and half a comparison proves nothing.
 */
export const verifyBlob = async (parts: Parts, blob: BlobRow, options: VerifyOptions): Promise<Verdict> => {
  if (blob.state === 'deleted') return 'gone'
  const verdict =
    blob.state === 'quarantined'
      ? await verifyQuarantined(parts, blob, options)
      : await verifyCreated(parts, blob, options)
  if (verdict !== 'changed') return verdict
  // It was healed, collected or put in quarantine while it was read: what was read says nothing of what is there now.
  const fresh = await parts.db.read
    .selectFrom('blobs')
    .selectAll()
    .where('uuid', '=', blob.uuid)
    .executeTakeFirst()
  if (fresh?.state === 'quarantined') return 'damaged'
  return fresh ? verifyBlob(parts, fresh, options) : 'gone'
}

const verifyCreated = async (
  parts: Parts,
  blob: BlobRow,
  options: VerifyOptions,
): Promise<Verdict | 'changed'> => {
  const found = await readAndCompare(parts, blob, options)
  if ('damage' in found)
    return (await quarantineBlob(parts, blob.uuid, found.damage, blob)) ? 'damaged' : 'changed'
  return (await storeDigests(parts, blob, found.digest)) ? 'good' : 'changed'
}

const verifyQuarantined = async (
  parts: Parts,
  blob: BlobRow,
  options: VerifyOptions,
): Promise<Verdict | 'changed'> => {
  const { uuid } = blob
  // The operator may have put other bytes in its place; those count, else the ones that were set aside.
  await exclusively(parts, uuid, async (own) => {
    if ((await stateOf(own, uuid)) === 'quarantined') await own.blobs.restore(uuid)
  })
  // Not within `exclusively`: an upload that heals the blob need not wait for this.
  const found = await readAndCompare(parts, blob, options)
  return exclusively(parts, uuid, async (own) => {
    if ((await stateOf(own, uuid)) !== 'quarantined') return 'changed'
    if ('digest' in found) {
      await markHealed(own, uuid, found.digest, 'its stored bytes were read again and are right')
      return 'healed'
    }
    await setAside(own, uuid)
    await own.db.write((trx) =>
      trx.updateTable('blobs').set({ verified_at: own.clock.now() }).where('uuid', '=', uuid).execute(),
    )
    return 'damaged'
  })
}

/** The digests of a blob's bytes when they are what they should be, else what is wrong with them. */
const readAndCompare = async (
  parts: Parts,
  blob: BlobRow,
  { signal, bytesPerSecond, onProgress }: VerifyOptions,
): Promise<{ digest: FileDigest } | { damage: string }> => {
  let digest: FileDigest
  let counted = 0
  try {
    const reader = await parts.blobs.open(blob.uuid)
    try {
      digest = await parts.hash.digest(reader, {
        signal,
        bytesPerSecond,
        onProgress: (bytes) => {
          parts.metrics.verifiedBytes.inc(bytes - counted)
          counted = bytes
          onProgress?.(bytes)
        },
      })
    } finally {
      await reader.close()
    }
  } catch (error) {
    if (isHoldfastError(error, 'blob_damaged')) return { damage: 'its file is missing or cannot be read' }
    throw error
  }
  const damage = damageOf(blob, digest)
  return damage === undefined ? { digest } : { damage }
}

/** What is wrong with bytes of this digest, if they are to be this blob's. */
export const damageOf = (
  blob: Pick<BlobRow, 'size' | 'sha512'>,
  digest: Pick<FileDigest, 'size' | 'sha512'>,
): string | undefined => {
  if (digest.size !== blob.size) return `its file has ${digest.size} bytes instead of ${blob.size}`
  return digest.sha512 === blob.sha512 ? undefined : 'its file has another sha512'
}

/** Notes that a blob is good; false when it is not there or in quarantine by now. */
const storeDigests = async (parts: Parts, blob: BlobRow, digest: FileDigest): Promise<boolean> => {
  const { sha256, sha1, xxh128, blockSums } = digest
  // The SHA-512 has just proved the content, so a list that says otherwise is what is wrong.
  const isListRight = await hasBlockSums(parts, blob.uuid, blockSums)
  return parts.db.write(async (trx) => {
    const { numUpdatedRows } = await trx
      .updateTable('blobs')
      .set({ sha256, sha1, xxh128, verified_at: parts.clock.now() })
      .where('uuid', '=', blob.uuid)
      .where('state', '=', 'created')
      .executeTakeFirstOrThrow()
    if (numUpdatedRows === 0n) return false
    if (!isListRight) await storeBlockSums(trx, blob.uuid, blockSums)
    return true
  })
}

const hasBlockSums = async (parts: Parts, uuid: string, blockSums: Uint8Array): Promise<boolean> => {
  const row = await parts.db.read
    .selectFrom('blob_blocks')
    .select('sums')
    .where('blob_uuid', '=', uuid)
    .where('block_size', '=', blockSize)
    .executeTakeFirst()
  return row !== undefined && Buffer.compare(row.sums, blockSums) === 0
}
