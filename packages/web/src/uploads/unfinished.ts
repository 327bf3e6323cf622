/**
 * Uploads that another life of this page began: the tab was reloaded, or it crashed. A page may not open files by
 * itself, so the person chooses the same file again, and it goes on.
 */
import {
  type BrowserClient,
  isHoldfastError,
  type UploadRecord,
  type UploadTarget,
} from '@holdfast/client/browser'
import type { Session } from '../session.ts'

export interface Unfinished {
  readonly key: string
  readonly record: UploadRecord
}

/** What this browser remembers of the signed-in namespace, without what runs here; the oldest first. */
export const listUnfinished = async ({ client, namespace }: Session): Promise<Unfinished[]> => {
  const all = (await client.stateStore?.list().catch(() => [])) ?? []
  return all.filter(({ record }) => record.server === client.base && record.login === namespace)
}

/** Whether a file is the one that a record is of, unchanged since. */
export const isSameFile = (file: File, { source }: UploadRecord): boolean =>
  source.id === file.name && source.size === file.size && source.mtime === file.lastModified

/** Where a chosen file was going before, if it is that file. */
export const targetOf = (file: File, unfinished: readonly Unfinished[]): UploadTarget | undefined =>
  unfinished.find(({ record }) => isSameFile(file, record))?.record.target

/** Gives an upload up: the server removes what it has of it. */
export const giveUp = async (client: BrowserClient, uploadUuid: string, key?: string): Promise<void> => {
  await client.uploads.delete(uploadUuid).catch((error: unknown) => {
    if (!isHoldfastError(error, 'upload_not_found')) throw error
  })
  if (key !== undefined) await client.stateStore?.delete(key)
}
