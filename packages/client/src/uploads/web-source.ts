import { SourceChangedError } from '../errors.ts'
import type { StreamHash } from '../platform.ts'
import type { UploadOptions, WebSource } from '../types.ts'
import type { UploadSource } from './source.ts'
import type { SourceIdentity } from './state.ts'
import { openStreamSource } from './stream-source.ts'

type CreateHash = (() => StreamHash) | undefined

/** Pieces in which a blob is read for its hash. */
const hashPiece = 1024 * 1024

/** A `File`'s identity. A bare `Blob` lives no longer than its page. */
const identityOf = (blob: Blob): SourceIdentity | undefined =>
  typeof File !== 'undefined' && blob instanceof File
    ? { id: blob.name, size: blob.size, mtime: blob.lastModified }
    : undefined

/** Feeds a blob to a hash of its own, beside the sending. */
const hashBlob = async (
  blob: Blob,
  createHash: () => StreamHash,
  onProgress: (done: number) => void,
  signal: AbortSignal,
): Promise<string> => {
  const hash = createHash()
  try {
    for (let done = 0; done < blob.size; done += hashPiece) {
      signal.throwIfAborted()
      const end = Math.min(done + hashPiece, blob.size)
      await hash.update(new Uint8Array(await readSlice(blob, done, end)))
      onProgress(end)
    }
    return await hash.digest()
  } finally {
    hash.close()
  }
}

/** Reads a part; a file that changed on disk cannot be read any more, which is how the platform tells us. */
const readSlice = (blob: Blob, start: number, end: number): Promise<ArrayBuffer> =>
  blob
    .slice(start, end)
    .arrayBuffer()
    .catch((error: unknown) => {
      throw new SourceChangedError('the file was changed, moved or removed while it was read', {
        cause: error,
      })
    })

/** A `Blob` or `File`: any range, at any time. */
export const openBlobSource = (blob: Blob, createHash: CreateHash): UploadSource => ({
  description: typeof File !== 'undefined' && blob instanceof File ? blob.name : 'a blob',
  size: blob.size,
  repeatable: true,
  identity: identityOf(blob),
  maxChunk: Number.POSITIVE_INFINITY,
  prepare: async (offset, wanted) => Math.max(0, Math.min(wanted, blob.size - offset)),
  body: (offset, length) => blob.slice(offset, offset + length),
  acknowledge() {},
  hash: (onProgress, signal) =>
    createHash === undefined ? undefined : hashBlob(blob, createHash, onProgress, signal),
  async verify() {
    if (blob.size > 0) await readSlice(blob, 0, 1)
  },
  async close() {},
})

/** Any source that web standards know. */
export const openWebSource = (options: UploadOptions<WebSource>, createHash: CreateHash): UploadSource =>
  options.source instanceof Blob
    ? openBlobSource(options.source, createHash)
    : openStreamSource(options.source, createHash?.(), options.size)
