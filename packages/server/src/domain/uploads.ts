/**
 * Uploads: growing, not yet visible bytes of one namespace. For every other namespace but `system` they do not exist.
 *
 * An upload is a row in SQL (whose it is) and files on this node (what it holds). It is made files first and removed
 * row first, so that there is no row without files while the server runs; what a crash leaves of either kind is
 * removed at the next start (recover.ts).
 */
import { randomUUID } from 'node:crypto'
import { HoldfastError, isHoldfastError } from '@holdfast/api/errors'
import type { UploadView } from '@holdfast/api/schemas'
import type { Transaction } from 'kysely'
import type { Sql } from '../db/database.ts'
import { prepared } from '../db/prepared.ts'
import type { Row, Schema } from '../db/schema.ts'
import type { Caller, Parts } from '../parts.ts'
import { type Hold, requireRoomForUpload } from './admission.ts'
import { recordEvent } from './events.ts'
import { uploadView } from './upload-view.ts'
import { findNamespace, systemNamespace } from './visibility.ts'

/** Begins an upload of the caller's namespace. A declared size is checked against the limits at once. */
export const createUpload = async (
  parts: Parts,
  caller: Caller,
  { size, namespace = caller.namespace }: { size?: number | undefined; namespace?: string } = {},
): Promise<UploadView> => {
  const { config, clock, db, uploadFiles } = parts
  if (size !== undefined && size > config.maxFileSize) throw fileTooLarge(config.maxFileSize, size)
  if (size !== undefined) await parts.admission.check(parts, namespace, size)
  const row: Row<'uploads'> = {
    uuid: randomUUID(),
    namespace,
    node: config.nodeName,
    created_at: clock.now(),
    declared_size: size ?? null,
    key_name: caller.keyName,
    counted_bytes: 0,
  }
  await uploadFiles.create(row.uuid, size)
  try {
    await db.write(async (trx) => {
      // The namespace may have been deleted since the token was checked.
      if (!(await findNamespace(trx, namespace))) throw new HoldfastError('token_revoked')
      await requireRoomForUpload(trx, parts, namespace)
      await trx.insertInto('uploads').values(row).execute()
      await recordUploadEvent(trx, parts, caller, row.uuid, 'created', { declared_size: row.declared_size })
    })
  } catch (error) {
    await uploadFiles.remove(row.uuid)
    throw error
  }
  return uploadView(row, { size: 0, lastDataAt: row.created_at }, config)
}

/** Asks a node for those of the caller's uploads that it holds; undefined when it does not answer. */
export type AskForUploads = (node: string) => Promise<readonly UploadView[] | undefined>

/**
 * The caller's uploads, oldest first; for `system` everybody's. Without `ask` only those of this node. Of a node that does not
 * answer they are shown as they were last heard of.
 */
export const listUploads = async (
  parts: Parts,
  caller: Caller,
  ask?: AskForUploads,
): Promise<UploadView[]> => {
  const rows = await parts.db.read
    .selectFrom('uploads')
    .selectAll()
    .$if(caller.namespace !== systemNamespace, (query) => query.where('namespace', '=', caller.namespace))
    .orderBy('created_at')
    .orderBy('uuid')
    .execute()
  const elsewhere = new Set(
    ask && parts.nodes.isShared
      ? rows.map(({ node }) => node).filter((node) => node !== parts.nodes.name)
      : [],
  )
  const answers = new Map(
    await Promise.all([...elsewhere].map(async (node) => [node, await ask!(node)] as const)),
  )
  const views = []
  for (const row of rows) {
    const status = elsewhere.has(row.node) ? undefined : await parts.uploadFiles.status(row.uuid)
    if (status) views.push(uploadView(row, status, parts.config))
    else if (elsewhere.has(row.node)) {
      const told = answers.get(row.node)
      const view = told
        ? told.find(({ uuid }) => uuid === row.uuid)
        : uploadView(row, { size: row.counted_bytes, lastDataAt: row.created_at }, parts.config)
      if (view) views.push(view)
    }
  }
  return views
}

/** One upload of the caller. */
export const showUpload = async (parts: Parts, caller: Caller, uuid: string): Promise<UploadView> => {
  const row = await findUpload(parts.db.read, caller, uuid)
  const status = await parts.uploadFiles.status(row.uuid)
  if (!status) throw new HoldfastError('upload_not_found')
  return uploadView(row, status, parts.config)
}

