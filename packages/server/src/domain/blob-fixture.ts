/**
 * For tests only: blobs, artifacts and namespaces as they are after a conversion, without one.
 */
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { blockSize } from '@holdfast/api/limits'
import { BlockHash } from '../blobs/block-hash.ts'
import type { Row } from '../db/schema.ts'
import type { Parts } from '../parts.ts'
import { callerOf } from '../test-parts.ts'
import { addVersion } from './versions.ts'

/** Makes namespaces. */
export const makeNamespaces = async (parts: Parts, ...names: string[]): Promise<void> => {
  const created_at = parts.clock.now()
  await parts.db.write((trx) =>
    trx
      .insertInto('namespaces')
      .values(
        names.map((name) => ({ name, state: 'created', epoch: randomUUID(), created_at, deleted_at: null })),
      )
      .execute(),
  )
}

/** Stores bytes as a blob that nothing refers to yet. */
export const storeBlob = async (
  parts: Parts,
  bytes: Uint8Array,
  columns: Partial<Row<'blobs'>> = {},
): Promise<Row<'blobs'>> => {
  const hash = new BlockHash()
  hash.update(bytes)
  const { sha512, blockSums } = hash.digest()
  const row: Row<'blobs'> = {
    uuid: randomUUID(),
    state: 'created',
    size: bytes.length,
    sha512,
    sha256: null,
    sha1: null,
    xxh128: null,
    created_at: parts.clock.now(),
    info: JSON.stringify({ 'mime-type': 'text/plain', 'file format': 'raw', 'virtual size': bytes.length }),
    node: parts.config.nodeName,
    unreferenced_at: null,
    verified_at: null,
    healed_at: null,
    deleted_at: null,
    files_removed_at: null,
    ...columns,
  }
  const path = join(parts.config.dataDir, `${row.uuid}.new`)
  await writeFile(path, bytes)
  await parts.blobs.adopt(row.uuid, path)
  await parts.db.write(async (trx) => {
    await trx.insertInto('blobs').values(row).execute()
    await trx
      .insertInto('blob_blocks')
      .values({ blob_uuid: row.uuid, block_size: blockSize, sums: blockSums })
      .execute()
  })
  return row
}

/** Makes a blob the newest version of the artifact of this name. */
export const refer = (parts: Parts, namespace: string, name: string, blobUuid: string, shared = false) =>
  parts.db.write((trx) =>
    addVersion(trx, parts, callerOf(namespace), {
      identity: { namespace, name, type: 'other', sourceUrl: `test://${name}` },
      shared,
      blobUuid,
    }),
  )

/** A blob's row as it is now. */
export const blobRow = (parts: Parts, uuid: string): Promise<Row<'blobs'>> =>
  parts.db.read.selectFrom('blobs').selectAll().where('uuid', '=', uuid).executeTakeFirstOrThrow()

/** Where the file of a blob lies. */
export const blobPath = (parts: Parts, uuid: string): string =>
  join(parts.config.dataDir, 'blobs', uuid.slice(0, 2), uuid)
