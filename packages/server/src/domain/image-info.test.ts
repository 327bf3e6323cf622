import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readBlobInfo } from './image-info.ts'
import { imageVectors } from './image-info.vectors.ts'

/** Reads the info of `bytes` and fails on any read that is not wholly inside them or unreasonably long. */
async function infoOf(bytes: Uint8Array) {
  let reads = 0
  const info = await readBlobInfo(async (offset, length) => {
    reads++
    if (!(offset >= 0 && length >= 1 && length <= 64 * 1024 && offset + length <= bytes.length)) {
      throw new Error(`read of ${length} bytes at ${offset} in a blob of ${bytes.length}`)
    }
    return bytes.subarray(offset, offset + length)
  }, bytes.length)
  expect(reads).toBeLessThan(25)
  return info
}

const ascii = (text: string) => new TextEncoder().encode(text)
const raw = (bytes: Uint8Array, mimeType: string) => ({
  'mime-type': mimeType,
  'file format': 'raw',
  'virtual size': bytes.length,
  'disk size': bytes.length,
})

describe('images, compared with what qemu-img says', () => {
  it.each(imageVectors)('$title', async ({ bytes, info }) => {
    expect(await infoOf(bytes())).toEqual(info)
  })
})

describe('what is no disk image', () => {
  const gzip = Uint8Array.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0])
  const xz = Uint8Array.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 4])
  const zstd = Uint8Array.from([0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0, 0])
  const longText = ascii('ä'.repeat(9000))
  it.each([
    ['an empty blob', new Uint8Array(), 'application/octet-stream'],
    ['one letter', ascii('x'), 'text/plain'],
    ['text', ascii('hello\tworld\r\n\x1b[1mbold\x1b[0m\n'), 'text/plain'],
    ['text whose head ends inside a character', longText.subarray(1).with(0, 0x61), 'text/plain'],
    ['text that ends inside a character', ascii('ä').subarray(0, 1), 'application/octet-stream'],
    ['text with a zero byte', ascii('a\0b'), 'application/octet-stream'],
    ['Latin-1', Uint8Array.from([0x61, 0xe4, 0x62]), 'application/octet-stream'],
    ['zeros', new Uint8Array(100_000), 'application/octet-stream'],
    ['gzip', gzip, 'application/gzip'],
    ['xz', xz, 'application/x-xz'],
    ['zstd', zstd, 'application/zstd'],
    ['a comment like that of a vmdk descriptor', ascii('# Disk DescriptorFile\nversion=7\n'), 'text/plain'],
    ['a vmdk descriptor without extents', ascii('# Disk DescriptorFile\nversion=1\n'), 'text/plain'],
  ])('%s', async (_title, bytes, mimeType) => {
    expect(await infoOf(bytes)).toEqual(raw(bytes, mimeType))
  })
})

