/**
 * Admission: whether a namespace may store more, decided before the bytes are read.
 *
 * **Exact, though many ask at once.** Who is admitted holds what it asked for until its bytes show in the files or in
 * SQL, and a count adds what is held. A count reads all versions of the namespace, so it is not made for every request:
 * the last one, plus whatever was admitted since it began, is an upper bound of the usage, and what fits even so is
 * admitted by it. Only when something does not fit is there a new count, which those who need one at that time share, and
 * only a count that began after the request came refuses it: what was deleted before can be used again.
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

type AdmissionParts = Pick<Parts, 'config' | 'db' | 'uploadFiles' | 'nodes' | 'log'>

/** What was admitted and does not show anywhere else yet. */
export interface Hold {
  /** Asks for more, for bodies that do not announce their length. Throws `quota_exceeded`. */
  grow(bytes: number): Promise<void>
  /** What was stored is seen by the next count, the rest never came. May be repeated. */
  release(): void
}

/** What is asked for: bytes, which may be those of an upload or of a blob that exists. */
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
  /** The blob whose size `bytes` is: it counts once, however often it is asked for. */
  readonly blobUuid?: string
}

/** A wish and how much of it was admitted so far. */
interface Held extends Omit<Wish, 'bytes'> {
  bytes: number
  /** Counts already, but may turn out to need admission. */
  isLookedUp: boolean
}

/** At least what a namespace uses. */
interface Bound {
  /** NaN until the count is made: nothing fits it then. */
  bytes: number
  /** When the count began, by `performance.now()`. */
  readonly countedAt: number
  /** It counts a wish that was being looked up, and may turn out to ask for nothing or to be refused. */
  isVague: boolean
}

/** So often somebody waits for a count that is not vague, before being refused by one that is. */
const maxVagueCounts = 10

/** Decides whether a namespace may store more. */
export interface Admission {
  /**
   * Admits a wish or throws `quota_exceeded`. The caller releases what it gets when the bytes are stored, or will not
   * be.
   */
  hold(parts: AdmissionParts, wish: Wish): Promise<Hold>
  /** Throws `quota_exceeded` if so many bytes would not be admitted now; holds nothing. */
  check(parts: AdmissionParts, namespace: string, bytes: number): Promise<void>
  /** What the namespace uses at this moment, what is held included. */
  count(
    parts: Pick<Parts, 'db' | 'uploadFiles'>,
    namespace: string,
  ): Promise<{ blobBytes: number; uploadBytes: number }>
}

/** Who has been admitted, in one server that is alone; `shared-admission.ts` is for several. */
export class LocalAdmission implements Admission {
  readonly #held = new Set<Held>()
  /** None for namespaces without a limit, for which nobody keeps them up to date. */
  readonly #bounds = new Map<string, Bound>()
  readonly #counting = new Map<string, Promise<void>>()

