import {
  asciiAt,
  bytesAt,
  type ImageFields,
  type ImageParser,
  type ReadSection,
  toSize,
} from './image-info-section.ts'

const headerLengthV2 = 72
const headerLengthV3 = 104
/** Bits of `incompatible_features`. */
const corruptBit = 1n << 1n
const extendedL2Bit = 1n << 4n
/** The only bit of `compatible_features`. */
const lazyRefcountsBit = 1n << 0n
const backingFormatExtension = 0xe279_2aca
const maxBackingNameLength = 1023
/** Header extensions are short; a header that needs more than this is not worth the read. */
const maxExtensionsLength = 4096

/**
 * qcow2, versions 2 ("compat 0.10") and 3 ("compat 1.1"), big endian.
 *
 * Document: QEMU, `docs/interop/qcow2.txt` ("The Qcow2 image format specification").
 */
export const parseQcow2: ImageParser = async (section) => {
  const header = await section(0, headerLengthV2)
  if (!header || asciiAt(header, 0, 4) !== 'QFI\xfb') return undefined
  const version = header.getUint32(4)
  const clusterBits = header.getUint32(20)
  const virtualSize = toSize(header.getBigUint64(24))
  if (clusterBits < 9 || clusterBits > 21 || virtualSize === undefined) return undefined

  const details = version === 2 ? detailsV2 : version === 3 ? await readDetailsV3(section) : undefined
  if (!details) return undefined
  const clusterSize = 2 ** clusterBits
  return {
    'file format': 'qcow2',
    'virtual size': virtualSize,
    cluster_size: clusterSize,
    ...(await readBacking(section, header, details.headerLength, clusterSize)),
    ...details.fields,
  }
}

interface Details {
  headerLength: number
  fields: Record<string, string | number>
}

const detailsV2: Details = {
  headerLength: headerLengthV2,
  fields: { compat: '0.10', 'compression type': 'zlib', 'refcount bits': 16 },
}

async function readDetailsV3(section: ReadSection): Promise<Details | undefined> {
  const header = await section(0, headerLengthV3)
  if (!header) return undefined
  const incompatible = header.getBigUint64(72)
  const compatible = header.getBigUint64(80)
  const refcountOrder = header.getUint32(96)
  const headerLength = header.getUint32(100)
  if (refcountOrder > 6 || headerLength < headerLengthV3) return undefined

  // The byte after the fixed header exists only in headers long enough to hold it; otherwise it means zlib.
  const compression = headerLength > headerLengthV3 ? (await section(headerLengthV3, 1))?.getUint8(0) : 0
  const isSet = (bits: bigint, bit: bigint) => String((bits & bit) !== 0n)
  return {
    headerLength,
    fields: {
      compat: '1.1',
      'compression type': compression === 0 ? 'zlib' : compression === 1 ? 'zstd' : 'unknown',
      'lazy refcounts': isSet(compatible, lazyRefcountsBit),
      'refcount bits': 2 ** refcountOrder,
      corrupt: isSet(incompatible, corruptBit),
      'extended l2': isSet(incompatible, extendedL2Bit),
    },
  }
}

/** The file this image is a difference to, which the store does not have: worth showing, never followed. */
async function readBacking(
  section: ReadSection,
  header: DataView,
  headerLength: number,
  clusterSize: number,
): Promise<Partial<ImageFields>> {
  const nameOffset = toSize(header.getBigUint64(8))
  const nameLength = header.getUint32(16)
  if (!nameOffset || nameLength > maxBackingNameLength) return {}
  const name = await section(nameOffset, nameLength)
  if (!name) return {}
  const format = await readBackingFormat(section, headerLength, Math.min(nameOffset, clusterSize))
  return {
    'backing file': printable(name, 0, nameLength),
    ...(format === undefined ? {} : { 'backing file format': format }),
  }
}

/** Walks the header extensions: type, length, data padded to 8 bytes, until type 0 or the area's `end`. */
async function readBackingFormat(
  section: ReadSection,
  start: number,
  end: number,
): Promise<string | undefined> {
  const area = await section(start, Math.min(end - start, maxExtensionsLength))
  if (!area) return undefined
  for (let at = 0; at + 8 <= area.byteLength; ) {
    const type = area.getUint32(at)
    const length = area.getUint32(at + 4)
    if (type === 0 || at + 8 + length > area.byteLength) return undefined
    if (type === backingFormatExtension) return printable(area, at + 8, length)
    at += 8 + Math.ceil(length / 8) * 8
  }
  return undefined
}

/** Text of the header as people may see it: valid Unicode, and no control characters to upset a terminal. */
const printable = (view: DataView, offset: number, length: number): string =>
  new TextDecoder().decode(bytesAt(view, offset, length)).replaceAll(/\p{Cc}/gu, '\ufffd')
