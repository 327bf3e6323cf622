/**
 * From the rows of blobs to their files, and to what refers to them.
 *
 * No repair deletes bytes. A blob without its right file goes to quarantine, from where the same content brings it back;
 * what is wrong with references is corrected by counting them.
 */
import { type ExpressionBuilder, sql } from 'kysely'
import { deleted } from '../../db/database.ts'
import type { Row, Schema } from '../../db/schema.ts'
import { noteUnreferenced } from '../../domain/blobs.ts'
import { quarantineBlob } from '../../domain/quarantine.ts'
import { verifyBlob } from '../../domain/verify-blob.ts'
import { type CheckWork, noteFault } from './faults.ts'

const pageSize = 500

type CheckedBlob = Pick<Row<'blobs'>, 'uuid' | 'state' | 'size' | 'healed_at' | 'unreferenced_at'> & {
  referenced: number
}

const isReferenced = ({ exists, selectFrom }: ExpressionBuilder<Schema, 'blobs'>) =>
  exists(
    selectFrom('versions')
      .select('versions.blob_uuid')
      .whereRef('versions.blob_uuid', '=', 'blobs.uuid')
      .where('versions.live', '=', 1),
  )

/** Looks at every blob that is not deleted. */
export const checkBlobs = async (work: CheckWork): Promise<void> => {
  for (let after = ''; ; ) {
    const page = await pageOf(work, after)
    for (const blob of page) {
      work.signal.throwIfAborted()
      await checkNoticed(work, blob)
      if (blob.state === 'quarantined') work.report.quarantined_blobs++
      else await checkFile(work, blob)
      work.report.checked_blobs++
    }
    if (page.length < pageSize) return
    after = page.at(-1)!.uuid
    // Others get their turn between two pages.
    await new Promise(setImmediate)
  }
}

const pageOf = ({ parts }: CheckWork, after: string): Promise<CheckedBlob[]> =>
  parts.db.read
    .selectFrom('blobs')
    .select(['uuid', 'state', 'size', 'healed_at', 'unreferenced_at'])
    .select((eb) => sql<number>`${isReferenced(eb)}`.as('referenced'))
    .where('uuid', '>', after)
    .where('state', '<>', deleted)
    .orderBy('uuid')
    .limit(pageSize)
    .execute()

/** What is wrong with a blob's file, in words; undefined when nothing is. */
const wrongWithFile = async ({ parts }: CheckWork, { uuid, size }: CheckedBlob) => {
  const file = await parts.blobs.stat(uuid)
  if (!file) return { kind: 'file_missing', message: 'the file of the blob is missing' } as const
  if (file.size === size) return undefined
  const message = `the file of the blob has ${file.size} bytes instead of ${size}`
  return { kind: 'file_size_wrong', message } as const
}

const checkFile = async (work: CheckWork, blob: CheckedBlob): Promise<void> => {
  const { parts, signal } = work
  const { uuid } = blob
  if (!(await wrongWithFile(work, blob))) return
  // It may have been collected, healed or put in quarantine since the row was read.
  const fresh = await findBlob(work, uuid)
  if (fresh?.state !== 'created' || fresh.healed_at !== blob.healed_at) return
  const wrong = await wrongWithFile(work, blob)
  if (!wrong) return
  await noteFault(work, { ...wrong, object: uuid }, async () => {
    const aside = await parts.blobs.statQuarantined(uuid)
    if (aside && wrong.kind === 'file_size_wrong')
      return 'another file of it is in quarantine already, and one of them would be lost: look at both'
    await quarantineBlob(parts, uuid, wrong.message, fresh)
    // It may be the right one, whoever put it there.
    const marked = aside && (await findBlob(work, uuid))
    if (marked) await verifyBlob(parts, marked, { signal })
    return undefined
  })
}

