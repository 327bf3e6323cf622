/**
 * Bounded reads of a blob, for parsers of disk image headers.
 *
 * Every offset and length in such a header is the uploader's word. A parser therefore never sees the blob itself,
 * only this function: it answers `undefined` for anything that is not wholly inside the blob or is longer than a
 * header has any reason to be, and the parser gives up on the format.
 */
export type ReadSection = (offset: number, length: number) => Promise<DataView | undefined>

/** The longest piece of a header any parser asks for: the tables of VHDX are the largest. */
export const maxSectionLength = 64 * 1024

/** Wraps a blob's `read`. Errors of `read` itself are faults of the storage and are passed on. */
export function makeReadSection(
  read: (offset: number, length: number) => Promise<Uint8Array>,
  size: number,
): ReadSection {
  return async (offset, length) => {
    const inside = Number.isSafeInteger(offset) && offset >= 0 && offset + length <= size
    if (!inside || length < 1 || length > maxSectionLength) return undefined
    const bytes = await read(offset, length)
    if (bytes.length < length) return undefined
    return new DataView(bytes.buffer, bytes.byteOffset, length)
  }
}

/** What a format's parser found out: the keys of `qemu-img info`, values as strings or numbers. */
export interface ImageFields {
  'file format': string
  /** What a machine would see as the size of its disk, in bytes. */
  'virtual size': number
  [field: string]: string | number
}

/** Reads one format: `undefined` when the blob is not of that format, or claims to be and makes no sense. */
export type ImageParser = (section: ReadSection, size: number) => Promise<ImageFields | undefined>

/** The ASCII text at `offset`, one character a byte. */
export const asciiAt = (view: DataView, offset: number, length: number): string =>
  String.fromCharCode(...bytesAt(view, offset, length))

/** The bytes at `offset`, in the same memory. */
export const bytesAt = (view: DataView, offset: number, length: number): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset + offset, length)

/** A 64-bit size as a number, or `undefined` above 2^63 - 1, which no disk image program accepts. */
export const toSize = (value: bigint): number | undefined =>
  value < 0x8000_0000_0000_0000n ? Number(value) : undefined
