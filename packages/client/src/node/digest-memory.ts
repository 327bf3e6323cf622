/**
 * Digests of files that were hashed before, so that uploading an unchanged file again need not read it.
 *
 * A digest counts only for the very state it was taken from: device, inode, size, and the times of the last change of
 * content and of the file's facts, in nanoseconds. The second time is the kernel's own and cannot be set back by a
 * program. A file that was changed so shortly before it was read that another change could carry the same times is not
 * remembered (git calls such files racily clean). What remains unseen are writes through a memory mapping before the
 * kernel notes them; `rehash` is for who has such files.
 *
 * It is only ever used to ask the server for content. A miss hashes the file anew.
 */
import { createHash } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import { mkdir, readdir, readFile, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { removeFile, replaceFile } from './atomic-file.ts'
import { defaultStateDirectory } from './file-state-store.ts'

/** Files remembered; the ones not asked for the longest are forgotten first. */
const maxFiles = 1000
/** How coarse the times of a file can be, in nanoseconds, where they have parts of a second: some ticks of a kernel. */
const fineTick = 100_000_000n
/** The same for filesystems that count whole seconds (FAT counts in twos). */
const coarseTick = 2_000_000_000n

/** One state of one file. */
export interface FileState {
  /** Names the file. */
  readonly file: string
  /** Differs after every change. */
  readonly state: string
  /** From when on, in milliseconds since 1970, a change is sure to make another state. */
  readonly settledAt: number
}

/** Keeps digests by file. It never throws: what it cannot read or write is merely not remembered. */
export interface DigestMemory {
  /** The SHA-512, lower-case hex, of a file in just this state. */
  recall(state: FileState): Promise<string | undefined>
  remember(state: FileState, sha512: string): Promise<void>
}

/** What `fstat` says of a file, in the words of this memory. */
export const fileState = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): FileState => {
  const second = 1_000_000_000n
  const isFine = mtimeNs % second !== 0n && ctimeNs % second !== 0n
  const newest = mtimeNs > ctimeNs ? mtimeNs : ctimeNs
  const settled = newest + (isFine ? fineTick : coarseTick)
  return {
    file: `${dev}:${ino}`,
    state: `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`,
    settledAt: Number(settled / 1_000_000n) + 1,
  }
}

interface Entry {
  readonly state: string
  readonly sha512: string
}

const isEntry = (value: unknown): value is Entry => {
  const entry = value as Partial<Entry> | null
  return typeof entry?.state === 'string' && /^[0-9a-f]{128}$/.test(entry.sha512 ?? '')
}

/** Keeps each digest in a small private file of the user's state directory, at most `limit` of them. */
export const fileDigestMemory = (directory = defaultStateDirectory(), limit = maxFiles): DigestMemory => {
  const digests = join(directory, 'digests')
  const pathOf = ({ file }: FileState) =>
    join(digests, `${createHash('sha256').update(file).digest('hex').slice(0, 40)}.json`)

  /** Forgets what is too much, by the times of the entries. */
  const trim = async (): Promise<void> => {
    const names = await readdir(digests)
    if (names.length <= limit) return
    const aged = await Promise.all(
      names.map(async (name) => ({
        path: join(digests, name),
        at: (await stat(join(digests, name))).mtimeMs,
      })),
    )
    aged.sort((a, b) => a.at - b.at)
    for (const { path } of aged.slice(0, names.length - limit)) await removeFile(path)
  }

  return {
    async recall(state) {
      try {
        const entry: unknown = JSON.parse(await readFile(pathOf(state), 'utf8'))
        if (!isEntry(entry) || entry.state !== state.state) return undefined
        const now = new Date()
        await utimes(pathOf(state), now, now)
        return entry.sha512
      } catch {
        return undefined
      }
    },
    async remember(state, sha512) {
      try {
        await mkdir(digests, { recursive: true, mode: 0o700 })
        await replaceFile(
          pathOf(state),
          `${JSON.stringify({ state: state.state, sha512 } satisfies Entry)}\n`,
        )
        await trim()
      } catch {}
    },
  }
}