describe('headers that make no sense', () => {
  const vector = (title: string) => imageVectors.find((each) => each.title === title)!.bytes()
  /** The qcow2 image with `bytes` written at `offset`. */
  const broken = (title: string, offset: number, ...bytes: number[]) => {
    const image = vector(title)
    image.set(bytes, offset)
    return image
  }
  it.each([
    ['qcow2 of an unknown version', broken('qcow2, version 3', 7, 9)],
    ['qcow2 with clusters of 2^40', broken('qcow2, version 3', 23, 40)],
    ['qcow2 with clusters of 1', broken('qcow2, version 3', 23, 0)],
    ['qcow2 of 2^63 bytes', broken('qcow2, version 3', 24, 0x80)],
    ['qcow2 with refcounts of 2^200', broken('qcow2, version 3', 99, 200)],
    ['qcow2 with too short a header', broken('qcow2, version 3', 102, 0, 71)],
    ['qcow2 cut in its header', vector('qcow2, version 3').subarray(0, 100)],
    ['vmdk with huge grains', broken('vmdk, monolithic sparse', 26, 1)],
    ['vmdk of 2^72 bytes', broken('vmdk, monolithic sparse', 19, 0x80)],
    ['vdi with blocks of 0', broken('vdi', 0x178, 0, 0, 0, 0)],
    ['vhd whose second header is far outside', broken('vhd, size by geometry', 17, 0xff)],
    ['vhdx without region tables', vector('vhdx').subarray(0, 192 * 1024)],
  ])('%s is raw', async (_title, bytes) => {
    expect(await infoOf(bytes)).toMatchObject({ 'file format': 'raw', 'virtual size': bytes.length })
  })

  it('shows no backing file whose name is outside the image or too long', async () => {
    for (const image of [
      broken('qcow2 with a backing file', 8, 0x7f),
      broken('qcow2 with a backing file', 16, 0, 0, 4, 0),
    ]) {
      const info = await infoOf(image)
      expect(info['file format']).toBe('qcow2')
      expect(info).not.toHaveProperty('backing file')
    }
  })

  it('shows control characters of a backing file name as replacement characters', async () => {
    const image = vector('qcow2 with a backing file')
    const name = Buffer.from(image.buffer).indexOf('a.qcow2')
    image[name] = 0x1b
    expect((await infoOf(image))['backing file']).toBe('\ufffd.qcow2')
  })

  it('finds the second region table of a vhdx when the first is damaged', async () => {
    const image = broken('vhdx', 192 * 1024, 0)
    expect(await infoOf(image)).toMatchObject({ 'file format': 'vhdx', 'virtual size': 209715200 })
  })
})

describe('hostile bytes', () => {
  // The large ones, VHDX apart, differ only in zeros behind the header.
  const small = imageVectors.map(({ bytes }) => bytes()).filter((bytes) => bytes.length <= 400_000)
  const info = expect.objectContaining({
    'mime-type': expect.stringMatching(/^[\w.+-]+\/[\w.+-]+/),
    'file format': expect.stringMatching(/^(raw|qcow2|vmdk|vdi|vpc|vhdx)$/),
    'virtual size': expect.any(Number),
  })

  it('random bytes behind each magic number never throw nor read outside', async () => {
    const magics = [
      '',
      'QFI\xfb\0\0\0\x02',
      'QFI\xfb\0\0\0\x03',
      'KDMV\x01\0\0\0',
      'COWD',
      'conectix',
      'vhdxfile',
      '# \n',
    ]
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...magics),
        fc.uint8Array({ maxLength: 2000 }),
        async (magic, rest) => {
          expect(await infoOf(Buffer.concat([Buffer.from(magic, 'latin1'), rest]))).toEqual(info)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('mutated images never throw nor read outside', async () => {
    const edit = fc.record({ at: fc.nat(2048), value: fc.constantFrom(0, 1, 0x7f, 0x80, 0xff) })
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...small),
        fc.array(edit, { minLength: 1, maxLength: 12 }),
        fc.option(fc.nat(4096)),
        async (original, edits, cut) => {
          const image = original.slice(0, cut ?? original.length)
          for (const { at, value } of edits) if (at < image.length) image[at] = value
          expect(await infoOf(image)).toEqual(info)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('mutated tables of a vhdx never throw nor read outside', async () => {
    const image = imageVectors.find(({ title }) => title === 'vhdx')!.bytes()
    const table = fc.constantFrom(192 * 1024, 256 * 1024, 2 * 1024 * 1024, 2 * 1024 * 1024 + 64 * 1024)
    const edit = fc.record({ table, at: fc.nat(160), value: fc.constantFrom(0, 1, 0x7f, 0xff) })
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 6 }), async (edits) => {
        const before = edits.map((each) => image[each.table + each.at]!)
        for (const each of edits) image[each.table + each.at] = each.value
        try {
          expect(await infoOf(image)).toEqual(info)
        } finally {
          edits.forEach((each, i) => {
            image[each.table + each.at] = before[i]!
          })
        }
      }),
      { numRuns: 100 },
    )
  })
})

it('passes on the failure of a read', async () => {
  const failure = new Error('disk on fire')
  await expect(readBlobInfo(() => Promise.reject(failure), 100)).rejects.toBe(failure)
})
