/** A part of a local file as the body of a request, and its checksums. */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { blockSize } from '@holdfast/api/limits'
import { crc32 } from '@node-rs/crc32'
import type { OpenFile } from '../files.ts'

export interface PartSums {
  /** CRC-32 of each block, 4 bytes big endian each: to be compared with those made when the bytes arrived. */
  readonly blockSums: Buffer
  /** What the store is to compare with, as the fields of the request. */
  readonly fields: { readonly ChecksumCRC32: string } | { readonly ContentMD5: string }
}

const chunkSize = 256 * 1024

/** Thrown when a file is shorter than it was said to be. */
class ShortFile extends Error {}

const readExactly = async (file: OpenFile, target: Buffer, position: number): Promise<void> => {
  if ((await file.read(target, position)) < target.length) throw new ShortFile(`${file.path} is too short`)
}

/**
 * Reads a part, which begins at a block's border, for its sums: a CRC-32, or an MD5 for stores that do not know any
 * better. The bytes have just been written, so mostly they need not come from the disk.
 */
export const readSums = async (
  file: OpenFile,
  start: number,
  end: number,
  kind: 'crc32' | 'md5',
): Promise<PartSums> => {
  const blockSums = Buffer.alloc(Math.ceil((end - start) / blockSize) * 4)
  const buffer = Buffer.allocUnsafe(Math.min(blockSize, end - start))
  const md5 = kind === 'md5' ? createHash('md5') : undefined
  let crc = 0
  for (let at = start; at < end; at += blockSize) {
    const block = buffer.subarray(0, Math.min(blockSize, end - at))
    await readExactly(file, block, at)
    blockSums.writeUInt32BE(crc32(block), ((at - start) / blockSize) * 4)
    if (md5) md5.update(block)
    else crc = crc32(block, crc)
  }
  if (md5) return { blockSums, fields: { ContentMD5: md5.digest('base64') } }
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc)
  return { blockSums, fields: { ChecksumCRC32: sum.toString('base64') } }
}

/** The bytes from `start` to `end`, read as they are taken. `onError` because whoever pipes it on does not look. */
export const bodyOf = (
  file: OpenFile,
  start: number,
  end: number,
  onError: (error: Error) => void,
): Readable => {
  async function* chunks() {
    for (let at = start; at < end; at += chunkSize) {
      const chunk = Buffer.allocUnsafe(Math.min(chunkSize, end - at))
      await readExactly(file, chunk, at)
      yield chunk
    }
  }
  return Readable.from(chunks(), { objectMode: false }).on('error', onError)
}
