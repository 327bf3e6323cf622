import {
  asciiAt,
  type ImageFields,
  type ImageParser,
  maxSectionLength,
  type ReadSection,
  toSize,
} from './image-info-section.ts'

const sectorSize = 512
/** `gdOffset` of a stream-optimized image: the true header is the footer. */
const grainDirectoryAtEnd = 0xffff_ffff_ffff_ffffn

/**
 * VMDK: a sparse extent that carries its own descriptor (`KDMV`), the older sparse extent of ESX (`COWD`), and the
 * text descriptor of a disk whose data lies in other files.
 *
 * Document: VMware, "Virtual Disk Format 5.0" (Hosted sparse extents; ESX server sparse extents; The descriptor
 * file). Little endian, sizes in sectors of 512 bytes.
 */
export const parseVmdk: ImageParser = async (section, size) => {
  const magic = await section(0, 4)
  if (!magic) return undefined
  switch (asciiAt(magic, 0, 4)) {
    case 'KDMV':
      return await parseHostedSparse(section, size)
    case 'COWD':
      return await parseEsxSparse(section)
    default:
      return await parseDescriptorFile(section, size)
  }
}

async function parseHostedSparse(section: ReadSection, size: number): Promise<ImageFields | undefined> {
  const first = await section(0, sectorSize)
  if (!first) return undefined
  let header = first
  if (first.getBigUint64(56, true) === grainDirectoryAtEnd) {
    // The last three sectors: footer marker, footer (a copy of the header), end-of-stream marker.
    const footer = await section(size - 2 * sectorSize, sectorSize)
    if (footer && asciiAt(footer, 0, 4) === 'KDMV') header = footer
  }
  const version = header.getUint32(4, true)
  const virtualSize = toSize(header.getBigUint64(12, true) * BigInt(sectorSize))
  const grainSectors = header.getBigUint64(20, true)
  if (version < 1 || version > 3 || virtualSize === undefined) return undefined
  // The document wants a power of two above 8; other programs write smaller grains, none more than 1 GiB.
  if (grainSectors < 1n || grainSectors > 0x20_0000n) return undefined

  const createType = await readCreateType(section, first)
  return {
    'file format': 'vmdk',
    'virtual size': virtualSize,
    cluster_size: Number(grainSectors) * sectorSize,
    ...(createType === undefined ? {} : { 'create type': createType }),
  }
}

async function readCreateType(section: ReadSection, header: DataView): Promise<string | undefined> {
  const offset = toSize(header.getBigUint64(28, true) * BigInt(sectorSize))
  const length = toSize(header.getBigUint64(36, true) * BigInt(sectorSize))
  if (!offset || !length) return undefined
  const view = await section(offset, Math.min(length, maxSectionLength))
  return view && createTypeOf(textOf(view))
}

async function parseEsxSparse(section: ReadSection): Promise<ImageFields | undefined> {
  const header = await section(0, sectorSize)
  if (header?.getUint32(4, true) !== 1) return undefined
  return {
    'file format': 'vmdk',
    'virtual size': header.getUint32(12, true) * sectorSize,
    cluster_size: header.getUint32(16, true) * sectorSize,
  }
}

/** Comments and blank lines, then the version: this alone tells a descriptor from any other text. */
const descriptorStart = /^(?:(?:#[^\n]*| *\r?)\n)*version=[123]\r?\n/
const extentLine = /^(?:RW|RDONLY|NOACCESS) ([0-9]{1,18}) [A-Z]+\b/gm

async function parseDescriptorFile(section: ReadSection, size: number): Promise<ImageFields | undefined> {
  const start = await section(0, 1)
  // Looking at one byte first spares nearly every other file the longer read.
  if (!start || !'# \r\nv'.includes(asciiAt(start, 0, 1))) return undefined
  const view = await section(0, Math.min(size, maxSectionLength))
  if (!view) return undefined
  const text = textOf(view)
  if (!descriptorStart.test(text)) return undefined
  const extents = [...text.matchAll(extentLine)]
  if (extents.length === 0) return undefined
  const sectors = extents.reduce((sum, [, count]) => sum + BigInt(count!), 0n)
  const virtualSize = toSize(sectors * BigInt(sectorSize))
  if (virtualSize === undefined) return undefined
  const createType = createTypeOf(text)
  return {
    'file format': 'vmdk',
    'virtual size': virtualSize,
    ...(createType === undefined ? {} : { 'create type': createType }),
  }
}

const createTypeOf = (descriptor: string): string | undefined =>
  /^createType="([A-Za-z0-9-]{1,64})"/m.exec(descriptor)?.[1]

const textOf = (view: DataView): string =>
  Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('latin1')
