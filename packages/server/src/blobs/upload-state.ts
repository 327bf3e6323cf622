import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'
import { crc32 } from 'node:zlib'

/**
 * The record beside an upload's data: 64 bytes, always written whole at position 0 (docs/format.md).
 *
 * ```
 *  0  4  magic "HFUP"
 *  4  4  version, 1
 *  8  8  size: bytes acknowledged to the client
 * 16  8  durable size: bytes known to be on stable storage, at most `size`
 * 24  8  time of the last data, ms since the epoch
 * 32 16  boot id: first half of the SHA-256 of the operating system's
 * 60  4  CRC-32 of the 60 bytes before
 * ```
 * Numbers are big endian; unnamed bytes are zero.
 */
export interface UploadRecord {
  readonly size: number
  readonly durableSize: number
  readonly lastDataAt: number
  /** The boot in which `size` was written: what the page cache held is lost with it. */
  readonly bootId: Buffer
}

export const recordSize = 64
const magic = Buffer.from('HFUP')
const version = 1

export const encodeRecord = (record: UploadRecord): Buffer => {
  const bytes = Buffer.alloc(recordSize)
  magic.copy(bytes)
  bytes.writeUInt32BE(version, 4)
  bytes.writeBigUInt64BE(BigInt(record.size), 8)
  bytes.writeBigUInt64BE(BigInt(record.durableSize), 16)
  bytes.writeBigUInt64BE(BigInt(Math.max(0, Math.floor(record.lastDataAt))), 24)
  record.bootId.copy(bytes, 32, 0, 16)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 60)), 60)
  return bytes
}

/** Undefined when the bytes are not a whole, intact record of a known version. */
export const decodeRecord = (bytes: Uint8Array): UploadRecord | undefined => {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.length !== recordSize || !view.subarray(0, 4).equals(magic)) return undefined
  if (view.readUInt32BE(60) !== crc32(view.subarray(0, 60)) || view.readUInt32BE(4) !== version)
    return undefined
  const record = {
    size: Number(view.readBigUInt64BE(8)),
    durableSize: Number(view.readBigUInt64BE(16)),
    lastDataAt: Number(view.readBigUInt64BE(24)),
    bootId: Buffer.from(view.subarray(32, 48)),
  }
  return record.durableSize <= record.size ? record : undefined
}

/**
 * How many bytes of a data file may be believed in: the acknowledged ones after a mere crash of the process, the
 * durable ones after a reboot, none without a record; and never more than there are.
 */
export const believableSize = (
  record: UploadRecord | undefined,
  dataSize: number,
  bootId: Buffer,
): { size: number; durableSize: number } => {
  if (!record) return { size: 0, durableSize: 0 }
  const size = Math.min(dataSize, record.bootId.equals(bootId) ? record.size : record.durableSize)
  return { size, durableSize: Math.min(size, record.durableSize) }
}

/**
 * The id of this boot of the machine. Where the system has none, the time of the boot to the minute serves: a
 * clock that was set then looks like a reboot, which costs unsynced bytes but never claims missing ones.
 */
export const readBootId = (): Buffer => {
  let text: string
  try {
    text = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    text = `booted ${Math.round((Date.now() / 1000 - uptime()) / 60)}`
  }
  return createHash('sha256').update(text).digest().subarray(0, 16)
}
