/**
 * What the objects of a store are called, in one place (docs/format.md).
 *
 * ```
 * <prefix>store.json           which store this is: see s3-marker.ts
 * <prefix>blobs/<uuid>         immutable bytes; unfinished multipart uploads have this name, too
 * <prefix>checksum-probe       written at each start, unless the store notices that its checksum is wrong
 * <prefix>quarantine/<uuid>    bytes of damaged blobs, for people to look at until the blob is healed or collected
 * ```
 */
import { isFileUuid } from '../paths.ts'

export interface S3Names {
  readonly marker: string
  readonly probe: string
  readonly blobs: string
  readonly quarantine: string
  /** These two throw a RangeError for anything but a canonical lowercase UUID. */
  blob(uuid: string): string
  quarantined(uuid: string): string
  /** The UUID in a name that begins with `blobs` or `quarantine`; undefined for names that nobody here has given. */
  uuidOf(key: string): string | undefined
}

/** The names under `prefix`, which is empty or ends in a slash. */
export const s3Names = (prefix: string): S3Names => {
  const blobs = `${prefix}blobs/`
  const quarantine = `${prefix}quarantine/`
  const checked = (uuid: string): string => {
    if (!isFileUuid(uuid)) throw new RangeError('not a canonical UUID')
    return uuid
  }
  return {
    marker: `${prefix}store.json`,
    probe: `${prefix}checksum-probe`,
    blobs,
    quarantine,
    blob: (uuid) => blobs + checked(uuid),
    quarantined: (uuid) => quarantine + checked(uuid),
    uuidOf: (key) => {
      const uuid = key.slice(key.lastIndexOf('/') + 1)
      return isFileUuid(uuid) && [blobs, quarantine].some((start) => key === start + uuid) ? uuid : undefined
    },
  }
}
