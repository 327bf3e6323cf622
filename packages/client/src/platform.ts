/** What a client needs from the place it runs in. */

import type { Session } from './session.ts'
import type { Transport } from './transport.ts'
import type { DownloadOptions, DownloadResult, UploadOptions } from './types.ts'
import type { UploadSource } from './uploads/source.ts'
import type { StateStore } from './uploads/state.ts'

/** A SHA-512 that is fed piece by piece, away from the main thread where the platform allows it. */
export interface StreamHash {
  /** Takes a copy or is done with the bytes when the promise resolves; waits when the hash falls behind. */
  update(bytes: Uint8Array): Promise<void>
  /** Lower-case hex. */
  digest(): Promise<string>
  /** Frees what the hash holds; may come at any time, more than once. */
  close(): void
}

export interface Platform<Source, To> {
  readonly transport: Transport
  /** Absent: nothing is hashed, looked up or verified by this side. */
  readonly createHash: (() => StreamHash) | undefined
  /** Absent: nothing is remembered over a restart. */
  readonly stateStore: StateStore | undefined
  openSource(options: UploadOptions<Source>): Promise<UploadSource>
  /** Downloads to what only this platform knows; undefined for the targets that all know. */
  download?(session: Session, options: DownloadOptions<To>): Promise<DownloadResult> | undefined
}
