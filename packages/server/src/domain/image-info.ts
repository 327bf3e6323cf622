import { guessMimeType, mimeHeadLength } from './image-info-mime.ts'
import { parseQcow2 } from './image-info-qcow2.ts'
import {
  asciiAt,
  bytesAt,
  type ImageParser,
  makeReadSection,
  type ReadSection,
} from './image-info-section.ts'
import { parseVdi } from './image-info-vdi.ts'
import { parseVhd, parseVhdx } from './image-info-virtual-pc.ts'
import { parseVmdk } from './image-info-vmdk.ts'

/**
 * What a blob's own bytes tell about it, with the keys of the wire contract's blob view (those of `qemu-img info`,
 * some with spaces). Disk image formats add fields of their own: `cluster_size` in bytes, `compat`, `backing file`...
 */
export interface BlobInfo {
  'mime-type': string
  /** `qcow2`, `vmdk`, `vdi`, `vpc`, `vhdx`; everything else, ISO images included, is `raw`. */
  'file format': string
  /** The size of the disk that the image describes, in bytes; of a raw image its own size. */
  'virtual size': number
  /**
   * The bytes the blob takes in the store, which is its size: blobs are not sparse. (qemu-img counts the blocks
   * its file system has allocated, so its figure for the same file may differ.)
   */
  'disk size': number
  [field: string]: string | number
}

/** In the order in which they are tried; their magic numbers exclude each other. */
const parsers: readonly ImageParser[] = [parseQcow2, parseVhd, parseVhdx, parseVdi, parseVmdk]

/** Formats whose MIME type follows from the format, with the names that `file --mime-type` has for them. */
const formatMimeTypes: Readonly<Record<string, string>> = {
  qcow2: 'application/x-qemu-disk',
  vpc: 'application/x-virtualbox-vhd',
}

/**
 * Reads a blob's MIME type and, if it is a disk image, the facts in its header.
 *
 * The content is hostile: it decides neither how much is read (a handful of reads, each at most 64 KiB and inside
 * `size`) nor whether this succeeds. A header that makes no sense makes the blob `raw`. Only a failing `read`
 * makes this throw.
 */
export async function readBlobInfo(
  read: (offset: number, length: number) => Promise<Uint8Array>,
  size: number,
): Promise<BlobInfo> {
  const section = makeReadSection(read, size)
  const image = await readImage(section, size)
  const mimeType = formatMimeTypes[image['file format']] ?? (await readMimeType(section, size))
  return { 'mime-type': mimeType, 'disk size': size, ...image }
}

async function readImage(section: ReadSection, size: number) {
  for (const parse of parsers) {
    const fields = await parse(section, size)
    if (fields) return fields
  }
  return { 'file format': 'raw', 'virtual size': size }
}

async function readMimeType(section: ReadSection, size: number): Promise<string> {
  if (await isIso(section)) return 'application/x-iso9660-image'
  const length = Math.min(size, mimeHeadLength)
  const head = await section(0, length)
  return await guessMimeType(head ? bytesAt(head, 0, length) : new Uint8Array(), length === size)
}

/**
 * Whether the first volume descriptor of ISO 9660 stands in sector 16 (ECMA-119, section 8.1: type, `CD001`,
 * version). It is looked for before the head of the file, because images that also boot from a USB stick begin
 * with a partition table.
 */
async function isIso(section: ReadSection): Promise<boolean> {
  const descriptor = await section(16 * 2048, 7)
  return descriptor !== undefined && asciiAt(descriptor, 1, 5) === 'CD001' && descriptor.getUint8(6) === 1
}