/** The bytes of one append, and what the request says of them. */
export interface AppendInput {
  readonly stream: AsyncIterable<Uint8Array>
  /** The announced length of the body, when it has one: limits are then checked before a byte is read. */
  readonly contentLength: number | undefined
  /** `Upload-Offset`: makes the append conditional. Without it the append is atomic. */
  readonly expectedOffset: number | undefined
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal
}

/** Appends bytes and resolves with the new size of the upload once they are acknowledged. */
export const appendToUpload = async (
  parts: Parts,
  caller: Caller,
  uuid: string,
  { stream, contentLength, expectedOffset, signal }: AppendInput,
): Promise<{ size: number }> => {
  const { config, metrics } = parts
  const row = await findUpload(parts.db.read, caller, uuid)
  const { size = 0 } = (await parts.uploadFiles.status(row.uuid)) ?? {}
  const hold = await admit(parts, row, { size, contentLength, expectedOffset })
  let received = 0
  let refusal: HoldfastError | undefined
  async function* admitted(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of stream) {
        received += chunk.length
        if (received > config.maxAppendSize) throw bodyTooLarge(config.maxAppendSize)
        if (contentLength === undefined) await hold.grow(chunk.length)
        yield chunk
      }
    } catch (error) {
      if (isHoldfastError(error, 'body_too_large') || isHoldfastError(error, 'quota_exceeded'))
        refusal = error
      throw error
    }
  }
  const declared = row.declared_size ?? Number.POSITIVE_INFINITY
  try {
    return await parts.uploadFiles.append(row.uuid, admitted(), {
      mode: expectedOffset === undefined ? 'plain' : 'conditional',
      expectedOffset,
      contentLength,
      maxSize: Math.min(declared, config.maxFileSize),
      tooLarge: () =>
        declared < config.maxFileSize
          ? new HoldfastError('size_exceeds_declared', { detail: { declared_size: declared } })
          : fileTooLarge(config.maxFileSize),
      signal,
    })
  } catch (error) {
    // A body that throws is taken for one that was cut.
    throw refusal && isHoldfastError(error) ? withDetail(refusal, error.detail) : error
  } finally {
    hold.release()
    metrics.receivedBytes.inc(received)
  }
}

/** What can be refused by the announced length alone; a refusal tells the size that the upload keeps. */
const admit = async (
  parts: Parts,
  row: Row<'uploads'>,
  {
    size,
    contentLength = 0,
    expectedOffset: offset,
  }: Pick<AppendInput, 'contentLength' | 'expectedOffset'> & {
    size: number
  },
): Promise<Hold> => {
  const { maxAppendSize } = parts.config
  try {
    if (contentLength > maxAppendSize) throw bodyTooLarge(maxAppendSize)
    const { namespace, uuid } = row
    return await parts.admission.hold(parts, {
      namespace,
      bytes: contentLength,
      upload: { uuid, size, offset },
    })
  } catch (error) {
    throw isHoldfastError(error) ? withDetail(error, { offset: size }) : error
  }
}

const fileTooLarge = (limit: number, asked?: number) =>
  new HoldfastError('file_too_large', { detail: { max_size: limit, ...(asked !== undefined && { asked }) } })

const bodyTooLarge = (limit: number) => new HoldfastError('body_too_large', { detail: { max_size: limit } })

const withDetail = (refusal: HoldfastError, detail: HoldfastError['detail']) =>
  new HoldfastError(refusal.code, { detail: { ...detail, ...refusal.detail }, cause: refusal })

/** Cuts an upload to a size it has or had. */
export const truncateUpload = async (
  parts: Parts,
  caller: Caller,
  uuid: string,
  size: number,
): Promise<void> => {
  const row = await findUpload(parts.db.read, caller, uuid)
  await parts.uploadFiles.truncate(row.uuid, size)
}

/** Gives an upload up. Racing a conversion, either of the two finds the upload gone. */
export const deleteUpload = async (parts: Parts, caller: Caller, uuid: string): Promise<void> => {
  const row = await findUpload(parts.db.read, caller, uuid)
  await parts.db.write(async (trx) => {
    if (!(await removeUploadRow(trx, row.uuid))) throw new HoldfastError('upload_not_found')
    await recordUploadEvent(trx, parts, caller, row.uuid, 'deleted')
  })
  await removeUploadFiles(parts, row.uuid)
}

/** After its row has gone. Never rejects: files that cannot be removed now go when they expire, or at the next start. */
export const removeUploadFiles = (parts: Parts, uuid: string): Promise<void> =>
  parts.uploadFiles.remove(uuid).catch((error) => {
    parts.log.warn({ err: error, upload: uuid }, 'the files of a deleted upload were not removed')
  })

