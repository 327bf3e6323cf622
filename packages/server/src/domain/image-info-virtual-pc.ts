import {
  asciiAt,
  bytesAt,
  type ImageParser,
  maxSectionLength,
  type ReadSection,
  toSize,
} from './image-info-section.ts'

const sectorSize = 512

/** Programs that write the true size; the others mean the geometry (cylinders x heads x sectors) beside it. */
const sizeIsTrue = new Set(['win ', 'qem2', 'd2v ', 'tap\0', 'CTXS', 'wa\0\0'])
/** The largest geometry the fields can hold: it says nothing, so the size counts. */
const maxGeometrySectors = 65535 * 16 * 255

/**
 * VHD ("vpc" to qemu-img) of the dynamic and differencing kinds, which begin with a copy of their footer. A fixed
 * VHD is a raw image with a footer at its end, and qemu-img calls it raw.
 *
 * Document: Microsoft, "Virtual Hard Disk Image Format Specification" (2006). Big endian. Which size counts for
 * which creator is not in it: that is how QEMU's `block/vpc.c` and XenServer treat the images that exist.
 */
export const parseVhd: ImageParser = async (section) => {
  const footer = await section(0, sectorSize)
  if (!footer || asciiAt(footer, 0, 8) !== 'conectix') return undefined
  const type = footer.getUint32(60)
  const dynamicOffset = toSize(footer.getBigUint64(16))
  const currentSize = toSize(footer.getBigUint64(48))
  if ((type !== 3 && type !== 4) || dynamicOffset === undefined || currentSize === undefined) return undefined

  const dynamic = await section(dynamicOffset, 1024)
  if (!dynamic || asciiAt(dynamic, 0, 8) !== 'cxsparse') return undefined

  const geometrySectors = footer.getUint16(56) * footer.getUint8(58) * footer.getUint8(59)
  const useSize = sizeIsTrue.has(asciiAt(footer, 28, 4)) || geometrySectors === maxGeometrySectors
  return {
    'file format': 'vpc',
    'virtual size': useSize ? currentSize : geometrySectors * sectorSize,
    cluster_size: dynamic.getUint32(32),
  }
}

/** GUIDs as they lie in the file: the first three groups little endian. */
const metadataRegion = '06a27c8b90479a4bb8fe575f050f886e'
const virtualDiskSizeItem = '2442a52f1bcd7648b2115dbed83bf4b8'
const fileParametersItem = '3767a1ca36fa434db3b633f0aa44e76b'
const regionTableOffsets = [192 * 1024, 256 * 1024]
/** Both tables hold at most 2047 entries of 32 bytes. */
const maxEntries = 2047

/**
 * VHDX: region table, in it the metadata region, in that the virtual disk size.
 *
 * Document: Microsoft, [MS-VHDX] "Virtual Hard Disk v2 (VHDX) File Format", sections 2.2.3 (region table) and 2.6
 * (metadata region). Little endian. The log is not replayed, so an image that was cut off while its size changed
 * shows the size before.
 */
export const parseVhdx: ImageParser = async (section) => {
  const identifier = await section(0, 8)
  if (!identifier || asciiAt(identifier, 0, 8) !== 'vhdxfile') return undefined
  for (const tableOffset of regionTableOffsets) {
    const region = await findEntry(section, tableOffset, 'regi', { count: 8, entries: 16 }, metadataRegion)
    const regionOffset = region && toSize(region.getBigUint64(16, true))
    if (regionOffset === undefined) continue
    const item = async (id: string, length: number) => {
      const entry = await findEntry(section, regionOffset, 'metadata', { count: 10, entries: 32 }, id)
      return entry && (await section(regionOffset + entry.getUint32(16, true), length))
    }
    const virtualSize = toSize((await item(virtualDiskSizeItem, 8))?.getBigUint64(0, true) ?? 1n << 63n)
    const blockSize = (await item(fileParametersItem, 8))?.getUint32(0, true)
    if (virtualSize === undefined || blockSize === undefined) continue
    return { 'file format': 'vhdx', 'virtual size': virtualSize, cluster_size: blockSize }
  }
  return undefined
}

/** Finds the entry of 32 bytes that begins with GUID `id` in a region table or a metadata table. */
async function findEntry(
  section: ReadSection,
  tableOffset: number,
  signature: string,
  layout: { count: number; entries: number },
  id: string,
): Promise<DataView | undefined> {
  const table = await section(tableOffset, maxSectionLength)
  if (!table || asciiAt(table, 0, signature.length) !== signature) return undefined
  // The count is 4 bytes in one table and 2 in the other; its low half is all a valid one needs.
  const count = Math.min(table.getUint16(layout.count, true), maxEntries)
  for (let i = 0; i < count; i++) {
    const at = layout.entries + i * 32
    if (at + 32 > table.byteLength) return undefined
    if (Buffer.from(bytesAt(table, at, 16)).toString('hex') === id) {
      return new DataView(table.buffer, table.byteOffset + at, 32)
    }
  }
  return undefined
}
