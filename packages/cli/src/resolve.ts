/** What people write for things, and what it means. */
import { isHoldfastError } from '@holdfast/client'
import type { NodeClient } from '@holdfast/client/node'
import { NotFoundError, UsageError } from './failures.ts'

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Whether a text has the form of a UUID. */
export const isUuid = (text: string): boolean => uuid.test(text)

/** `NAME` or `NAMESPACE/NAME`. */
export const parseLabel = (text: string): { name: string; namespace: string | undefined } => {
  const parts = text.split('/')
  if (parts.length > 2 || parts.includes('')) {
    throw new UsageError(`a label is written NAME or NAMESPACE/NAME, not ${text}`)
  }
  return parts.length === 2
    ? { namespace: parts[0]!, name: parts[1]! }
    : { namespace: undefined, name: parts[0]! }
}

/** `ARTIFACT@VERSION` taken apart; undefined when it does not end so. */
export const splitVersion = (text: string): { ref: string; version: number } | undefined => {
  const [, ref, version] = text.match(/^(.+)@(\d{1,15})$/s) ?? []
  return ref === undefined ? undefined : { ref, version: Number(version) }
}

/**
 * Does `use` with the blob that a text means: the UUID of a blob, an artifact (its newest version), or
 * `artifact@version`. A UUID is taken as a blob's first, as the official client does; an artifact may have a name that
 * looks like `name@3`, and then that is meant.
 */
export const resolveBlob = async <T>(
  client: NodeClient,
  text: string,
  use: (blobUuid: string) => Promise<T>,
): Promise<T> => {
  if (!isUuid(text)) return await use(await blobOfArtifact(client, text))
  try {
    return await use(text)
  } catch (error) {
    if (!isHoldfastError(error, 'blob_not_found')) throw error
    const found = await orMissing(blobOfArtifact(client, text))
    // Neither: what was said about the blob is said
    if (found === undefined) throw error
    return await use(found)
  }
}

const blobOfArtifact = async (client: NodeClient, text: string): Promise<string> => {
  const apart = splitVersion(text)
  const whole = client.artifacts.show(text)
  const artifact = await (apart === undefined ? whole : orMissing(whole))
  const { ref, version } = artifact === undefined ? apart! : { ref: text, version: undefined }
  const { blobs, index } = artifact ?? (await client.artifacts.show(ref))
  const entry = blobs[version ?? index]
  if (entry === undefined) {
    throw new NotFoundError(
      version === undefined ? `${ref} has no versions` : `${ref} has no version ${version}`,
      `It has these: ${Object.keys(blobs).join(', ') || 'none'}.`,
    )
  }
  return entry.uuid
}

const orMissing = <T>(found: Promise<T>): Promise<T | undefined> =>
  found.catch((error: unknown) => {
    if (isHoldfastError(error, 'artifact_not_found')) return undefined
    throw error
  })
