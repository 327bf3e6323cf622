import { call } from '../calls.ts'
import type { Session } from '../session.ts'
import type { UploadOptions, UploadTarget } from '../types.ts'
import type { UploadSource } from './source.ts'
import { type StateStore, stateKey, type UploadRecord } from './state.ts'

/** A record need not follow every chunk; what it does not know of, a server without `upload-status` gets again. */
const saveEveryMs = 1000
const saveEveryBytes = 8 * 1024 * 1024
/** Giving an upload up is a courtesy; it may not hold anybody up. */
const courtesyMs = 5000

/**
 * The record of the upload that a run works on. Failing to read or write it is never an error of the upload: it then
 * merely cannot be continued after a restart.
 */
export class UploadMemory {
  readonly #session: Session
  readonly #store: StateStore | undefined
  readonly #source: UploadSource
  readonly #target: UploadTarget
  #uploadUuid: string | undefined
  #record: UploadRecord | undefined
  #sha512: string | undefined
  #savedAt = Number.NEGATIVE_INFINITY
  #savedBytes = 0
  #saving: Promise<void> = Promise.resolve()

  constructor(
    session: Session,
    store: StateStore | undefined,
    source: UploadSource,
    options: UploadOptions<unknown>,
  ) {
    this.#session = session
    this.#store = source.identity === undefined ? undefined : store
    this.#source = source
    const { name, namespace, artifactType, sourceUrl, shared } = options
    this.#target = {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(sourceUrl === undefined ? {} : { sourceUrl }),
      ...(shared === undefined ? {} : { shared }),
    }
  }

  /** The record of an earlier run of the same file to the same target; one of a changed file is given up. */
  async recall(): Promise<UploadRecord | undefined> {
    if (this.#record !== undefined || this.#store === undefined) return this.#record
    const record = await this.#store.get(this.#key).catch(() => undefined)
    if (record === undefined) return undefined
    this.#record = record
    this.#uploadUuid = record.uploadUuid
    const { size, mtime } = this.#source.identity!
    if (record.source.size === size && record.source.mtime === mtime) return record
    await this.abandon()
    return undefined
  }

  /** A new upload exists. */
  async remember(upload: { readonly uuid: string; readonly node: string }): Promise<void> {
    this.#uploadUuid = upload.uuid
    if (this.#store === undefined) return
    this.#record = {
      format: 1,
      server: this.#session.base,
      login: this.#session.namespace ?? '',
      uploadUuid: upload.uuid,
      node: upload.node,
      target: this.#target,
      source: this.#source.identity!,
      path: this.#source.description,
      acknowledged: 0,
      createdAt: Date.now(),
      ...(this.#sha512 === undefined ? {} : { sha512: this.#sha512 }),
    }
    await this.#save()
  }

  /** The server has this many bytes. Saved now and then; a server without `upload-status` is cut to what was saved. */
  acknowledged(bytes: number): void {
    if (this.#record === undefined) return
    this.#record = { ...this.#record, acknowledged: bytes }
    const due = performance.now() - this.#savedAt >= saveEveryMs
    if (due || bytes - this.#savedBytes >= saveEveryBytes) void this.#save()
  }

  hashed(sha512: string): void {
    this.#sha512 = sha512
    if (this.#record === undefined) return
    this.#record = { ...this.#record, sha512 }
    void this.#save()
  }

  /** Writes what is known now: the run ends here, and another may go on. */
  async settle(): Promise<void> {
    if (this.#record !== undefined) await this.#save()
  }

  /** The upload is no more. */
  async forget(): Promise<void> {
    this.#record = undefined
    this.#uploadUuid = undefined
    await this.#saving
    await this.#store?.delete(this.#key).catch(() => {})
  }

  /** Gives the upload up on the server, if it can be told, and forgets it. */
  async abandon(): Promise<void> {
    const uuid = this.#uploadUuid
    await this.forget()
    if (uuid === undefined || this.#session.signal.aborted) return
    const words = await this.#session.capabilities()
    if (!words.has('upload-status')) return
    const signal = AbortSignal.any([this.#session.signal, AbortSignal.timeout(courtesyMs)])
    await call(this.#session, 'deleteUpload', { params: { upload_uuid: uuid } }, { signal }).catch(() => {})
  }

  get #key(): string {
    return stateKey({
      server: this.#session.base,
      login: this.#session.namespace ?? '',
      target: this.#target,
      source: this.#source.identity!,
    })
  }

  /** One write at a time, in order. */
  async #save(): Promise<void> {
    this.#savedAt = performance.now()
    this.#savedBytes = this.#record?.acknowledged ?? 0
    this.#saving = this.#saving.then(async () => {
      if (this.#record !== undefined) await this.#store?.set(this.#key, this.#record).catch(() => {})
    })
    await this.#saving
  }
}
