/**
 * What one client of the kill suite was promised, and how it asks: the state that its steps work on.
 */
import { type Answer, named, type Session } from '../support/api.ts'
import { isConnectionError, type Random, type Report, sha512, within } from './harness.ts'

export interface UploadBook {
  readonly uuid: string
  content: Buffer
  /** Not later than the server's time of the newest acknowledged data, ms. */
  lastDataAt: number
}

export interface VersionBook {
  readonly blobUuid: string
  readonly content: Buffer
  readonly sha512: string
}

export interface ArtifactBook {
  readonly name: string
  readonly type: 'image' | 'other' | 'label'
  readonly uuid: string
  readonly versions: Map<number, VersionBook>
  readonly metadata: Map<string, unknown>
  nextIndex: number
  maxVersions: number
}

export interface LeaseBook extends VersionBook {
  /** Until when the server promised to keep the blob, ms. */
  readonly until: number
}

export interface KillClientOptions {
  readonly label: string
  readonly random: Random
  readonly report: Report
  /** HOLDFAST_UPLOAD_EXPIRY in ms. */
  readonly uploadExpiryMs: number
  /** Every request is answered, or broken off, within this time. */
  readonly answerWithinMs: number
  /** What is to be seen just now of a request that takes longer, by its id. */
  readonly look?: ((requestId: string) => Promise<string>) | undefined
}

/** Thrown when the connection went away: the server was killed, the request may have been done or not. */
export class Lost extends Error {
  /** As of a connection that broke: see `isConnectionError`. */
  readonly code = 'ECONNRESET'
}

/** Who has no answer after this time waits no more. */
const giveUpMs = 150_000

export type Conversion = { readonly name: string; readonly type: 'image' | 'other'; readonly body: object }

/** A client's books, its connection, and what it still has to find out. */
export class KillBooks {
  readonly uploads: UploadBook[] = []
  readonly artifacts: ArtifactBook[] = []
  readonly deletedArtifacts: string[] = []
  readonly label: string
  protected readonly random: Random
  protected readonly report: Report
  protected readonly uploadExpiryMs: number
  protected readonly leases: LeaseBook[] = []
  readonly #options: KillClientOptions
  protected base = ''
  protected current!: Session
  protected names = 0
  /** What to do first after a lost reply; done again if that is cut short too. */
  protected unsettled: (() => Promise<void>) | undefined
  #asked = { id: '', what: '' }
  #requests = 0

  constructor(options: KillClientOptions) {
    const { label, random, report, uploadExpiryMs } = options
    this.#options = options
    this.label = label
    this.random = random
    this.report = report
    this.uploadExpiryMs = uploadExpiryMs
  }

  get isSettled(): boolean {
    return this.unsettled === undefined
  }

  /** Which server to talk to from now on, and as whom. */
  use(base: string, session: Session): void {
    this.base = base
    this.current = named(session, (method, target) => {
      this.#asked = { id: `${this.label}.${++this.#requests}`, what: `${method} ${target}` }
      return this.#asked.id
    })
  }

  get session(): Session {
    return this.current
  }

  /** Finds out what became of the request whose reply was lost, by asking and by repeating it. */
  async settle(): Promise<void> {
    if (!this.unsettled) return
    await this.unsettled()
    this.unsettled = undefined
    this.report.count('lost replies settled')
  }

  /** Sends one request. When the reply is lost, `settle` is what the next start begins with. */
  protected async ask(
    settle: (() => Promise<void>) | undefined,
    request: () => Promise<Answer>,
  ): Promise<Answer> {
    const asking = request()
    try {
      return await this.#timed(asking)
    } catch (error) {
      if (!isConnectionError(error)) throw error
      if (settle) this.unsettled = settle
      throw new Lost()
    }
  }

