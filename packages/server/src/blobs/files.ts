import { constants } from 'node:fs'
import * as fs from 'node:fs/promises'

/**
 * The file operations that bytes depend on. Everything durable goes through this one interface, so that a wrapper
 * can record every step (and replay power cuts) or make any step fail. All of it runs on the thread pool.
 */
export interface FileOps {
  /**
   * `read`: the file must exist. `write`: must exist, for reading and writing.
   * `create`: must not exist (EEXIST), made empty with mode 0600.
   */
  open(path: string, how: 'read' | 'write' | 'create'): Promise<OpenFile>
  /** Replaces `to`. Durable only after `syncDirectory` of both parents. */
  rename(from: string, to: string): Promise<void>
  /** Gives a file a second name, `to`, which must not be there (EEXIST). Durable only after `syncDirectory` of its parent. */
  link(from: string, to: string): Promise<void>
  /** A missing file is an error (ENOENT). Durable only after `syncDirectory` of the parent. */
  unlink(path: string): Promise<void>
  /** Makes the directory and missing parents, mode 0700; not an error when it is there. */
  makeDirectory(path: string): Promise<void>
  /** Names made, moved or removed in the directory before the call are on stable storage after it. */
  syncDirectory(path: string): Promise<void>
  /** Names in the directory, in no order. */
  list(path: string): Promise<string[]>
  /** Undefined when nothing is there. */
  stat(path: string): Promise<FileFacts | undefined>
  /** Bytes an unprivileged process may still write on the filesystem of `path`. */
  freeSpace(path: string): Promise<number>
}

export interface FileFacts {
  readonly size: number
  readonly modifiedAt: number
}

/** An open file. Positions are explicit: several calls may be under way at once. */
export interface OpenFile {
  readonly path: string
  /** Its descriptor, where it is a plain file of the system, for other threads to read from. */
  readonly fd?: number
  /** Fills `target` from `position`; returns fewer bytes only at the end of the file. */
  read(target: Uint8Array, position: number): Promise<number>
  /** Writes all of `data`, or throws with any part of it written. `data` may lie in shared memory. */
  write(data: Uint8Array, position: number): Promise<void>
  truncate(size: number): Promise<void>
  /** What was written before the call is on stable storage after it, the file's length included. */
  sync(): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

/** The errno name of a system error (`ENOENT`), if it is one. */
export const errnoOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

const flags = {
  read: constants.O_RDONLY,
  write: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
}

const openFile = async (path: string, how: keyof typeof flags): Promise<OpenFile> => {
  const handle = await fs.open(path, flags[how], 0o600)
  return {
    path,
    fd: handle.fd,
    async read(target, position) {
      let done = 0
      while (done < target.length) {
        const { bytesRead } = await handle.read(target, done, target.length - done, position + done)
        if (bytesRead === 0) break
        done += bytesRead
      }
      return done
    },
    async write(data, position) {
      let done = 0
      while (done < data.length) {
        // A nearly full disk takes a part first and reports ENOSPC at the next call.
        const { bytesWritten } = await handle.write(data, done, data.length - done, position + done)
        done += bytesWritten
      }
    },
    truncate: (size) => handle.truncate(size),
    sync: () => handle.datasync(),
    size: async () => (await handle.stat()).size,
    close: () => handle.close(),
  }
}

/** The real thing. */
export const realFiles: FileOps = {
  open: openFile,
  rename: fs.rename,
  link: fs.link,
  unlink: fs.unlink,
  async makeDirectory(path) {
    await fs.mkdir(path, { recursive: true, mode: 0o700 })
  },
  async syncDirectory(path) {
    const handle = await fs.open(path, constants.O_RDONLY)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
  list: (path) => fs.readdir(path),
  async stat(path) {
    try {
      const { size, mtimeMs } = await fs.stat(path)
      return { size, modifiedAt: mtimeMs }
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined
      throw error
    }
  },
  async freeSpace(path) {
    const { bavail, bsize } = await fs.statfs(path)
    return bavail * bsize
  },
}

export default realFiles