  async hold(parts: AdmissionParts, { bytes, ...wish }: Wish): Promise<Hold> {
    const held: Held = { ...wish, bytes: 0, isLookedUp: false }
    this.#held.add(held)
    try {
      if (!(await this.#holdsAlready(parts, held, bytes))) await this.#admit(parts, held, bytes)
    } catch (error) {
      this.#held.delete(held)
      throw error
    }
    return {
      grow: (more) => this.#admit(parts, held, more),
      release: () => void this.#held.delete(held),
    }
  }

  async check(parts: AdmissionParts, namespace: string, bytes: number): Promise<void> {
    const hold = await this.hold(parts, { namespace, bytes })
    hold.release()
  }

  async count(
    parts: Pick<Parts, 'db' | 'uploadFiles'>,
    namespace: string,
  ): Promise<{ blobBytes: number; uploadBytes: number; isVague: boolean }> {
    let uploadBytes = 0
    // Uploads first: one that is converted meanwhile then counts twice rather than not at all.
    for (const uuid of await listUploadUuids(parts.db.read, namespace)) {
      // In this order for the same reason: what is stored in between is no longer held.
      const held = [...this.#held].filter(({ upload }) => upload?.uuid === uuid)
      uploadBytes += expectedSize((await parts.uploadFiles.status(uuid))?.size ?? 0, held)
    }
    let otherBytes = 0
    let isVague = false
    const blobUuids: string[] = []
    for (const held of this.#held) {
      if (held.namespace !== namespace || held.upload || held.bytes === 0) continue
      isVague ||= held.isLookedUp
      if (held.blobUuid === undefined) otherBytes += held.bytes
      else blobUuids.push(held.blobUuid)
    }
    const blobBytes = otherBytes + (await countBlobBytes(parts.db, namespace, blobUuids))
    return { blobBytes, uploadBytes, isVague }
  }

  /** Whether the wish is for a blob that a version of the namespace holds; it is held then, should that version go. */
  async #holdsAlready({ db }: AdmissionParts, held: Held, bytes: number): Promise<boolean> {
    const { namespace, blobUuid } = held
    if (blobUuid === undefined) return false
    // Before looking, so that nobody is given its room should the version go a moment later.
    Object.assign(held, { bytes, isLookedUp: true })
    const isHeld = await holdsBlob(db.read, namespace, blobUuid)
    Object.assign(held, { bytes: isHeld ? bytes : 0, isLookedUp: false })
    return isHeld
  }

  async #admit(parts: AdmissionParts, held: Held, bytes: number): Promise<void> {
    if (bytes === 0) return
    const { namespace } = held
    const askedAt = performance.now()
    for (let counts = 0; ; counts++) {
      const limit = (await limitsOf(parts.db.read, parts.config, namespace)).bytes
      // From here to its end a turn of this loop waits for nothing, so two cannot be admitted to the same room.
      const asked = this.#notHeldYet(held, bytes)
      const bound = this.#bounds.get(namespace)
      if (limit === 0) this.#bounds.delete(namespace)
      else if (bound && bound.bytes + asked <= limit) bound.bytes += asked
      else if (
        bound &&
        bound.bytes >= 0 &&
        bound.countedAt >= askedAt &&
        (!bound.isVague || counts > maxVagueCounts)
      ) {
        // Since it was looked up, somebody with the same wish may have been admitted, and be done.
        if (await this.#holdsAlready(parts, held, bytes)) return
        throw quotaExceeded('bytes', { limit, used: bound.bytes, asked })
      } else {
        await this.#recount(parts, namespace)
        continue
      }
      held.bytes += bytes
      return
    }
  }

  /** How much of `bytes` more neither the upload has already nor others hold for the same place of it, or the same blob. */
  #notHeldYet({ namespace, upload, blobUuid, bytes: before }: Held, bytes: number): number {
    const others = [...this.#held].filter(
      (other) => other.bytes > 0 && !other.isLookedUp && other.namespace === namespace,
    )
    if (blobUuid !== undefined) return others.some((other) => other.blobUuid === blobUuid) ? 0 : bytes
    if (upload?.offset === undefined) return bytes
    const begin = upload.offset + before
    const end = begin + bytes
    let covered = Math.max(begin, Math.min(end, upload.size))
    for (const other of others)
      if (other.upload?.uuid === upload.uuid && other.upload.offset !== undefined)
        covered = Math.max(covered, Math.min(end, other.upload.offset + other.bytes))
    return end - covered
  }

  /** Replaces the bound by a count; those who want one at the same time share it. */
  #recount(parts: AdmissionParts, namespace: string): Promise<void> {
    const under = this.#counting.get(namespace)
    if (under) return under
    const work = async () => {
      const bound: Bound = { bytes: Number.NaN, countedAt: performance.now(), isVague: false }
      // From here on nobody is admitted by the former bound, of which this count would not know.
      this.#bounds.set(namespace, bound)
      const { blobBytes, uploadBytes, isVague } = await this.count(parts, namespace)
      bound.bytes = blobBytes + uploadBytes
      bound.isVague = isVague
    }
    const counting = work().finally(() => this.#counting.delete(namespace))
    this.#counting.set(namespace, counting)
    return counting
  }
}

/** How large an upload will be when everything that is held for it has arrived. */
export const expectedSize = (size: number, held: readonly Pick<Held, 'upload' | 'bytes'>[]): number => {
  let end = size
  let atomic = 0
  for (const { upload, bytes } of held) {
    if (upload?.offset === undefined) atomic += bytes
    else end = Math.max(end, upload.offset + bytes)
  }
  return end + atomic
}

/** Runs `work`, which stores what is wished for, if there is room for it. */
export const withRoom = async <T>(parts: Parts, wish: Wish, work: () => Promise<T>): Promise<T> => {
  const hold = await parts.admission.hold(parts, wish)
  try {
    return await work()
  } finally {
    hold.release()
  }
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
