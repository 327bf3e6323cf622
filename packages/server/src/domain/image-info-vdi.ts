import { type ImageParser, toSize } from './image-info-section.ts'

const headerLength = 0x200
const signature = 0xbeda_107f
const sectorSize = 512

/**
 * VirtualBox disk images, version 1.1, little endian.
 *
 * Document: VirtualBox, `src/VBox/Storage/VDICore.h` (VDIPREHEADER, VDIHEADER1); QEMU describes the same layout in
 * `block/vdi.c`. The size is rounded up to whole sectors, as qemu-img does.
 */
export const parseVdi: ImageParser = async (section) => {
  const header = await section(0, headerLength)
  if (!header || header.getUint32(0x40, true) !== signature) return undefined
  const version = header.getUint32(0x44, true)
  const virtualSize = toSize(header.getBigUint64(0x170, true))
  const blockSize = header.getUint32(0x178, true)
  if (version !== 0x0001_0001 || virtualSize === undefined || blockSize === 0) return undefined
  return {
    'file format': 'vdi',
    'virtual size': Math.ceil(virtualSize / sectorSize) * sectorSize,
    cluster_size: blockSize,
  }
}
