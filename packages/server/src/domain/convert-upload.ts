/**
 * The conversion of an upload, step by step. Read the beginning of `convert.ts` first.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError, isHoldfastError } from '@holdfast/api/errors'
import { blockSize } from '@holdfast/api/limits'
import type { Transaction } from 'kysely'
import type { Sealed } from '../blobs/upload-files.ts'
import { deleted, isInDoubt, type Sql } from '../db/database.ts'
import type { Row, Schema } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { withRoom } from './admission.ts'
import { recordEvent } from './events.ts'
import { healWith, resumeHealing } from './healing.ts'
import { type BlobInfo, readBlobInfo } from './image-info.ts'
import { pokeJob } from './jobs/job.ts'
import { findUpload, ownsUpload, recordUploadEvent, removeUploadRow } from './uploads.ts'
import { type AddedVersion, type ArtifactIdentity, type ArtifactWish, addVersion } from './versions.ts'
import { findArtifact, requireNamespace } from './visibility.ts'

export type { ArtifactWish } from './versions.ts'

/** What the client believes to have sent. */
export interface Expected {
  readonly size?: number | undefined
  /** Hex, in any case. */
  readonly sha512?: string | undefined
}

export interface UploadConversion extends ArtifactWish {
  readonly uploadUuid: string
  readonly expected?: Expected
  /** More to do in the transaction that makes the version; throwing refuses the conversion. */
  readonly within?: (trx: Transaction<Schema>, version: AddedVersion) => Promise<void>
}

/** Refuses content that is not what the client expects; nothing is lost by it. */
export const checkExpected = (
  { size, sha512 }: Expected,
  content: { readonly size: number; readonly sha512: string },
): void => {
  if (size !== undefined && size !== content.size)
    throw new HoldfastError('size_mismatch', { detail: { expected: size, size: content.size } })
  if (sha512 !== undefined && sha512.toLowerCase() !== content.sha512)
    throw new HoldfastError('digest_mismatch', { detail: { expected: sha512, sha512: content.sha512 } })
}

/**
 * Makes the caller's upload the newest version of an artifact. Repeating it gives the same artifact; see `convert.ts`.
 * The caller's right to the namespace is checked here, in the transaction.
 */
export const convertUpload = async (
  parts: Parts,
  caller: Caller,
  request: UploadConversion,
): Promise<Row<'artifacts'>> => {
  const uuid = request.uploadUuid.toLowerCase()
  let sealed: Sealed
  let owner: string
  try {
    owner = (await findUpload(parts.db.read, caller, uuid)).namespace
    sealed = await parts.uploadFiles.seal(uuid)
  } catch (error) {
    if (!isHoldfastError(error, 'upload_not_found')) throw error
    return repeatConversion(parts, caller, uuid, request)
  }
  let undoing: Promise<void> | undefined
  try {
    if (sealed.size === 0) throw new HoldfastError('upload_empty')
    checkExpected(request.expected ?? {}, sealed)
    // In the upload's own namespace its bytes were admitted when they came.
    const { namespace } = request.identity
    const version = await withRoom(parts, { namespace, bytes: namespace === owner ? 0 : sealed.size }, () =>
      makeVersion(parts, caller, uuid, request, sealed, (later) => {
        undoing = later
      }),
    )
    if (version.added) parts.metrics.conversions.inc({ bytes: version.blob.uuid === uuid ? 'new' : 'known' })
    return version.artifact
  } finally {
    // Without effect when the upload was discarded, which is what success does.
    if (undoing) undoing.then(() => sealed.release()).catch(leftBehind(parts, uuid))
    else await sealed.release()
  }
}

/** What the transaction made, and of which blob. */
interface MadeVersion extends AddedVersion {
  readonly blob: Row<'blobs'>
}

