/**
 * Sends uploads to the store while they still arrive, as multipart uploads under the names of the blobs they may become.
 *
 * **What it stands on.** The bytes are in the upload's local file, which is what clients were answered for; what is here
 * only spares time. All of it may be forgotten at any moment: a conversion sends whatever it does not find sent.
 *
 * **Which bytes.** Whole parts (part-sizes.ts) of what is *written*, acknowledged or not: a plain append of many GiB is
 * acknowledged when it ends. `cut` comes before any byte in their place is written anew. A part that is cut is
 * given up; a late copy of it that the store still takes has another ETag than the one sent in its place, and the
 * store then refuses to complete; the conversion sends everything again.
 *
 * **Right bytes.** The store compares each part with a checksum made from the file (part-body.ts), and the conversion compares
 * those with the ones made when the bytes arrived. So what is completed is what came from the client.
 *
 * **Left behind.** A multipart upload is aborted when its upload is removed or converted into something else. What a crash
 * leaves is found by `sweep`.
 */
import type { ExpectedContent } from '../blob-store.ts'
import {
  abortUpload,
  areRight,
  beginUpload,
  isThere,
  joinParts,
  listUploads,
  type PartSenderOptions,
  putWhole,
  type SentPart,
  sendPart,
  type UploadId,
} from './part-calls.ts'
import { partSize, partStart } from './part-sizes.ts'
import { arePartsWrong, isUploadMissing, storeAway } from './s3-errors.ts'
import { findObject } from './s3-objects.ts'

/** A multipart upload, from its first part on. */
interface Growing {
  readonly path: string
  /** Of the blob to be. */
  readonly uuid: string
  uploadId: Promise<UploadId> | undefined
  /** Bytes that are written. */
  size: number
  readonly sent: Map<number, SentPart>
  /** All parts before this one are sent. */
  sentTo: number
  readonly sending: Map<number, { readonly abort: AbortController; readonly done: Promise<void> }>
  /** After a failure, the background leaves it alone until then. */
  restUntil: number
}

/** Parts of one upload that are under way at a time, and of all in the background. */
const maxOfOne = 2
const maxInBackground = 8
const maxAtConversion = 4
const restMs = 30_000

export class PartSender {
  readonly #options: PartSenderOptions
  readonly #growing = new Map<string, Growing>()
  #inBackground = 0

  constructor(options: PartSenderOptions) {
    this.#options = options
  }

  /** The first `size` bytes of the file are written. Returns at once; never throws. */
  grown(uuid: string, path: string, size: number): void {
    let growing = this.#growing.get(uuid)
    if (!growing) {
      if (size < partSize(1)) return
      growing = newGrowing(uuid, path)
      this.#growing.set(uuid, growing)
    }
    growing.size = Math.max(growing.size, size)
    this.#sendInBackground(growing)
  }

  /** Bytes from `size` on do not count any more. Before others are written in their place. */
  cut(uuid: string, size: number): void {
    const growing = this.#growing.get(uuid)
    if (!growing) return
    growing.size = Math.min(growing.size, size)
    growing.sentTo = 1
    for (const [number, { end }] of growing.sent) if (end > growing.size) growing.sent.delete(number)
    for (const [number, { abort }] of growing.sending)
      if (partStart(number + 1) > growing.size) {
        growing.sending.delete(number)
        abort.abort()
      }
  }

  /** The upload is gone. Resolves when the store has been told, or could not be: never rejects. */
  async gone(uuid: string): Promise<void> {
    const growing = this.#growing.get(uuid)
    this.#growing.delete(uuid)
    if (growing) await this.#abandon(growing)
  }

