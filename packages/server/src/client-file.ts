import { readFile, stat } from 'node:fs/promises'
import { type FileOps, realFiles } from './blobs/files.ts'
import { writeWhole } from './blobs/whole-file.ts'

/** What a client needs to log in, in the form of the official client's `~/.shakenfist`. */
export interface ClientFile {
  readonly namespace: string
  readonly key: string
  readonly apiurl: string
}

/**
 * Writes the file for its owner's eyes only. Whoever reads it sees the old or the new one, never half of it. A file that
 * says so already is left alone, so that a server with a full disk can start.
 */
export const writeClientFile = async (
  path: string,
  content: ClientFile,
  files: FileOps = realFiles,
): Promise<void> => {
  const text = `${JSON.stringify(content, null, 2)}\n`
  const isThere = await saysAlready(path, text).catch(() => false)
  if (!isThere) await writeWhole(path, Buffer.from(text), files)
}

const saysAlready = async (path: string, text: string): Promise<boolean> =>
  ((await stat(path)).mode & 0o777) === 0o600 && (await readFile(path, 'utf8')) === text
