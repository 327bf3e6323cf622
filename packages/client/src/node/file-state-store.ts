import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { isUploadRecord, type StateStore, type UploadRecord } from '../uploads/state.ts'
import { removeFile, replaceFile } from './atomic-file.ts'

/** The user's state directory by the XDG rules. */
export const defaultStateDirectory = (
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string => {
  const home = environment.XDG_STATE_HOME
  return join(
    home && isAbsolute(home) ? home : join(environment.HOME || homedir(), '.local', 'state'),
    'holdfast',
  )
}

interface Entry {
  readonly key: string
  readonly record: UploadRecord
}

/** Keeps each record in a file of its own, readable by its owner only. */
export const fileStateStore = (directory = defaultStateDirectory()): StateStore => {
  const uploads = join(directory, 'uploads')
  const pathOf = (key: string) =>
    join(uploads, `${createHash('sha256').update(key).digest('hex').slice(0, 40)}.json`)

  /** What is not a record of ours is as good as missing. */
  const read = async (path: string): Promise<Entry | undefined> => {
    try {
      const entry = JSON.parse(await readFile(path, 'utf8')) as Partial<Entry> | null
      if (typeof entry?.key !== 'string' || !isUploadRecord(entry.record)) return undefined
      return { key: entry.key, record: entry.record }
    } catch (error) {
      if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  return {
    async get(key) {
      const entry = await read(pathOf(key))
      return entry?.key === key ? entry.record : undefined
    },
    async set(key, record) {
      await mkdir(uploads, { recursive: true, mode: 0o700 })
      await replaceFile(pathOf(key), `${JSON.stringify({ key, record }, null, 2)}\n`)
    },
    async delete(key) {
      await removeFile(pathOf(key))
    },
    async list() {
      const names = await readdir(uploads).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return []
        throw error
      })
      const paths = names.filter((name) => name.endsWith('.json')).map((name) => join(uploads, name))
      const entries = await Promise.all(paths.map(read))
      return entries
        .filter((entry) => entry !== undefined)
        .sort((a, b) => a.record.createdAt - b.record.createdAt)
    },
  }
}
