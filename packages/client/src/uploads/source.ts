/** Where an upload's bytes come from, as the engine sees it. */
import type { RequestBody } from '../transport.ts'
import type { SourceIdentity } from './state.ts'

export interface UploadSource {
  /** For messages and records: a path, or words. */
  readonly description: string
  /** Undefined until a stream has ended. */
  readonly size: number | undefined
  /** Whether any range can be read again at any time. Otherwise only what is not acknowledged yet can. */
  readonly repeatable: boolean
  /** Present when an upload of this source can go on after a restart. */
  readonly identity: SourceIdentity | undefined
  /** Most bytes that `prepare` will offer at once. */
  readonly maxChunk: number
  /** How many bytes can be sent from `offset`, at most `wanted`; waits for a stream. 0 is the end. */
  prepare(offset: number, wanted: number, signal: AbortSignal): Promise<number>
  /** The bytes that `prepare` offered; usable until `acknowledge` passes them. */
  body(offset: number, length: number): RequestBody
  /** The server has everything before `offset`. */
  acknowledge(offset: number): void
  /** The SHA-512 that an earlier reading of the same, unchanged bytes gave, where such things are remembered. */
  knownDigest?(): Promise<string | undefined>
  /**
   * The SHA-512 of everything, lower-case hex; undefined without a hash on this platform. For repeatable sources a
   * read of its own that begins now and runs beside the sending, for streams it follows `prepare`.
   */
  hash(onProgress: (done: number) => void, signal: AbortSignal): Promise<string> | undefined
  /** Throws `SourceChangedError` when the bytes are no longer those that were there at the beginning. */
  verify(): Promise<void>
  close(): Promise<void>
}
