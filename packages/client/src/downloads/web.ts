/** Downloads to a `Blob` or a stream: one connection, in order, continued after failures. */
import { VerificationError } from '../errors.ts'
import type { StreamHash } from '../platform.ts'
import { PhaseMeter } from '../progress.ts'
import { abortable } from '../retry.ts'
import type { Session } from '../session.ts'
import type { DownloadOptions, DownloadProgress, DownloadResult } from '../types.ts'
import { readBlob } from './read-blob.ts'
import { resolveBlob } from './resolve.ts'

/** Where pieces go, one after the other. */
export interface Sink {
  write(bytes: Uint8Array): Promise<void>
  /** All is there and right. */
  close(): Promise<void>
  /** It went wrong; what was written is not to be used. */
  abort(reason: unknown): Promise<void>
}

/** Downloads into a sink. Bytes are handed on before the digest of the whole can be known; `close` comes after. */
export const downloadToSink = async (
  session: Session,
  createHash: (() => StreamHash) | undefined,
  options: DownloadOptions<unknown>,
  sink: Sink,
): Promise<DownloadResult> => {
  const signal = session.signalFor(options.signal)
  const offset = options.offset ?? 0
  let hash: StreamHash | undefined
  try {
    const blob = await resolveBlob(session, options, signal)
    hash = offset === 0 && blob.sha512 !== undefined ? createHash?.() : undefined
    const meter = new PhaseMeter<DownloadProgress>(
      options.onProgress,
      { phase: 'receive', resumed: 0 },
      offset,
    )
    let received = 0
    for await (const bytes of readBlob(session, blob, { offset, signal })) {
      received += bytes.length
      await abortable(Promise.all([hash?.update(bytes), sink.write(bytes)]), signal)
      meter.at(offset + received, blob.size)
    }
    meter.at(blob.size, blob.size, { finished: true })
    const sha512 = await hash?.digest()
    if (sha512 !== undefined && sha512 !== blob.sha512) {
      throw new VerificationError('the downloaded bytes are not those of the blob', blob.sha512!, sha512)
    }
    await sink.close()
    const { uuid: blobUuid, size } = blob
    return { blobUuid, size, sha512: blob.sha512, verified: sha512 !== undefined, resumed: 0, received }
  } catch (error) {
    await sink.abort(error).catch(() => {})
    throw error
  } finally {
    hash?.close()
  }
}

/** The targets that every platform knows. */
export const downloadWeb = async (
  session: Session,
  createHash: (() => StreamHash) | undefined,
  options: DownloadOptions,
): Promise<DownloadResult> => {
  if (options.to !== 'blob') {
    const writer = options.to.getWriter()
    return await downloadToSink(session, createHash, options, {
      write: (bytes) => writer.write(bytes),
      close: () => writer.close(),
      abort: (reason) => writer.abort(reason),
    })
  }
  const pieces: Uint8Array<ArrayBuffer>[] = []
  const result = await downloadToSink(session, createHash, options, {
    async write(bytes) {
      pieces.push(bytes as Uint8Array<ArrayBuffer>)
    },
    async close() {},
    async abort() {},
  })
  return { ...result, content: new Blob(pieces) }
}
