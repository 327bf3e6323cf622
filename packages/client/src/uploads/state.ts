/**
 * What has to be remembered so that an upload can go on after the program that ran it is gone.
 *
 * A record is written before the first byte is sent and removed when the version exists. Losing a record costs a new
 * upload, never data; keeping one too long costs nothing, because the server is asked before it is believed.
 */
import type { UploadTarget } from '../types.ts'

/** What tells one state of one file from any other. */
export interface SourceIdentity {
  /** Stays the same for the same file: device and inode, or name. */
  readonly id: string
  readonly size: number
  /** Milliseconds since 1970. */
  readonly mtime: number
}

export interface UploadRecord {
  readonly format: 1
  /** Base URL. */
  readonly server: string
  /** The namespace that logged in. */
  readonly login: string
  readonly uploadUuid: string
  readonly node: string
  readonly target: UploadTarget
  readonly source: SourceIdentity
  /** Where the source was, in words for people and, for files, as an absolute path. */
  readonly path: string
  /** Bytes that the server is known to have; it may have more. */
  readonly acknowledged: number
  readonly sha512?: string | undefined
  /** Milliseconds since 1970. */
  readonly createdAt: number
}

/** Keeps records by key. All methods may reject; a failure to remember never fails an upload. */
export interface StateStore {
  get(key: string): Promise<UploadRecord | undefined>
  set(key: string, record: UploadRecord): Promise<void>
  delete(key: string): Promise<void>
  list(): Promise<{ readonly key: string; readonly record: UploadRecord }[]>
}

/** The key of an upload: the same server, login, target and file give the same key. */
export const stateKey = (
  record: Pick<UploadRecord, 'server' | 'login' | 'target'> & { readonly source: { readonly id: string } },
): string => {
  const { name, namespace = '', artifactType = 'image', sourceUrl = '' } = record.target
  return JSON.stringify([
    record.server,
    record.login,
    namespace,
    artifactType,
    sourceUrl,
    name,
    record.source.id,
  ])
}

/** Whether a stored value is a record that this version understands. */
export const isUploadRecord = (value: unknown): value is UploadRecord => {
  if (typeof value !== 'object' || value === null) return false
  const record = value as Partial<UploadRecord>
  return (
    record.format === 1 &&
    typeof record.server === 'string' &&
    typeof record.login === 'string' &&
    typeof record.uploadUuid === 'string' &&
    typeof record.acknowledged === 'number' &&
    typeof record.path === 'string' &&
    typeof record.target?.name === 'string' &&
    typeof record.source?.id === 'string' &&
    typeof record.source.size === 'number' &&
    typeof record.source.mtime === 'number'
  )
}
