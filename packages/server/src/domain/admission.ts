/**
 * Admission: whether a namespace may store more, decided before the bytes are read.
 *
 * **Exact, though many ask at once.** Whoever is admitted holds what it asked for until its bytes show in the
 * files or in SQL, and a count adds what is held. Between counts the newest one, plus everything admitted since it
 * began, is an upper bound of the usage: as long as a request fits under the limit even so, nothing is counted at
 * all. Only when it does not is there a new count, and only that refuses. So no order of requests passes a limit, and a
 * namespace far below it costs one look at its limits.
 *
 * **What a count may cost.** It reads the versions of one namespace. One that stands at its limit and goes on asking
 * must not keep the server busy with that, so a refusal may rest on a count that is not older than
 * twenty times what it took to make, ten seconds at most: with thousands of versions milliseconds. For that long a
 * namespace may be refused although it has just deleted something; it is never admitted wrongly.
 *
 * **What grows without being asked here**: nothing. Bytes are admitted when they arrive for an upload; converting an
 * upload of the same namespace moves them; converting one of another namespace, a blob, or pointing a label at one
 * asks for the blob's size unless the namespace holds it already. Numbers of artifacts and uploads are compared in the
 * transactions that make them, which run one after the other.
 */
import type { Transaction } from 'kysely'
import type { Schema } from '../db/schema.ts'
import type { Parts } from '../parts.ts'
import {
  countArtifacts,
  countBlobBytes,
  countUploads,
  holdsBlob,
  type Limits,
  limitsOf,
  listUploadUuids,
  quotaExceeded,
} from './usage.ts'

type AdmissionParts = Pick<Parts, 'config' | 'db' | 'uploadFiles'>

/** What was admitted and does not show anywhere else yet. */
export interface Hold {
  /** Asks for more, for bodies that do not announce their length. Throws `quota_exceeded`. */
  grow(bytes: number): Promise<void>
  /** What was stored is seen by the next count, the rest never came. May be repeated. */
  release(): void
}

/** What is asked for: bytes, or bytes of an upload that may overlap with what it holds already. */
export interface Wish {
  readonly namespace: string
  readonly bytes: number
  readonly upload?: {
    readonly uuid: string
    /** Its size when the request came. */
    readonly size: number
    /** Where the bytes begin, when that is certain: a piece sent twice then counts once. */
    readonly offset: number | undefined
  }
}

interface Held {
  readonly namespace: string
  readonly upload: Wish['upload']
  bytes: number
}

interface Count {
  /** Undefined until it is made. */
  bytes: number | undefined
  /** Admitted since the count began: it may have seen these, or not. */
  added: number
  beganAt: number
  /** Refusals may rest on it until then. */
  staleAt: number
}

/** Counting takes no more than this part of the time: a count is good for twenty times what it took. */
const restFactor = 20
const maxRestMs = 10_000

/** Who has been admitted, in one server. */
export class Admission {
  readonly #held = new Set<Held>()
  readonly #counts = new Map<string, Count>()
  readonly #counting = new Map<string, Promise<void>>()

