/**
 * Healing: the bytes of a blob in quarantine are replaced by those of an upload with the same content.
 *
 * The version that brought the upload is committed before, so the order is: that commit; the damaged file is set
 * aside; the upload's file takes its place; the state says `created`; the rest of the upload goes. Each step may find
 * itself done already: after a crash, `resumeHealing` goes on from whatever is there.
 */
import { isHoldfastError } from '@holdfast/api/errors'
import { blockSize } from '@holdfast/api/limits'
import type { BlobStore } from '../blobs/blob-store.ts'
import type { Sealed } from '../blobs/upload-files.ts'
import type { Row } from '../db/schema.ts'
import type { Parts } from '../parts.ts'
import { countDamagedBlobs, healBlob } from './blobs.ts'

/** The newest healing of each store: two uploads that heal the same blob must not do so at the same time. */
const newest = new WeakMap<BlobStore, Promise<void>>()

/** Replaces the blob's bytes by the upload's, whose digest is the same. Of an upload not needed nothing is taken. */
export const healWith = (parts: Parts, blobUuid: string, sealed: Sealed): Promise<void> => {
  const before = newest.get(parts.blobs) ?? Promise.resolve()
  const healing = before.catch(() => {}).then(() => replaceBytes(parts, blobUuid, sealed))
  newest.set(parts.blobs, healing)
  return healing
}

const replaceBytes = async (parts: Parts, blobUuid: string, sealed: Sealed): Promise<void> => {
  if ((await stateOf(parts, blobUuid)) !== 'quarantined') return
  await parts.blobs.quarantine(blobUuid)
  await parts.blobs.adopt(blobUuid, sealed.path)
  await markHealed(parts, blobUuid, sealed.blockSums)
}

/** The right bytes lie in the blob's place. */
const markHealed = async (parts: Parts, blobUuid: string, blockSums: Uint8Array): Promise<void> => {
  await parts.db.write(async (trx) => {
    await healBlob(trx, parts, blobUuid)
    const sums = { block_size: blockSize, sums: blockSums }
    await trx
      .insertInto('blob_blocks')
      .values({ blob_uuid: blobUuid, ...sums })
      .onConflict((conflict) => conflict.column('blob_uuid').doUpdateSet(sums))
      .execute()
  })
  // Its last reference may have gone meanwhile, and collection with it been faster.
  if ((await stateOf(parts, blobUuid)) === 'deleted') await parts.blobs.remove(blobUuid)
  await countDamagedBlobs(parts)
}

const stateOf = async (parts: Parts, blobUuid: string) =>
  (
    await parts.db.read
      .selectFrom('blobs')
      .select('state')
      .where('uuid', '=', blobUuid)
      .executeTakeFirstOrThrow()
  ).state

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
  return (await parts.blobs.stat(blob.uuid)) !== undefined && (await healInPlace(parts, blob))
}

const sealIfThere = async (parts: Parts, uploadUuid: string): Promise<Sealed | undefined> => {
  try {
    return await parts.uploadFiles.seal(uploadUuid)
  } catch (error) {
    if (isHoldfastError(error, 'upload_not_found')) return undefined
    throw error
  }
}

const healInPlace = async (parts: Parts, blob: Row<'blobs'>): Promise<boolean> => {
  const reader = await parts.blobs.open(blob.uuid)
  try {
    const digest = await parts.hash.digest(reader)
    if (digest.size !== blob.size || digest.sha512 !== blob.sha512) return false
    await markHealed(parts, blob.uuid, digest.blockSums)
    return true
  } finally {
    await reader.close()
  }
}
