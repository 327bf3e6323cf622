/** Unfinished uploads: rows without files, and files without rows. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isHoldfastError } from '@holdfast/api/errors'
import { dataPaths, isFileUuid } from '../../blobs/paths.ts'
import { discardUpload } from '../../domain/recover.ts'
import { removeUploadRow } from '../../domain/uploads.ts'
import { noteUnknown } from './check-files.ts'
import { type CheckWork, noteFault } from './faults.ts'

/** What an upload's files end in; see paths.ts. */
const kinds: readonly string[] = ['data', 'state', 'sent']

/** Looks at every upload of this node. */
export const checkUploads = async (work: CheckWork): Promise<void> => {
  const { parts, signal, report } = work
  const { isShared, name } = parts.nodes
  const rows = await parts.db.read
    .selectFrom('uploads')
    .select('uuid')
    // Those of other nodes have their files there.
    .$if(isShared, (query) => query.where('node', '=', name))
    .execute()
  for (const { uuid } of rows) {
    signal.throwIfAborted()
    report.checked_uploads++
    if (await isWithoutFiles(work, uuid)) await noteLost(work, uuid)
  }
  const { uploads } = dataPaths(parts.config.dataDir)
  const uuids = new Set<string>()
  for (const name of await readdir(uploads)) {
    const [uuid = '', kind, more] = name.split('.')
    if (isFileUuid(uuid) && kinds.includes(kind ?? '') && more === undefined) uuids.add(uuid)
    else await noteUnknown(work, `uploads/${name}`)
  }
  for (const uuid of uuids) {
    signal.throwIfAborted()
    if ((await hasRow(work, uuid)) || (await ageOf(work, uuid)) < work.graceMs) continue
    // Looked at again: the row may have come after the first look.
    if (await hasRow(work, uuid)) continue
    const message = 'files of an upload that does not exist'
    await noteFault(work, { kind: 'upload_without_row', object: uuid, message }, async () => {
      if (await hasRow(work, uuid)) return 'it has got a row meanwhile'
      await discardUpload(parts, uuid)
      return undefined
    })
  }
}

const hasRow = async ({ parts }: CheckWork, uuid: string): Promise<boolean> =>
  (await parts.db.read.selectFrom('uploads').select('uuid').where('uuid', '=', uuid).executeTakeFirst()) !==
  undefined

/** A row without data, which is not in a conversion either: that moves the data to where blobs are, and back. */
const isWithoutFiles = async (work: CheckWork, uuid: string): Promise<boolean> => {
  const { parts } = work
  if ((await parts.uploadFiles.status(uuid)) || (await parts.blobs.stat(uuid))) return false
  try {
    // Waits for whoever works with the upload; finding nothing then means that nobody has it.
    await (await parts.uploadFiles.seal(uuid)).release()
    return false
  } catch (error) {
    if (!isHoldfastError(error, 'upload_not_found')) throw error
  }
  return (await hasRow(work, uuid)) && !(await parts.blobs.stat(uuid))
}

const noteLost = (work: CheckWork, uuid: string): Promise<void> => {
  const message = 'the upload has no data file'
  return noteFault(work, { kind: 'upload_without_files', object: uuid, message }, async () => {
    await work.parts.db.write((trx) => removeUploadRow(trx, uuid))
    return undefined
  })
}

/** For how long its files have not changed, in ms; those that are not there do not count. */
const ageOf = async ({ parts }: CheckWork, uuid: string): Promise<number> => {
  const { uploads } = dataPaths(parts.config.dataDir)
  let newest = Number.NEGATIVE_INFINITY
  for (const kind of kinds) {
    const facts = await stat(join(uploads, `${uuid}.${kind}`)).catch(() => undefined)
    if (facts) newest = Math.max(newest, facts.ctimeMs, facts.mtimeMs)
  }
  return newest === Number.NEGATIVE_INFINITY ? newest : parts.clock.now() - newest
}
