/** What a client in Node can download to, besides what every platform knows. */
import { once } from 'node:events'
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
  return downloadToPath(session, options, to)
}