  async #timed(asking: Promise<Answer>): Promise<Answer> {
    const { answerWithinMs, look = async () => '' } = this.#options
    const { id, what } = this.#asked
    let meanwhile = Promise.resolve('')
    const timer = setTimeout(() => {
      meanwhile = look(id)
    }, answerWithinMs)
    const began = performance.now()
    try {
      return await within(giveUpMs, `${this.label}: ${what}`, asking)
    } finally {
      clearTimeout(timer)
      const ms = Math.round(performance.now() - began)
      this.report.highest('ms of the slowest request', ms)
      if (ms > answerWithinMs) {
        const seen = [await meanwhile, 'and afterwards:', await look(id)]
        this.report.fail([`${this.label}: ${what} took ${ms} ms`, ...seen].join('\n'))
      }
    }
  }

  protected expect(answer: Answer, status: number, words: string): boolean {
    return this.report.check(
      answer.status === status,
      () => `${this.label}: ${words}: ${answer.status} ${answer.bytes.subarray(0, 300)}`,
    )
  }

  protected forget(upload: UploadBook): void {
    const at = this.uploads.indexOf(upload)
    if (at >= 0) this.uploads.splice(at, 1)
  }

  /** Whether the server may have removed this upload by now. */
  mayHaveExpired(upload: UploadBook): boolean {
    return Date.now() >= upload.lastDataAt + this.uploadExpiryMs
  }

  /** True when the reply says that the upload is gone; then it must have been idle for long enough. */
  protected isGone(answer: Answer, upload: UploadBook, words: string): boolean {
    if (answer.status !== 404) return false
    const idle = Date.now() - upload.lastDataAt
    this.report.check(
      this.mayHaveExpired(upload),
      () =>
        `${this.label}: ${words}: upload ${upload.uuid} of ${upload.content.length} bytes is gone after ${idle} ms`,
    )
    this.report.count('uploads expired')
    this.forget(upload)
    return true
  }

  find(name: string, type: ArtifactBook['type']): ArtifactBook | undefined {
    return this.artifacts.find((artifact) => artifact.name === name && artifact.type === type)
  }

  /** A name in use or a new one; never one of a deleted artifact, so that books stay simple. */
  protected pickTarget(): Omit<Conversion, 'body'> {
    const existing = this.artifacts.filter((artifact) => artifact.type !== 'label')
    if (existing.length > 0 && this.random.chance(0.7)) {
      const { name, type } = this.random.pick(existing)
      return { name, type: type as 'image' | 'other' }
    }
    this.names += 1
    return { name: `${this.label} ${this.names}`, type: this.random.pick(['image', 'other']) }
  }

  /** Books a version; the reply's view must be what the rules say. */
  protected book(
    { name, type }: Pick<ArtifactBook, 'name' | 'type'>,
    content: Buffer,
    // biome-ignore lint/suspicious/noExplicitAny: a view as it came
    view: any,
    maxVersions?: number,
  ): void {
    const digest = sha512(content)
    let artifact = this.find(name, type)
    if (!artifact) {
      artifact = {
        name,
        type,
        uuid: view.uuid,
        versions: new Map(),
        metadata: new Map(),
        nextIndex: 1,
        maxVersions: 3,
      }
      this.artifacts.push(artifact)
    }
    if (maxVersions !== undefined) artifact.maxVersions = maxVersions
    const newest = [...artifact.versions].at(-1)
    const isSame = newest?.[1].sha512 === digest
    const index = isSame ? newest![0] : artifact.nextIndex
    this.report.check(
      view.uuid === artifact.uuid && view.index === index && view.blobs[index]?.size === content.length,
      () =>
        `${this.label}: "${name}" should have version ${index} of ${content.length} bytes: ${JSON.stringify(view)}`,
    )
    if (!isSame) {
      artifact.versions.set(index, { blobUuid: view.blob_uuid, content, sha512: digest })
      artifact.nextIndex = index + 1
      this.report.count('versions acknowledged')
    }
    this.prune(artifact)
  }

  protected prune(artifact: ArtifactBook): void {
    const excess = [...artifact.versions.keys()].slice(0, -artifact.maxVersions)
    for (const index of excess) artifact.versions.delete(index)
    this.report.count('versions pruned', excess.length)
  }

  protected bury(artifact: ArtifactBook): void {
    const at = this.artifacts.indexOf(artifact)
    if (at >= 0) this.artifacts.splice(at, 1)
    this.deletedArtifacts.push(artifact.uuid)
    this.report.count('artifacts deleted')
  }
}