  /**
   * Admits a wish or throws `quota_exceeded`. The caller releases what it gets when the bytes are stored, or will not
   * be.
   */
  async hold(parts: AdmissionParts, wish: Wish): Promise<Hold> {
    const { namespace, upload } = wish
    const held: Held = { namespace, upload, bytes: 0 }
    const grow = (bytes: number) =>
      this.#admit(parts, namespace, this.#overlapping(held, bytes), () => {
        held.bytes += bytes
      })
    this.#held.add(held)
    try {
      await grow(wish.bytes)
    } catch (error) {
      this.#held.delete(held)
      throw error
    }
    return { grow, release: () => void this.#held.delete(held) }
  }

  /** Throws `quota_exceeded` if so many bytes would not be admitted now; holds nothing. */
  async check(parts: AdmissionParts, namespace: string, bytes: number): Promise<void> {
    const hold = await this.hold(parts, { namespace, bytes })
    hold.release()
  }

  /** What the namespace uses at this moment, what is held included. */
  async count(
    parts: Pick<Parts, 'db' | 'uploadFiles'>,
    namespace: string,
  ): Promise<{ blobBytes: number; uploadBytes: number }> {
    let uploadBytes = 0
    // Uploads first: one that is converted meanwhile then counts twice rather than not at all.
    for (const uuid of await listUploadUuids(parts.db.read, namespace)) {
      // In this order for the same reason: what is stored in between is no longer held.
      const held = [...this.#held].filter((entry) => entry.upload?.uuid === uuid)
      uploadBytes += expectedSize((await parts.uploadFiles.status(uuid))?.size ?? 0, held)
    }
    let blobBytes = 0
    for (const held of this.#held) if (held.namespace === namespace && !held.upload) blobBytes += held.bytes
    blobBytes += await countBlobBytes(parts.db.read, namespace)
    return { blobBytes, uploadBytes }
  }

  /** What of `bytes` more neither the upload has already nor others hold for the same place of it. */
  #overlapping({ upload, bytes: before }: Held, bytes: number): number {
    if (upload?.offset === undefined) return bytes
    const begin = upload.offset + before
    const end = begin + bytes
    let covered = Math.max(begin, Math.min(end, upload.size))
    for (const other of this.#held)
      if (other.upload?.uuid === upload.uuid && other.upload.offset !== undefined)
        covered = Math.max(covered, Math.min(end, other.upload.offset + other.bytes))
    return end - covered
  }

  async #admit(parts: AdmissionParts, namespace: string, bytes: number, take: () => void): Promise<void> {
    const askedAt = performance.now()
    for (;;) {
      const limits = bytes > 0 ? await limitsOf(parts.db.read, parts.config, namespace) : undefined
      if (!limits?.bytes) {
        this.#counts.delete(namespace)
        return take()
      }
      const count = this.#counts.get(namespace)
      if (count?.bytes !== undefined) {
        const used = count.bytes + count.added
        if (used + bytes <= limits.bytes) {
          count.added += bytes
          return take()
        }
        if (count.beganAt >= askedAt || performance.now() < count.staleAt)
          throw quotaExceeded('bytes', { limit: limits.bytes, used, asked: bytes })
      }
      await this.#recount(parts, namespace)
    }
  }

  /** Replaces the count; those who want one at the same time share it. */
  #recount(parts: AdmissionParts, namespace: string): Promise<void> {
    const under = this.#counting.get(namespace)
    if (under) return under
    const work = async () => {
      const beganAt = performance.now()
      // From here on nobody is admitted by the former count, which would not tell this one of it.
      const count: Count = { bytes: undefined, added: 0, beganAt, staleAt: 0 }
      this.#counts.set(namespace, count)
      const { blobBytes, uploadBytes } = await this.count(parts, namespace)
      count.bytes = blobBytes + uploadBytes
      const now = performance.now()
      count.staleAt = now + Math.min(maxRestMs, (now - beganAt) * restFactor)
    }
    const counting = work().finally(() => this.#counting.delete(namespace))
    this.#counting.set(namespace, counting)
    return counting
  }
}

/** Runs `work`, which makes a version of a blob in a namespace, if the namespace holds the blob or has room for it. */
export const withRoomForBlob = async <T>(
  parts: Parts,
  namespace: string,
  blob: { readonly uuid: string; readonly size: number },
  work: () => Promise<T>,
): Promise<T> => {
  const isHeld = await holdsBlob(parts.db.read, namespace, blob.uuid)
  return withRoom(parts, namespace, isHeld ? 0 : blob.size, work)
}

/** Runs `work`, which stores so many bytes more for a namespace, if there is room for them. */
export const withRoom = async <T>(
  parts: Parts,
  namespace: string,
  bytes: number,
  work: () => Promise<T>,
): Promise<T> => {
  const hold = await parts.admission.hold(parts, { namespace, bytes })
  try {
    return await work()
  } finally {
    hold.release()
  }
}

/** How large an upload will be when everything that is held for it has arrived. */
const expectedSize = (size: number, held: readonly Held[]): number => {
  let end = size
  let atomic = 0
  for (const { upload, bytes } of held) {
    if (upload?.offset === undefined) atomic += bytes
    else end = Math.max(end, upload.offset + bytes)
  }
  return end + atomic
}

/** Refuses one more artifact of a namespace, in the transaction that would make it. */
export const requireRoomForArtifact = async (
  trx: Transaction<Schema>,
  parts: Pick<Parts, 'config'>,
  namespace: string,
): Promise<void> => requireRoomFor(trx, parts, namespace, 'artifacts', countArtifacts)

/** Refuses one more upload of a namespace, in the transaction that would make it. */
export const requireRoomForUpload = async (
  trx: Transaction<Schema>,
  parts: Pick<Parts, 'config'>,
  namespace: string,
): Promise<void> => requireRoomFor(trx, parts, namespace, 'uploads', countUploads)

const requireRoomFor = async (
  trx: Transaction<Schema>,
  { config }: Pick<Parts, 'config'>,
  namespace: string,
  resource: Exclude<keyof Limits, 'bytes'>,
  count: typeof countUploads,
): Promise<void> => {
  const limit = (await limitsOf(trx, config, namespace))[resource]
  if (limit === 0) return
  const used = await count(trx, namespace)
  if (used >= limit) throw quotaExceeded(resource, { limit, used, asked: 1 })
}