/** Steps 3 to 5. `onUndoing` is told of what goes on after a failure, and must end before the upload is released. */
const makeVersion = async (
  parts: Parts,
  caller: Caller,
  uuid: string,
  request: UploadConversion,
  sealed: Sealed,
  onUndoing: (undoing: Promise<void>) => void,
): Promise<MadeVersion> => {
  let info: BlobInfo | undefined
  let made: MadeVersion | undefined
  try {
    if (!(await findByDigest(parts.db.read, sealed.sha512))) info = await adoptBytes(parts, uuid, sealed)
    made = await commit(parts, caller, uuid, request, sealed, info)
    if (!made) {
      info = await adoptBytes(parts, uuid, sealed)
      made = (await commit(parts, caller, uuid, request, sealed, info))!
    }
  } catch (error) {
    if (info && !(await undo(parts, uuid, sealed, isInDoubt(error))))
      onUndoing(keepUndoing(parts, uuid, sealed, isInDoubt(error)))
    throw error
  }
  await cleanUp(parts, uuid, sealed, made.blob, info !== undefined)
  return made
}

/** Looks at what the upload's file is, and makes it the file of a blob of the same UUID. */
const adoptBytes = async ({ blobs }: Parts, uuid: string, sealed: Sealed): Promise<BlobInfo> => {
  const info = await readBlobInfo(async (offset, length) => {
    const target = new Uint8Array(length)
    return target.subarray(0, await sealed.read(target, offset))
  }, sealed.size)
  await blobs.adopt(uuid, sealed.path, sealed)
  return info
}

/**
 * The transaction. Undefined, and nothing done, when no live blob has these bytes and they have not been adopted
 * (`info` tells).
 */
const commit = (
  parts: Parts,
  caller: Caller,
  uuid: string,
  request: UploadConversion,
  sealed: Sealed,
  info: BlobInfo | undefined,
): Promise<MadeVersion | undefined> =>
  parts.db.write(async (trx) => {
    const { namespace } = await findUpload(trx, caller, uuid)
    await requireNamespace(trx, caller, request.identity.namespace)
    const known = await findByDigest(trx, sealed.sha512)
    if (!known && !info) return undefined
    const blob = known ?? (await insertBlob(trx, parts, caller, uuid, request.identity, sealed, info!))
    const version = await addVersion(trx, parts, caller, { ...request, blobUuid: blob.uuid })
    await trx
      .insertInto('conversions')
      .values({
        upload_uuid: uuid,
        namespace,
        artifact_uuid: version.artifact.uuid,
        idx: version.index,
        request: identityText(request.identity),
        created_at: parts.clock.now(),
        node: parts.nodes.name,
      })
      .execute()
    await removeUploadRow(trx, uuid)
    await recordUploadEvent(trx, parts, caller, uuid, 'converted', {
      artifact_uuid: version.artifact.uuid,
      index: version.index,
      blob_uuid: blob.uuid,
    })
    await request.within?.(trx, version)
    return { ...version, blob }
  })

