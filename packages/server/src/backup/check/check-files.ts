/**
 * From files to rows: what lies in the data directory that nothing knows of.
 *
 * **What is done about a file without a row.** It may be the last copy of something: a database that was put back from an
 * older copy knows nothing of what was stored since, and a blob in quarantine may have its content. So a repair only sets
 * it aside, in `quarantine/`; a later repair removes it from there, when the grace period has passed again and no damaged
 * blob has its size.
 */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { BlobFacts } from '../../blobs/blob-store.ts'
import { dataPaths, isFileUuid } from '../../blobs/paths.ts'
import { hasOwnBlobStore } from '../../config.ts'
import { deleted } from '../../db/database.ts'
import type { Row } from '../../db/schema.ts'
import { exclusively, quarantined } from '../../domain/quarantine.ts'
import { type CheckWork, noteFault } from './faults.ts'

const batchSize = 200

/** Looks at every file among the blobs and in quarantine, or at every object. */
export const checkFiles = (work: CheckWork): Promise<void> =>
  hasOwnBlobStore(work.parts.config) ? checkObjects(work) : checkDataDirectory(work)

/** A store of objects tells of what it has given names to; what else is in the bucket is nobody's business here. */
const checkObjects = async (work: CheckWork): Promise<void> => {
  const { parts, signal, report } = work
  const { blobs } = parts
  const ageOfFacts = (facts: BlobFacts | undefined) =>
    facts ? parts.clock.now() - facts.modifiedAt : Number.NEGATIVE_INFINITY
  const age = async (uuid: string) => ageOfFacts(await blobs.stat(uuid))
  let batch: string[] = []
  const checkBatch = async () => {
    signal.throwIfAborted()
    for (const uuid of await withoutRow(work, batch)) await checkStray(work, uuid, age)
    report.checked_files += batch.length
    batch = []
  }
  for await (const { uuid } of blobs.list()) if (batch.push(uuid) === batchSize) await checkBatch()
  await checkBatch()
  for await (const facts of blobs.listQuarantined()) {
    signal.throwIfAborted()
    report.checked_files++
    await checkAside(work, facts.uuid, ageOfFacts(facts))
  }
}

const checkDataDirectory = async (work: CheckWork): Promise<void> => {
  const { parts, signal, report } = work
  const { blob } = dataPaths(parts.config.dataDir)
  const age = (uuid: string) => ageOf(work, blob(uuid))
  const { blobs } = dataPaths(parts.config.dataDir)
  for (const prefix of await readdir(blobs)) {
    if (!/^[0-9a-f]{2}$/.test(prefix)) {
      await noteUnknown(work, `blobs/${prefix}`)
      continue
    }
    const names = await readdir(join(blobs, prefix))
    const known = names.filter((name) => isFileUuid(name) && name.startsWith(prefix))
    for (const name of names) if (!known.includes(name)) await noteUnknown(work, `blobs/${prefix}/${name}`)
    for (let start = 0; start < known.length; start += batchSize) {
      signal.throwIfAborted()
      const batch = known.slice(start, start + batchSize)
      for (const uuid of await withoutRow(work, batch)) await checkStray(work, uuid, age)
      report.checked_files += batch.length
    }
  }
  await checkQuarantine(work)
}

/** People put files where they do not belong; nobody else can tell what they are. */
export const noteUnknown = (work: CheckWork, path: string): Promise<void> =>
  noteFault(
    work,
    { kind: 'file_unknown', object: path, message: 'the name is none that the server gives' },
    async () => 'look at it, and move it elsewhere',
  )

