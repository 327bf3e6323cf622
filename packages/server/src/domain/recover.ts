/**
 * What a start finishes or undoes of what a crash left half done. `convert.ts` and `uploads.ts` say in which order
 * things are done; this file says what each place where that can stop means.
 *
 * It looks at the uploads there are, in files and in SQL, never at what is stored: the time it takes depends on what
 * was in flight.
 */
import { dataPaths } from '../blobs/paths.ts'
import type { Recovery } from '../blobs/upload-files.ts'
import type { Row } from '../db/schema.ts'
import type { Parts } from '../parts.ts'
import { findConversion, findConverted } from './convert-upload.ts'
import { resumeHealing } from './healing.ts'

/** Runs once at start, before the first request. May itself be interrupted and run again. */
export const recover = async (parts: Parts): Promise<void> => {
  const { isShared, name } = parts.nodes
  // Waits for commits of an earlier run that the database may still be at: whoever changes a row comes before or after.
  if (isShared)
    await parts.db.write((trx) =>
      trx
        .updateTable('uploads')
        .set((eb) => ({ uuid: eb.ref('uuid') }))
        .where('node', '=', name)
        .execute(),
    )
  const rows = await parts.db.read
    .selectFrom('uploads')
    .innerJoin('namespaces', 'namespaces.name', 'uploads.namespace')
    .select(['uploads.uuid', 'namespaces.state'])
    // Without other nodes all uploads are here, whatever this one was called when it took them.
    .$if(isShared, (query) => query.where('uploads.node', '=', name))
    .execute()
  for (let start = 0; start < rows.length; start += atOnce)
    await Promise.all(rows.slice(start, start + atOnce).map(({ uuid }) => takeBack(parts, uuid)))
  const found = await parts.uploadFiles.recover()
  tellOfLosses(parts, found)
  const files = new Set(found.settled.map((upload) => upload.uuid))
  const wanted = new Set<string>()
  for (const { uuid, state } of rows) {
    // Deleting a namespace removes its uploads a moment after its own row.
    if (files.has(uuid) && state !== 'deleted') wanted.add(uuid)
    else await forget(parts, uuid)
  }
  for (const uuid of [...files, ...found.missing]) if (!wanted.has(uuid)) await discardUpload(parts, uuid)
  await sweepBlobs(parts)
}

/** Uploads looked at together: a blob store may be far away. */
const atOnce = 16

/**
 * What was being sent to the store ahead of its conversion is not known any more. Other nodes know theirs: an upload has its row
 * before anything of it is sent, and until it is converted.
 */
export const sweepBlobs = async (parts: Parts): Promise<void> => {
  const isOthers = async (uuid: string) => {
    const row = await parts.db.read
      .selectFrom('uploads')
      .select('node')
      .where('uuid', '=', uuid)
      .executeTakeFirst()
    return parts.nodes.isShared && row !== undefined && row.node !== parts.nodes.name
  }
  const count = await parts.blobs.sweep(isOthers)
  if (count > 0) parts.log.info({ count }, 'aborted what was sent to the blob store ahead of conversions')
}

/** If a conversion stopped before its commit, the bytes lie in the place of the blob that was to be. */
const takeBack = async (parts: Parts, uuid: string): Promise<void> => {
  if (!(await parts.blobs.stat(uuid)) || (await findBlobRow(parts, uuid))) return
  // A filesystem without a journal may keep both names of a file that was being renamed.
  if (await parts.uploadFiles.status(uuid)) return parts.blobs.remove(uuid)
  await parts.blobs.giveBack(uuid, dataPaths(parts.config.dataDir).uploadData(uuid))
  parts.log.info({ upload: uuid }, 'took back an upload from a conversion that was interrupted')
}

/** A row without bytes: the upload was being made or removed, or went with the disk's last moments. */
const forget = async (parts: Parts, uuid: string): Promise<void> => {
  await parts.db.write((trx) => trx.deleteFrom('uploads').where('uuid', '=', uuid).execute())
  parts.log.info({ upload: uuid }, 'forgot an upload that has no bytes or no owner any more')
}

/** Removes files without a row: the upload was being made or removed, or had just been converted. */
export const discardUpload = async (parts: Parts, uuid: string): Promise<void> => {
  const conversion = await findConversion(parts.db.read, uuid)
  const blob = conversion && (await findConverted(parts.db.read, conversion))
  if (blob?.state === 'quarantined') await resumeHealing(parts, uuid, blob)
  // Adopted although equal content was there already, and not cleaned up.
  if (!(await findBlobRow(parts, uuid))) await parts.blobs.remove(uuid)
  await parts.uploadFiles.remove(uuid)
}

const findBlobRow = (parts: Parts, uuid: string): Promise<Pick<Row<'blobs'>, 'uuid'> | undefined> =>
  parts.db.read.selectFrom('blobs').select('uuid').where('uuid', '=', uuid).executeTakeFirst()

const tellOfLosses = (parts: Parts, { settled, strays }: Recovery): void => {
  for (const { uuid, size, foundSize, record } of settled)
    if (foundSize !== size || record !== 'intact')
      parts.log.info({ upload: uuid, size, foundSize, record }, 'cut an upload to what was acknowledged')
  if (strays.length > 0) parts.log.warn({ names: strays.slice(0, 20) }, 'unknown files among the uploads')
}