const insertBlob = async (
  trx: Transaction<Schema>,
  parts: Parts,
  caller: Caller,
  uuid: string,
  { namespace }: ArtifactIdentity,
  { size, sha512, blockSums }: Sealed,
  info: BlobInfo,
): Promise<Row<'blobs'>> => {
  const blob = await trx
    .insertInto('blobs')
    .values({
      uuid,
      state: 'created',
      size,
      sha512,
      created_at: parts.clock.now(),
      info: JSON.stringify(info),
      node: parts.config.nodeName,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
  await trx
    .insertInto('blob_blocks')
    .values({ blob_uuid: uuid, block_size: blockSize, sums: blockSums })
    .execute()
  await recordEvent(trx, parts, {
    objectType: 'blob',
    objectUuid: uuid,
    namespace,
    type: 'audit',
    message: 'created from an upload',
    caller,
    extra: { size },
  })
  return blob
}

/**
 * Gives the bytes back to the upload, unless the transaction may have been committed in spite of its failure. False when
 * the database or the blob store is away.
 */
const undo = async (parts: Parts, uuid: string, sealed: Sealed, isDoubtful: boolean): Promise<boolean> => {
  try {
    const committed = await (isDoubtful ? findAfterDoubt(parts, uuid) : findConversion(parts.db.read, uuid))
    if (!committed) await parts.blobs.giveBack(uuid, sealed.path)
  } catch (error) {
    if (isHoldfastError(error, 'unavailable') || isHoldfastError(error, 'blob_store_unavailable'))
      return false
    parts.log.error({ err: error, upload: uuid }, 'a conversion was not undone; the next start will do it')
  }
  return true
}

/** A commit that nobody knows of may still be on its way: whoever changes the upload's row comes before or after it. */
const findAfterDoubt = (parts: Parts, uuid: string): Promise<Row<'conversions'> | undefined> =>
  parts.db.write(async (trx) => {
    await trx.updateTable('uploads').set({ uuid }).where('uuid', '=', uuid).execute()
    return findConversion(trx, uuid)
  })

const undoPauseMs = 1000
const undoTries = 3600

/**
 * Tries again until the database and the store are there; who asks for the upload meanwhile waits. Throws when that takes too
 * long: the upload must not be used as it is then, and the next start does the same.
 */
const keepUndoing = async (
  parts: Parts,
  uuid: string,
  sealed: Sealed,
  isDoubtful: boolean,
): Promise<void> => {
  parts.log.warn({ upload: uuid }, 'a conversion is undone when the database and the store can be asked')
  for (let left = undoTries; left > 0; left--) {
    await delay(undoPauseMs, undefined, { ref: false })
    if (await undo(parts, uuid, sealed, isDoubtful)) return
  }
  throw new Error('a conversion could not be undone; the next start will do it')
}

/** The version stands. Only a failure to heal the blob is a failure still; other leftovers are for the next start. */
const cleanUp = async (
  parts: Parts,
  uuid: string,
  sealed: Sealed,
  blob: Row<'blobs'>,
  isAdopted: boolean,
): Promise<void> => {
  const isOwn = blob.uuid === uuid
  if (isOwn) pokeJob(parts, 'digest-blobs')
  else if (isAdopted) await parts.blobs.giveBack(uuid, sealed.path).catch(leftBehind(parts, uuid))
  if (blob.state === 'quarantined') await healWith(parts, blob.uuid, sealed)
  await sealed.discard().catch(leftBehind(parts, uuid))
}

const leftBehind = (parts: Parts, uuid: string) => (error: unknown) =>
  parts.log.warn({ err: error, upload: uuid }, 'remains of a converted upload were not removed')

/** The artifact that the same request made before; everybody else is told that there is no such upload. */
const repeatConversion = async (
  parts: Parts,
  caller: Caller,
  uuid: string,
  { identity, expected }: UploadConversion,
): Promise<Row<'artifacts'>> => {
  const { read } = parts.db
  const done = await findConversion(read, uuid)
  if (!done || !ownsUpload(caller, done) || done.request !== identityText(identity))
    throw new HoldfastError('upload_not_found')
  const artifact = await findArtifact(read, caller, done.artifact_uuid, 'read').catch((error) => {
    throw isHoldfastError(error, 'artifact_not_found') ? new HoldfastError('upload_not_found') : error
  })
  const blob = await findConverted(read, done)
  // The version may have been pruned or deleted meanwhile: it was made, which is what is asked.
  if (blob) checkExpected(expected ?? {}, blob)
  if (blob?.state === 'quarantined' && !(await resumeHealing(parts, uuid, blob)))
    throw new HoldfastError('blob_damaged', { detail: { blob_uuid: blob.uuid } })
  return artifact
}

/** What became of an upload that was converted some days ago at most. */
export const findConversion = (sql: Sql, uploadUuid: string): Promise<Row<'conversions'> | undefined> =>
  sql.selectFrom('conversions').selectAll().where('upload_uuid', '=', uploadUuid).executeTakeFirst()

/** The blob of the version that a conversion made, unless that version is gone. */
export const findConverted = (
  sql: Sql,
  { artifact_uuid, idx }: Row<'conversions'>,
): Promise<Row<'blobs'> | undefined> =>
  sql
    .selectFrom('versions')
    .innerJoin('blobs', 'blobs.uuid', 'versions.blob_uuid')
    .selectAll('blobs')
    .where('versions.artifact_uuid', '=', artifact_uuid)
    .where('versions.idx', '=', idx)
    .executeTakeFirst()

const findByDigest = (sql: Sql, sha512: string): Promise<Row<'blobs'> | undefined> =>
  sql
    .selectFrom('blobs')
    .selectAll()
    .where('sha512', '=', sha512)
    .where('state', '<>', deleted)
    .executeTakeFirst()

/** An identity as it is kept for comparison with that of a repetition. */
const identityText = ({ name, sourceUrl, namespace, type }: ArtifactIdentity): string =>
  JSON.stringify({ name, source_url: sourceUrl, namespace, type })
