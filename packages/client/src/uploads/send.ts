import { PhaseMeter } from '../progress.ts'
import { Patience } from '../retry.ts'
import type { UploadProgress } from '../types.ts'
import { ChunkSize } from './chunk-size.ts'
import type { OpenUpload, UploadRun } from './engine.ts'

/**
 * Sends everything from `upload.offset` to the end of the source, through any number of passing failures. Rejects with
 * the signal's reason when that fires; `upload.offset` then says how far the server got for certain.
 */
export const sendAll = async (run: UploadRun, upload: OpenUpload, signal: AbortSignal): Promise<void> => {
  const { session, server, source, memory, options, resumed } = run
  const meter = new PhaseMeter<UploadProgress>(options.onProgress, { phase: 'send', resumed }, upload.offset)
  const { policy, onRetry } = session
  const patience = new Patience({ what: 'appendUpload', policy, signal, onRetry })
  const chunk = new ChunkSize(server.limits)
  meter.at(upload.offset, source.size)
  try {
    for (;;) {
      const length = await source.prepare(upload.offset, Math.min(chunk.bytes, source.maxChunk), signal)
      if (length === 0) break
      const startedAt = performance.now()
      let out = 0
      const onSent = (bytes: number) => {
        run.sent += bytes
        out += bytes
        // A chunk that goes out again after a new login is not more progress
        meter.at(upload.offset + Math.min(out, length), source.size)
      }
      try {
        const size = await server.append(upload.uuid, upload.offset, source.body(upload.offset, length), {
          signal,
          onSent,
        })
        if (size === upload.offset + length) chunk.succeeded(length, performance.now() - startedAt)
        moved(size)
      } catch (error) {
        chunk.failed()
        await patience.failed(error)
        await recover()
      }
      await source.verify()
    }
  } finally {
    await memory.settle()
  }
  meter.at(upload.offset, source.size, { finished: true })

  /** The server says where its data ends. Only going forward counts as progress. */
  function moved(size: number): void {
    if (size > upload.offset) patience.progressed()
    upload.offset = size
    source.acknowledge(size)
    memory.acknowledged(size)
  }

  /** Asks where to go on until there is an answer. */
  async function recover(): Promise<void> {
    for (;;) {
      try {
        return moved(await server.recover(upload.uuid, upload.offset, signal))
      } catch (error) {
        await patience.failed(error)
      }
    }
  }
}
