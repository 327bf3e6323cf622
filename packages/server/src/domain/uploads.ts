/**
 * Uploads: growing, not yet visible bytes of one namespace. For every other namespace but `system` they do not exist.
 */
import type { Caller, Parts } from '../parts.ts'

/** The bytes of one append, and what the request says of them. */
export interface AppendInput {
  readonly stream: AsyncIterable<Uint8Array>
  /** The announced length of the body, when it has one: limits are then checked before a byte is read. */
  readonly contentLength: number | undefined
  /** `Upload-Offset`: makes the append conditional. Without it the append is atomic. */
  readonly expectedOffset: number | undefined
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal
}

/** Appends bytes and resolves with the new size of the upload once they are acknowledged. */
export const appendToUpload = async (
  _parts: Parts,
  _caller: Caller,
  _uuid: string,
  _input: AppendInput,
): Promise<{ size: number }> => {
  throw new Error('to be written')
}

/** Gives up every upload of a namespace that is being deleted. Call it after the commit that deleted the namespace. */
export const removeUploadsOf = async (_parts: Parts, _namespace: string): Promise<void> => {
  throw new Error('to be written')
}

/** The job that removes uploads without new data for `config.uploadExpiry`; resolves with how many went. */
export const expireUploads = async (_parts: Parts): Promise<number> => {
  throw new Error('to be written')
}
