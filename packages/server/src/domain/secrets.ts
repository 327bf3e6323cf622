/**
 * Secrets that the server makes at its first start and keeps in its data directory, in files that only its own user
 * can read. See docs/format.md.
 */
import { randomBytes } from 'node:crypto'
import { chmod, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { FileOps } from '../blobs/files.ts'
import { dropUnfinished, writeWhole } from '../blobs/whole-file.ts'

const tokenKeyBytes = 32

/** The key that signs access tokens: 32 random bytes in `token.key`. Removing the file logs everybody out. */
export const loadTokenKey = async (dataDir: string, files?: FileOps): Promise<Uint8Array> => {
  const path = join(dataDir, 'token.key')
  const key = await loadOrMake(path, () => randomBytes(tokenKeyBytes), files)
  if (key.length !== tokenKeyBytes)
    throw new Error(
      `${path} is damaged: it should hold ${tokenKeyBytes} bytes. Remove it to have a new one made.`,
    )
  return new Uint8Array(key)
}

/** The first key of `system` where the settings name none: one line of text in `system.key`. */
export const loadSystemKey = async (dataDir: string, files?: FileOps): Promise<string> => {
  const path = join(dataDir, 'system.key')
  const line = await loadOrMake(path, () => Buffer.from(`${randomBytes(32).toString('base64url')}\n`), files)
  const key = line.toString().trim()
  if (key === '') throw new Error(`${path} is empty. Remove it to have a new key made.`)
  return key
}

/** Reads a file, or makes it durable and complete under its name at once. */
const loadOrMake = async (path: string, make: () => Buffer, files?: FileOps): Promise<Buffer> => {
  try {
    const content = await readFile(path)
    await chmod(path, 0o600)
    await dropUnfinished(path, files)
    return content
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const content = make()
  await writeWhole(path, content, files)
  return content
}
