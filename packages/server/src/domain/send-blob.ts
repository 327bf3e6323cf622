/**
 * Sending a blob's bytes, checked, and what happens when they turn out to be damaged.
 */
import { HoldfastError, isHoldfastError } from '@holdfast/api/errors'
import { blockSize } from '@holdfast/api/limits'
import { sql } from 'kysely'
import type { BlobReader } from '../blobs/blob-store.ts'
import type { Row } from '../db/schema.ts'
import type { Parts } from '../parts.ts'
import { quarantineBlob } from './quarantine.ts'

export interface SendInput {
  readonly offset: number
  /** Bytes to send; offset and length lie within the blob. */
  readonly length: number
  /** Takes the next bytes. Their memory is used again once the promise has settled. A rejection ends the sending. */
  write(chunk: Uint8Array): Promise<void>
  readonly signal: AbortSignal
}

/** Checksums are read for so many bytes of a blob at a time, so that memory does not grow with its size. */
const windowBytes = 16 * 1024 * blockSize

/**
 * Sends a part of a blob, which the caller has found to be readable. No byte of a damaged block is sent (unless
 * `config.readVerify` is off, or the blob has no list of checksums yet): the blob is quarantined and `blob_damaged`
 * thrown; what was written before is right. `blob_not_found` when it was collected meanwhile. Rethrows what `write`
 * rejects with, and the signal's reason.
 */
export const sendBlob = async (parts: Parts, blob: Row<'blobs'>, input: SendInput): Promise<void> => {
  try {
    const reader = await parts.blobs.open(blob.uuid)
    try {
      if (reader.size !== blob.size)
        throw new HoldfastError('blob_damaged', {
          cause: new Error(`its file has ${reader.size} bytes instead of ${blob.size}`),
        })
      await sendFrom(parts, reader, input)
    } finally {
      await reader.close()
    }
  } catch (error) {
    if (!isHoldfastError(error, 'blob_damaged')) throw error
    await quarantineBlob(
      parts,
      blob.uuid,
      error.cause instanceof Error ? error.cause.message : 'damaged',
      blob,
    )
    throw (await isGone(parts, blob.uuid)) ? new HoldfastError('blob_not_found') : error
  }
}

const sendFrom = async (
  parts: Parts,
  reader: BlobReader,
  { offset, length, write, signal }: SendInput,
): Promise<void> => {
  const end = offset + length
  let checked = false
  for (let position = offset; position < end; ) {
    const start = position - (position % windowBytes)
    const windowEnd = Math.min(start + windowBytes, reader.size)
    const blockSums = parts.config.readVerify
      ? await readBlockSums(parts, reader.uuid, start, windowEnd)
      : undefined
    // A list that was there goes only with the blob.
    if (checked && !blockSums) throw new HoldfastError('blob_not_found')
    checked = blockSums !== undefined
    const wanted = Math.min(end, windowEnd) - position
    await parts.sender.send({
      blob: windowOf(reader, start, windowEnd),
      offset: position - start,
      length: wanted,
      blockSums,
      write,
      signal,
    })
    position += wanted
  }
}

/** Some bytes of a blob as if they were one; `start` lies on a block's border. */
const windowOf = (reader: BlobReader, start: number, end: number): BlobReader => ({
  uuid: reader.uuid,
  size: end - start,
  read: (target, position) => reader.read(target, start + position),
  ...(reader.readSummed && {
    readSummed: (target: Uint8Array, position: number) => reader.readSummed!(target, start + position),
  }),
  close: () => reader.close(),
})

/** The checksums of the blocks from `start` to `end`; undefined while the blob has no list (a job makes it). */
const readBlockSums = async (
  parts: Parts,
  uuid: string,
  start: number,
  end: number,
): Promise<Uint8Array | undefined> => {
  const first = start / blockSize
  const count = Math.ceil(end / blockSize) - first
  const row = await parts.db.read
    .selectFrom('blob_blocks')
    .select(sql<Uint8Array>`substr(sums, ${sql.lit(first * 4 + 1)}, ${sql.lit(count * 4)})`.as('sums'))
    .where('blob_uuid', '=', uuid)
    .where('block_size', '=', blockSize)
    .executeTakeFirst()
  return row?.sums
}

const isGone = async (parts: Parts, uuid: string): Promise<boolean> => {
  const row = await parts.db.read
    .selectFrom('blobs')
    .select('state')
    .where('uuid', '=', uuid)
    .executeTakeFirst()
  return row === undefined || row.state === 'deleted'
}