/** Those of the UUIDs that neither a blob nor an upload has; a deleted blob's file may still wait for its removal. */
const withoutRow = async ({ parts }: CheckWork, uuids: readonly string[]): Promise<string[]> => {
  const { read } = parts.db
  const blobs = await read
    .selectFrom('blobs')
    .select('uuid')
    .where('uuid', 'in', uuids)
    .where((eb) => eb.or([eb('state', '<>', deleted), eb('files_removed_at', 'is', null)]))
    .execute()
  const uploads = await read.selectFrom('uploads').select('uuid').where('uuid', 'in', uuids).execute()
  const known = new Set([...blobs, ...uploads].map((row) => row.uuid))
  return uuids.filter((uuid) => !known.has(uuid))
}

/** For how long a file has been where it is, in ms: a rename counts, unlike for the time of the last write. */
const ageOf = async ({ parts }: CheckWork, path: string): Promise<number> => {
  try {
    const { ctimeMs, mtimeMs } = await stat(path)
    return parts.clock.now() - Math.max(ctimeMs, mtimeMs)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Number.NEGATIVE_INFINITY
    throw error
  }
}

const checkStray = async (
  work: CheckWork,
  uuid: string,
  age: (uuid: string) => Promise<number>,
): Promise<void> => {
  const { parts } = work
  // A conversion moves the file first and commits the row afterwards.
  if ((await age(uuid)) < work.graceMs) return
  if ((await withoutRow(work, [uuid])).length === 0) return
  const message = 'the file belongs to no blob'
  await noteFault(work, { kind: 'file_stray', object: uuid, message }, () =>
    exclusively(parts, uuid, async () => {
      if ((await withoutRow(work, [uuid])).length === 0) return 'it has got a row meanwhile'
      if (await parts.blobs.statQuarantined(uuid))
        return 'another file of this name is in quarantine already, and would be lost: look at both'
      await parts.blobs.quarantine(uuid)
      return undefined
    }),
  )
}

/** What lies in quarantine belongs to a blob in quarantine; what does not goes after a while. */
const checkQuarantine = async (work: CheckWork): Promise<void> => {
  const { parts, signal, report } = work
  const { quarantine } = dataPaths(parts.config.dataDir)
  for (const name of await readdir(quarantine)) {
    signal.throwIfAborted()
    if (!isFileUuid(name)) {
      await noteUnknown(work, `quarantine/${name}`)
      continue
    }
    report.checked_files++
    await checkAside(work, name, await ageOf(work, join(quarantine, name)))
  }
}

/** `age`: for how long it has been there, in ms. */
const checkAside = async (work: CheckWork, uuid: string, age: number): Promise<void> => {
  const row = await findBlob(work, uuid)
  if (row?.state === 'quarantined' || age < work.graceMs) return
  const message = row?.state === 'created' ? 'damaged bytes of a healed blob' : 'set aside, of no blob'
  await noteFault(work, { kind: 'quarantine_stray', object: uuid, message }, () =>
    exclusively(work.parts, uuid, () => dropStray(work, uuid, work.parts.clock.now() - age)),
  )
}

/** `since`: when it was set aside, in ms. */
const dropStray = async (work: CheckWork, uuid: string, since: number): Promise<string | undefined> => {
  const { parts } = work
  const row = await findBlob(work, uuid)
  if (row?.state === 'quarantined') return 'the blob has come to quarantine meanwhile'
  const aside = await parts.blobs.statQuarantined(uuid)
  if (!aside) return undefined
  // Good bytes are known to be in its place only if they were read since.
  if (row?.state === 'created' && !((row.verified_at ?? 0) > since && (await parts.blobs.stat(uuid))))
    return 'verify the blob first'
  const damaged = await parts.db.read
    .selectFrom('blobs')
    .select('uuid')
    .where('state', '=', quarantined)
    .where('size', '=', aside.size)
    .executeTakeFirst()
  if (damaged) return `it may be the content of the damaged blob ${damaged.uuid}, which has the same size`
  await parts.blobs.dropQuarantined(uuid)
  return undefined
}

const findBlob = ({ parts }: CheckWork, uuid: string): Promise<Row<'blobs'> | undefined> =>
  parts.db.read.selectFrom('blobs').selectAll().where('uuid', '=', uuid).executeTakeFirst()