const findBlob = ({ parts }: CheckWork, uuid: string): Promise<Row<'blobs'> | undefined> =>
  parts.db.read.selectFrom('blobs').selectAll().where('uuid', '=', uuid).executeTakeFirst()

/** Collection goes by `unreferenced_at`: without it a blob stays for good, with a wrong one it goes too early. */
const checkNoticed = async (work: CheckWork, blob: CheckedBlob): Promise<void> => {
  const { parts } = work
  const { uuid, referenced, unreferenced_at } = blob
  if (!referenced && unreferenced_at === null) {
    const message = 'nothing refers to the blob, and collection does not know'
    await noteFault(work, { kind: 'unreferenced_unnoticed', object: uuid, message }, async () => {
      await parts.db.write((trx) => noteUnreferenced(trx, parts, [uuid]))
      return undefined
    })
  }
  if (referenced && unreferenced_at !== null) {
    const message = 'the blob is marked as unreferenced, and a version refers to it'
    await noteFault(work, { kind: 'referenced_unnoticed', object: uuid, message }, async () => {
      await parts.db.write((trx) =>
        trx
          .updateTable('blobs')
          .set({ unreferenced_at: null })
          .where('uuid', '=', uuid)
          .where(isReferenced)
          .execute(),
      )
      return undefined
    })
  }
}

/** Looks for what still names blobs that are deleted. */
export const checkDeletedBlobs = async (work: CheckWork): Promise<void> => {
  const { parts, signal } = work
  const named = await parts.db.read
    .selectFrom('blobs')
    .selectAll()
    .where('state', '=', deleted)
    .where(isReferenced)
    .limit(pageSize)
    .execute()
  for (const blob of named) {
    signal.throwIfAborted()
    const message = 'the blob is deleted, and a version refers to it'
    await noteFault(work, { kind: 'reference_to_deleted', object: blob.uuid, message }, () =>
      revive(work, blob),
    )
  }
  const leases = await parts.db.read
    .selectFrom('leases')
    .innerJoin('blobs', 'blobs.uuid', 'leases.blob_uuid')
    .select(['leases.blob_uuid', 'leases.namespace'])
    .where('blobs.state', '=', deleted)
    .limit(pageSize)
    .execute()
  for (const { blob_uuid, namespace } of leases) {
    const message = `the blob is deleted, and leased to ${namespace}`
    await noteFault(work, { kind: 'lease_of_deleted', object: blob_uuid, message }, async () => {
      await parts.db.write((trx) =>
        trx
          .deleteFrom('leases')
          .where('blob_uuid', '=', blob_uuid)
          .where('namespace', '=', namespace)
          .execute(),
      )
      return undefined
    })
  }
}

/**
 * Gives the versions of a deleted blob their content back: that of the live blob with the same digest, or that of the
 * file if it is still there and right, or else a place in quarantine where it can be healed.
 */
const revive = async (work: CheckWork, { uuid, sha512 }: Row<'blobs'>): Promise<string | undefined> => {
  const { parts, signal } = work
  const marked = await parts.db.write(async (trx) => {
    const twin = await trx
      .selectFrom('blobs')
      .select('uuid')
      .where('sha512', '=', sha512)
      .where('state', '<>', deleted)
      .executeTakeFirst()
    if (twin) {
      await trx
        .updateTable('versions')
        .set({ blob_uuid: twin.uuid })
        .where('blob_uuid', '=', uuid)
        .where('live', '=', 1)
        .execute()
      await trx.updateTable('blobs').set({ unreferenced_at: null }).where('uuid', '=', twin.uuid).execute()
      return undefined
    }
    return trx
      .updateTable('blobs')
      .set({ state: 'quarantined', deleted_at: null, files_removed_at: null, unreferenced_at: null })
      .where('uuid', '=', uuid)
      .where('state', '=', deleted)
      .returningAll()
      .executeTakeFirst()
  })
  if (marked) await verifyBlob(parts, marked, { signal })
  return undefined
}
