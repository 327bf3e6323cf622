/** The files that benchmarks send: bytes that do not repeat, made new when a server must not know them. */
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { MiB } from './bench.ts'

const stampBytes = 64

/** A file of bytes that do not repeat within any chunk. */
export const makeFile = async (path: string, size: number): Promise<FileHandle> => {
  const file = await open(path, 'wx+')
  const block = randomBytes(MiB)
  for (let at = 0; at < size; at += MiB) {
    block.writeBigUInt64LE(BigInt(at))
    await file.write(block, 0, Math.min(MiB, size - at), at)
  }
  return file
}

/** The same bytes in other memory: a new file, written as `makeFile` and a store write theirs. */
export const copyAnew = async (from: string, to: string): Promise<void> => {
  const source = createReadStream(from, { highWaterMark: MiB })
  await pipeline(source, createWriteStream(to, { flags: 'wx', highWaterMark: MiB }))
}

/** Makes the content from `offset` on new to every server. */
export const stamp = async (file: FileHandle, offset = 0): Promise<void> => {
  await file.write(randomBytes(stampBytes), 0, stampBytes, offset)
}

export const sha512Of = async (path: string): Promise<string> => {
  const hash = createHash('sha512')
  for await (const bytes of createReadStream(path, { highWaterMark: MiB })) hash.update(bytes)
  return hash.digest('hex')
}