/** Gives up every upload of a namespace that is being deleted. Call it after the commit that deleted the namespace. */
export const removeUploadsOf = async (parts: Parts, namespace: string): Promise<void> => {
  const rows = await parts.db.read
    .selectFrom('uploads')
    .select('uuid')
    .where('namespace', '=', namespace)
    .execute()
  if (rows.length === 0) return
  await parts.db.write((trx) => trx.deleteFrom('uploads').where('namespace', '=', namespace).execute())
  for (const { uuid } of rows) await removeUploadFiles(parts, uuid)
}

/** The job that removes uploads without new data for `config.uploadExpiry`; resolves with how many went. */
export const expireUploads = async (parts: Parts): Promise<number> => {
  const idleSince = parts.clock.now() - parts.config.uploadExpiry * 1000
  let count = 0
  for (const { uuid, lastDataAt } of await parts.uploadFiles.list()) {
    if (lastDataAt > idleSince) continue
    // Files first, in the upload's turn: whoever writes to it at this moment keeps it, whole.
    const isRemoved = await parts.uploadFiles.removeIdle(uuid, idleSince).catch((error) => {
      if (!isHoldfastError(error, 'blob_store_unavailable')) throw error
      parts.log.warn({ err: error, upload: uuid }, 'an upload expires when the blob store can be asked')
      return false
    })
    if (!isRemoved) continue
    await parts.db.write(async (trx) => {
      if (!(await removeUploadRow(trx, uuid))) return
      await recordEvent(trx, parts, {
        objectType: 'upload',
        objectUuid: uuid,
        namespace: '',
        type: 'audit',
        message: 'expired',
        extra: { last_data_at: lastDataAt / 1000 },
      })
    })
    parts.metrics.removedUploads.inc()
    count++
  }
  await forgetRowsWithoutFiles(parts, idleSince)
  return count
}

/** Files go before rows, or without them when the database is away at that moment: then nothing lists them any more. */
const forgetRowsWithoutFiles = async (parts: Parts, idleSince: number): Promise<void> => {
  const rows = await parts.db.read
    .selectFrom('uploads')
    .select('uuid')
    .where('node', '=', parts.config.nodeName)
    .where('created_at', '<=', idleSince)
    .execute()
  for (const { uuid } of rows) {
    if (await parts.uploadFiles.status(uuid)) continue
    // A conversion may have its file at the moment; in the upload's turn there is none.
    const sealed = await parts.uploadFiles.seal(uuid).catch((error) => {
      if (isHoldfastError(error, 'upload_not_found')) return undefined
      throw error
    })
    if (sealed) await sealed.release()
    else await parts.db.write((trx) => removeUploadRow(trx, uuid))
  }
}

/** The caller's upload of this UUID; malformed, unknown and foreign ones are `upload_not_found` alike. */
export const findUpload = async (sql: Sql, caller: Caller, uuid: string): Promise<Row<'uploads'>> => {
  const [row] = await selectUpload(sql, { uuid: uuid.toLowerCase() })
  if (!row || !ownsUpload(caller, row)) throw new HoldfastError('upload_not_found')
  return row
}

const selectUpload = prepared((sql, { uuid }: { uuid: string }) =>
  sql.selectFrom('uploads').selectAll().where('uuid', '=', uuid),
)

/** Whether an upload (or what became of it) is the caller's business. */
export const ownsUpload = (caller: Caller, { namespace }: { readonly namespace: string }): boolean =>
  caller.namespace === namespace || caller.namespace === systemNamespace

/** Removes an upload's row; false when it was gone. Whoever removed it decided what becomes of the files. */
export const removeUploadRow = async (trx: Transaction<Schema>, uuid: string): Promise<boolean> => {
  const { numDeletedRows } = await trx
    .deleteFrom('uploads')
    .where('uuid', '=', uuid)
    .executeTakeFirstOrThrow()
  return numDeletedRows > 0n
}

export const recordUploadEvent = (
  trx: Transaction<Schema>,
  parts: Parts,
  caller: Caller,
  uuid: string,
  message: string,
  extra: Readonly<Record<string, unknown>> = {},
): Promise<void> =>
  recordEvent(trx, parts, {
    objectType: 'upload',
    objectUuid: uuid,
    namespace: caller.namespace,
    type: 'audit',
    message,
    caller,
    extra,
  })