  /**
   * Makes the blob of the file's first `size` bytes, which do not change meanwhile. After it the store has been asked for the
   * blob and has the right number of bytes.
   */
  async complete(uuid: string, path: string, size: number, expected?: ExpectedContent): Promise<void> {
    const known = this.#growing.get(uuid)
    this.#growing.delete(uuid)
    const growing = known ?? newGrowing(uuid, path)
    growing.size = size
    try {
      if (!known && size <= partSize(1)) {
        if (!(await putWhole(this.#options, this.#keyOf(uuid), path, size, expected)))
          throw notAsReceived(uuid)
      } else await this.#completeParts(growing, size, expected)
    } catch (error) {
      // What was sent is good for the next try, unless the file is cut meanwhile.
      for (const [number, { end }] of growing.sent)
        if (end !== partStart(number + 1)) growing.sent.delete(number)
      if (growing.uploadId) this.#growing.set(uuid, growing)
      throw error
    }
    const blob = await findObject(this.#options.connection, this.#keyOf(uuid))
    if (blob?.size !== size) throw new Error(`the store has ${blob?.size} of ${size} bytes of ${uuid}`)
  }

  /** Aborts what nobody here knows of, unless it is to be kept. Resolves with how many that were. */
  async sweep(isKept: (uuid: string) => Promise<boolean>): Promise<number> {
    const { names } = this.#options
    let count = 0
    for await (const upload of listUploads(this.#options, names.blobs)) {
      const uuid = names.uuidOf(upload.key)
      if (!uuid || this.#growing.has(uuid) || (await isKept(uuid)) || this.#growing.has(uuid)) continue
      await abortUpload(this.#options, upload)
      count++
    }
    return count
  }

  /** Whether a part of this upload is on its way. */
  isSending(uuid: string): boolean {
    return (this.#growing.get(uuid)?.sending.size ?? 0) > 0
  }

  /** Gives up what is under way; the next start finds it. */
  close(): void {
    for (const { sending } of this.#growing.values()) for (const { abort } of sending.values()) abort.abort()
    this.#growing.clear()
  }

  #sendInBackground(growing: Growing): void {
    if (this.#growing.get(growing.uuid) !== growing || performance.now() < growing.restUntil) return
    while (growing.sending.size < maxOfOne && this.#inBackground < maxInBackground) {
      const number = nextPart(growing, growing.size)
      if (number === undefined) return
      this.#inBackground++
      this.#startPart(growing, number, partStart(number + 1))
        .catch((error) => {
          growing.restUntil = performance.now() + restMs
          this.#options.warn('a part of an upload could not be sent yet', { upload: growing.uuid, error })
          return this.#forgetIfAborted(growing, [error])
        })
        .finally(() => {
          this.#inBackground--
          for (const other of this.#growing.values()) this.#sendInBackground(other)
        })
    }
  }

  /** Sends one part and notes it. When it is cut or given up meanwhile, nothing is noted, and that is no failure. */
  #startPart(growing: Growing, number: number, end: number): Promise<void> {
    const abort = new AbortController()
    const send = async () => {
      try {
        const upload = await this.#uploadOf(growing)
        const part = await sendPart(this.#options, upload, growing.path, number, end, abort.signal)
        if (!abort.signal.aborted) growing.sent.set(number, part)
      } catch (error) {
        if (!abort.signal.aborted) throw error
      }
    }
    const done = send().finally(() => {
      if (growing.sending.get(number)?.abort === abort) growing.sending.delete(number)
    })
    growing.sending.set(number, { abort, done })
    return done
  }

  #keyOf(uuid: string): string {
    return this.#options.names.blob(uuid)
  }

  /** The multipart upload, begun with its first part. */
  #uploadOf(growing: Growing): Promise<UploadId> {
    if (!growing.uploadId) {
      const begun = beginUpload(this.#options, this.#keyOf(growing.uuid))
      growing.uploadId = begun
      begun.catch(() => {
        if (growing.uploadId === begun) growing.uploadId = undefined
      })
    }
    return growing.uploadId
  }

  async #completeParts(growing: Growing, size: number, expected?: ExpectedContent): Promise<void> {
    for (let isRepeated = false; ; isRepeated = true) {
      await this.#sendRest(growing, size)
      const wrong = [...growing.sent].filter(([n, { sums }]) => !areRight(sums, partStart(n), expected))
      if (wrong.length > 0) {
        for (const [number] of wrong) growing.sent.delete(number)
        if (isRepeated) throw notAsReceived(growing.uuid)
        continue
      }
      if (await this.#join(growing, size)) return
      if (isRepeated) throw storeAway(new Error('the store does not know the parts that it was sent'))
      this.#options.warn('all parts of an upload are sent again', { upload: growing.uuid })
      await this.#abandon(growing)
    }
  }

  /** Sends what is missing of the first `size` bytes, the last part shorter than others. */
  async #sendRest(growing: Growing, size: number): Promise<void> {
    // What the background has begun is as good.
    await Promise.allSettled([...growing.sending.values()].map(({ done }) => done))
    for (const [number, { end }] of growing.sent)
      if (partStart(number) >= size || end !== Math.min(size, partStart(number + 1)))
        growing.sent.delete(number)
    const missing: number[] = []
    for (let number = 1; number === 1 || partStart(number) < size; number++)
      if (!growing.sent.has(number)) missing.push(number)
    const sendSome = async () => {
      for (let number = missing.shift(); number !== undefined; number = missing.shift())
        await this.#startPart(growing, number, Math.min(size, partStart(number + 1)))
    }
    const results = await Promise.allSettled(Array.from({ length: maxAtConversion }, sendSome))
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
    if (failures.length === 0) return
    await this.#forgetIfAborted(growing, failures)
    throw storeAway(failures[0])
  }

  /**
   * Begins anew when the multipart upload is not there any more: a rule of the bucket may abort old ones. Servers that see it
   * before they have read a part may break the connection, so the failure itself does not always say so.
   */
  async #forgetIfAborted(growing: Growing, failures: readonly unknown[]): Promise<void> {
    const upload = await growing.uploadId?.catch(() => undefined)
    if (!upload) return
    if (failures.some(isUploadMissing) || !(await isThere(this.#options, upload).catch(() => true)))
      await this.#abandon(growing)
  }

  /** Makes an object of the parts. False when the store does not have them as they are known here. */
  async #join(growing: Growing, size: number): Promise<boolean> {
    try {
      await joinParts(this.#options, await this.#uploadOf(growing), growing.sent, size)
      return true
    } catch (error) {
      if (arePartsWrong(error) || isUploadMissing(error)) return false
      throw error
    }
  }

  /** Gives up what was sent; it can go on from the beginning. */
  async #abandon(growing: Growing): Promise<void> {
    const { uploadId } = growing
    growing.uploadId = undefined
    growing.sent.clear()
    growing.sentTo = 1
    const sending = [...growing.sending.values()]
    growing.sending.clear()
    for (const { abort } of sending) abort.abort()
    // A part that arrives after the abort would stay.
    await Promise.allSettled(sending.map(({ done }) => done))
    const upload = await uploadId?.catch(() => undefined)
    if (!upload) return
    await abortUpload(this.#options, upload).catch((error) =>
      this.#options.warn('a multipart upload could not be aborted; the next start will do it', {
        upload: growing.uuid,
        error,
      }),
    )
  }
}

const newGrowing = (uuid: string, path: string): Growing => ({
  uuid,
  path,
  uploadId: undefined,
  size: 0,
  sent: new Map(),
  sentTo: 1,
  sending: new Map(),
  restUntil: 0,
})

/** The first part that is written and neither sent nor on its way. */
const nextPart = (growing: Growing, size: number): number | undefined => {
  const { sent, sending } = growing
  while (sent.has(growing.sentTo)) growing.sentTo++
  for (let number = growing.sentTo; partStart(number + 1) <= size; number++)
    if (!sent.has(number) && !sending.has(number)) return number
  return undefined
}

const notAsReceived = (uuid: string) =>
  new Error(`the file of the upload ${uuid} does not hold the bytes that were received`)
