/** What a client in Node can download to, besides what every platform knows. */
import { once } from 'node:events'
import { open, realpath, stat } from 'node:fs/promises'
import { Writable } from 'node:stream'
import { downloadToSink, downloadWeb } from '../downloads/web.ts'
import type { StreamHash } from '../platform.ts'
import type { Session } from '../session.ts'
import type { DownloadOptions, DownloadResult } from '../types.ts'
import { downloadToPath } from './download-file.ts'

/** A string is a path, except `'blob'`; for a file of that name say `./blob`. A `Writable` is not ended. */
export type NodeTarget = string | Writable | WritableStream<Uint8Array>

const closedEarly = () => new Error('the target was closed before it had everything')

/** Until the target takes more; rejects when it never will. */
const drained = async (to: Writable): Promise<void> => {
  const over = new AbortController()
  const { signal } = over
  try {
    const closed = once(to, 'close', { signal }).then(() => {
      throw closedEarly()
    })
    await Promise.race([once(to, 'drain', { signal }), closed])
  } finally {
    over.abort()
  }
}

/**
 * A file is replaced as a whole, also at the end of a symbolic link, which stays. What is no file, a device or a named
 * pipe, is written to.
 */
const downloadToName = async (
  session: Session,
  createHash: () => StreamHash,
  options: DownloadOptions<NodeTarget>,
  name: string,
): Promise<DownloadResult> => {
  const found = await stat(name).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  if (found === undefined) return await downloadToPath(session, options, name)
  if (found.isFile()) return await downloadToPath(session, options, await realpath(name))
  await using handle = await open(name, 'w')
  return await downloadToSink(session, createHash, options, {
    write: (bytes) => handle.writeFile(bytes),
    async close() {},
    async abort() {},
  })
}

/** Chooses by the target. */
export const downloadInNode = (
  session: Session,
  createHash: () => StreamHash,
  options: DownloadOptions<NodeTarget>,
): Promise<DownloadResult> => {
  const { to } = options
  if (to === 'blob' || to instanceof WritableStream) {
    return downloadWeb(session, createHash, { ...options, to })
  }
  if (to instanceof Writable) {
    return downloadToSink(session, createHash, options, {
      async write(bytes) {
        if (to.destroyed) throw to.errored ?? closedEarly()
        if (!to.write(bytes)) await drained(to)
      },
      async close() {},
      async abort() {},
    })
  }
  return downloadToName(session, createHash, options, to)
}
