import type { BlobView } from '@holdfast/api/schemas'
import { call } from '../calls.ts'
import { HoldfastError } from '../errors.ts'
import type { Session } from '../session.ts'
import type { DownloadRef } from '../types.ts'

/** What a download has to know of a blob. Blobs never change, so it stays true. */
export interface BlobFacts {
  readonly uuid: string
  readonly size: number
  /** Lower-case hex; undefined while the original server is still computing it. */
  readonly sha512: string | undefined
}

/** The blob behind an artifact's newest or given version, or the named one. */
export const resolveBlob = async (
  session: Session,
  ref: DownloadRef,
  signal: AbortSignal,
): Promise<BlobFacts> => {
  const uuid = ref.blob ?? (await blobOfVersion(session, ref.artifact, ref.version, signal))
  const view: BlobView = await call(session, 'showBlob', { params: { blob_uuid: uuid } }, { signal })
  return { uuid, size: view.size, sha512: view.sha512?.toLowerCase() || undefined }
}

const blobOfVersion = async (
  session: Session,
  artifact: string,
  version: number | undefined,
  signal: AbortSignal,
): Promise<string> => {
  const view = await call(session, 'showArtifact', { params: { artifact_ref: artifact } }, { signal })
  const uuid = version === undefined ? view.blob_uuid : view.blobs[String(version)]?.uuid
  if (uuid !== undefined) return uuid
  const missing = version === undefined ? 'the artifact has no version yet' : `there is no version ${version}`
  throw new HoldfastError('version_not_found', { message: missing })
}
