/**
 * Healing: the bytes of a blob in quarantine are replaced by those of an upload with the same content.
 *
 * The version that brought the upload is committed before, so the order is: that commit; damaged bytes that still lie in
 * the blob's place are set aside; the upload's file takes that place; the damaged bytes go; the state says `created`;
 * the rest of the upload goes. Each step may find itself done already: after a crash, `resumeHealing` goes on from
 * whatever is there. A download that still reads the old file ends at its first damaged block, and leaves the healed
 * blob alone (`quarantineBlob`).
 */
import { isHoldfastError } from '@holdfast/api/errors'
import type { Sealed } from '../blobs/upload-files.ts'
import type { Row } from '../db/schema.ts'
import type { Parts } from '../parts.ts'
import { exclusively, markHealed, stateOf } from './quarantine.ts'
import { verifyBlob } from './verify-blob.ts'

/** Replaces the blob's bytes by the upload's, whose digest is the same. Of an upload not needed nothing is taken. */
export const healWith = (parts: Parts, blobUuid: string, sealed: Sealed): Promise<void> =>
  exclusively(parts, blobUuid, async (own) => {
    if ((await stateOf(own, blobUuid)) !== 'quarantined') return
    await own.blobs.quarantine(blobUuid)
    await own.blobs.adopt(blobUuid, sealed.path, sealed)
    await markHealed(own, blobUuid, { blockSums: sealed.blockSums }, 'the same content was stored again')
  })

/**
 * Goes on with a healing that was interrupted after its commit: with the upload's bytes if they are still there, else
 * with those in the blob's place if they are the right ones. Tells whether the blob is whole now.
 */
export const resumeHealing = async (
  parts: Parts,
  uploadUuid: string,
  blob: Row<'blobs'>,
): Promise<boolean> => {
  const sealed = await sealIfThere(parts, uploadUuid)
  if (sealed) {
    try {
      if (sealed.sha512 !== blob.sha512) return false
      await healWith(parts, blob.uuid, sealed)
      await sealed.discard()
      return true
    } finally {
      await sealed.release()
    }
  }
  if ((await stateOf(parts, blob.uuid)) === 'created') return true
  // Damaged bytes have been set aside; what lies in the place came with the upload.
  if (!(await parts.blobs.stat(blob.uuid))) return false
  const verdict = await verifyBlob(parts, blob, { signal: new AbortController().signal })
  return verdict === 'healed' || verdict === 'good'
}

const sealIfThere = async (parts: Parts, uploadUuid: string): Promise<Sealed | undefined> => {
  try {
    return await parts.uploadFiles.seal(uploadUuid)
  } catch (error) {
    if (isHoldfastError(error, 'upload_not_found')) return undefined
    throw error
  }
}
