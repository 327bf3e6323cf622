import type { ArtifactView, BlobView } from '@holdfast/api/schemas'
import { call } from '../calls.ts'
import { isHoldfastError, VerificationError } from '../errors.ts'
import { PhaseMeter } from '../progress.ts'
import { persisting } from '../retry.ts'
import type { UploadProgress } from '../types.ts'
import type { OpenUpload, UploadRun } from './engine.ts'

/** The fields that say where the version goes. Absent ones are left out: the original dislikes what it does not know. */
const targetFields = (run: UploadRun) => {
  const { namespace, artifactType, sourceUrl, shared } = run.options
  return {
    ...(namespace === undefined ? {} : { namespace }),
    ...(artifactType === undefined ? {} : { artifact_type: artifactType }),
    ...(sourceUrl === undefined ? {} : { source_url: sourceUrl }),
    ...(shared === undefined ? {} : { shared }),
  }
}

type Fields = { upload_uuid?: string; blob_uuid?: string; sha512?: string; size?: number }

/** Converts until there is an answer: the request may be repeated however often. */
const convert = async (run: UploadRun, fields: Fields): Promise<ArtifactView> => {
  const { session, options, signal } = run
  const meter = new PhaseMeter<UploadProgress>(options.onProgress, { phase: 'convert', resumed: 0 })
  const { policy, onRetry } = session
  const input = { params: { name: options.name }, body: { ...fields, ...targetFields(run) } }
  meter.at(0, 1)
  const artifact = await persisting({ what: 'convertUpload', policy, signal, onRetry }, () =>
    call(session, 'convertUpload', input, { signal }),
  )
  meter.at(1, 1, { finished: true })
  return artifact
}

/** What the server shall check, where it can. */
const expectations = (run: UploadRun, sha512: string | undefined): Fields =>
  run.words.has('convert-expect')
    ? { size: run.source.size!, ...(sha512 === undefined ? {} : { sha512 }) }
    : {}

/** Makes a blob that the server has into a version; undefined when the blob is gone after all. */
export const convertBlob = async (
  run: UploadRun,
  blob: BlobView,
  sha512: string,
): Promise<ArtifactView | undefined> => {
  await run.source.verify()
  try {
    return await convert(run, { blob_uuid: blob.uuid, ...expectations(run, sha512) })
  } catch (error) {
    if (isHoldfastError(error, 'blob_not_found') || isHoldfastError(error, 'blob_damaged')) return undefined
    throw error
  }
}

/** Makes the upload into a version, held to the size and digest that we know. */
export const convertUpload = async (
  run: UploadRun,
  upload: OpenUpload,
  sha512: string | undefined,
): Promise<ArtifactView> => {
  await run.source.verify()
  const checks = run.words.has('convert-expect')
  try {
    const artifact = await convert(run, { upload_uuid: upload.uuid, ...expectations(run, sha512) })
    if (!checks) await checkAfterwards(run, artifact, sha512)
    return artifact
  } catch (error) {
    if (checks || sha512 === undefined || !isHoldfastError(error, 'upload_not_found')) throw error
    const artifact = await convertLost(run, sha512)
    if (artifact === undefined) throw error
    return artifact
  }
}

/** The server did not compare, so we do. */
const checkAfterwards = async (
  run: UploadRun,
  artifact: ArtifactView,
  sha512: string | undefined,
): Promise<void> => {
  if (artifact.blob_uuid === undefined) return
  const { session, signal } = run
  const { policy, onRetry } = session
  const params = { blob_uuid: artifact.blob_uuid }
  const blob = await persisting({ what: 'showBlob', policy, signal, onRetry }, () =>
    call(session, 'showBlob', { params }, { signal }),
  )
  const size = run.source.size!
  if (blob.size !== size) {
    throw new VerificationError(
      `the server stored ${blob.size} bytes instead of ${size}, as version ${artifact.index}`,
      String(size),
      String(blob.size),
    )
  }
  // The original computes digests later; what is not there yet cannot be compared
  const stored = blob.sha512?.toLowerCase() || undefined
  if (sha512 !== undefined && stored !== undefined && stored !== sha512) {
    throw new VerificationError(`the server stored other bytes, as version ${artifact.index}`, sha512, stored)
  }
}

/** The upload is gone from a server that forgets conversions: perhaps ours worked and only its reply was lost. */
const convertLost = async (run: UploadRun, sha512: string): Promise<ArtifactView | undefined> => {
  const { session, signal } = run
  const { policy, onRetry } = session
  const params = { algorithm: 'sha512', hash: sha512 }
  const blob = await persisting({ what: 'findBlob', policy, signal, onRetry }, () =>
    call(session, 'findBlob', { params }, { signal }),
  )
  return blob === null ? undefined : await convertBlob(run, blob, sha512)
}
