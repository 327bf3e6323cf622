import { join } from 'node:path'

/**
 * Every path under the data directory, in one place.
 *
 * ```
 * holdfast-data/
 *   holdfast.db              metadata (SQLite, with -wal and -shm beside it)
 *   directory.id             with a database elsewhere: which data directory it belongs to, see store-directory.ts
 *   lock.db                  held exclusively while a server runs on this directory
 *   system.key               first key of the system namespace, mode 0600, absent when it was configured
 *   token.key                signs access tokens, mode 0600
 *   client.json              ready-made client configuration, mode 0600
 *   uploads/<uuid>.data      bytes of an upload, append only
 *   uploads/<uuid>.state     what of them is acknowledged and what is on stable storage
 *   uploads/<uuid>.sent      with blobs in S3: the data file, once it is an object there, until its conversion has ended
 *   blobs/<xx>/<uuid>        immutable bytes; <xx> are the first two digits of the UUID
 *   quarantine/<uuid>        bytes of damaged blobs, for people to look at until the blob is healed or collected
 *   restoring.json           a backup is being restored here, or was in part: see backup/restore.ts
 * ```
 *
 * `uploads`, `blobs` and `quarantine` must lie on one filesystem: files move between them by rename.
 */
export interface DataPaths {
  readonly root: string
  readonly database: string
  readonly lock: string
  readonly systemKey: string
  readonly tokenKey: string
  readonly clientConfig: string
  readonly uploads: string
  readonly blobs: string
  readonly quarantine: string
  /** These five throw a RangeError for anything but a canonical lowercase UUID: the last guard against path tricks. */
  uploadData(uuid: string): string
  uploadState(uuid: string): string
  uploadSent(uuid: string): string
  blob(uuid: string): string
  quarantined(uuid: string): string
  /** The directory a blob lies in. */
  blobDirectory(uuid: string): string
}

const canonicalUuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Whether `text` is a UUID in the one spelling that is used as a file name. */
export const isFileUuid = (text: string): boolean => canonicalUuid.test(text)

const checked = (uuid: string): string => {
  if (!isFileUuid(uuid)) throw new RangeError('not a canonical UUID')
  return uuid
}

/** The paths under `root`; nothing is created or looked at. */
export const dataPaths = (root: string): DataPaths => {
  const uploads = join(root, 'uploads')
  const blobs = join(root, 'blobs')
  const quarantine = join(root, 'quarantine')
  const blobDirectory = (uuid: string) => join(blobs, checked(uuid).slice(0, 2))
  return {
    root,
    database: join(root, 'holdfast.db'),
    lock: join(root, 'lock.db'),
    systemKey: join(root, 'system.key'),
    tokenKey: join(root, 'token.key'),
    clientConfig: join(root, 'client.json'),
    uploads,
    blobs,
    quarantine,
    uploadData: (uuid) => join(uploads, `${checked(uuid)}.data`),
    uploadState: (uuid) => join(uploads, `${checked(uuid)}.state`),
    uploadSent: (uuid) => join(uploads, `${checked(uuid)}.sent`),
    blobDirectory,
    blob: (uuid) => join(blobDirectory(uuid), uuid),
    quarantined: (uuid) => join(quarantine, checked(uuid)),
  }
}
