/**
 * One client of the kill suite. It works on uploads and artifacts that nobody else touches and keeps books of what
 * it was promised, so that what it must find after a kill is exact: everything that was acknowledged, plus at most
 * the one request whose reply it did not get, whole or not at all.
 *
 * What is shared between clients is what the server shares: namespaces, and blobs of equal content.
 */
import { request as httpRequest } from 'node:http'
import { Readable } from 'node:stream'
import type { Answer, Session } from '../support/api.ts'
import { bytesOf, isConnectionError, type Random, type Report, sha512, within } from './harness.ts'

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

interface LeaseBook extends VersionBook {
  /** Until when the server promised to keep the blob, ms. */
  readonly until: number
}

export interface KillClientOptions {
  readonly label: string
  readonly random: Random
  readonly report: Report
  /** HOLDFAST_UPLOAD_EXPIRY in ms. */
  readonly uploadExpiryMs: number
}

/** Thrown when the connection went away: the server was killed, the request may have been done or not. */
class Lost extends Error {}

const requestTimeoutMs = 30_000
const maxUploads = 4
const maxUploadSize = 1_500_000
/** Contents that all clients send now and then. */
const commonContents = Array.from({ length: 6 }, (_, n) => bytesOf(`common ${n}`, 1000 + n * n * 9973))

type Conversion = { readonly name: string; readonly type: 'image' | 'other'; readonly body: object }

export class KillClient {
  readonly uploads: UploadBook[] = []
  readonly artifacts: ArtifactBook[] = []
  readonly deletedArtifacts: string[] = []
  readonly label: string
  readonly #random: Random
  readonly #report: Report
  readonly #uploadExpiryMs: number
  readonly #leases: LeaseBook[] = []
  #base = ''
  #session!: Session
  #names = 0
  /** What to do first after a lost reply; done again if that is cut short too. */
  #unsettled: (() => Promise<void>) | undefined

  constructor({ label, random, report, uploadExpiryMs }: KillClientOptions) {
    this.label = label
    this.#random = random
    this.#report = report
    this.#uploadExpiryMs = uploadExpiryMs
  }

  get isSettled(): boolean {
    return this.#unsettled === undefined
  }

  /** Which server to talk to from now on, and as whom. */
  use(base: string, session: Session): void {
    this.#base = base
    this.#session = session
  }

  get session(): Session {
    return this.#session
  }

  /** Works until the server goes away or `stopped` says so. */
  async work(stopped: () => boolean): Promise<void> {
    try {
      await this.settle()
      while (!stopped()) await this.#step()
    } catch (error) {
      if (!(error instanceof Lost)) throw error
    }
  }

  /** Finds out what became of the request whose reply was lost, by asking and by repeating it. */
  async settle(): Promise<void> {
    if (!this.#unsettled) return
    await this.#unsettled()
    this.#unsettled = undefined
    this.#report.count('lost replies settled')
  }

  /** One random operation. */
  async #step(): Promise<unknown> {
    const weights = {
      create: this.uploads.length < maxUploads ? 8 : 0,
      append: this.uploads.length > 0 ? 22 : 0,
      cut: this.uploads.length > 0 ? 3 : 0,
      truncate: this.uploads.length > 0 ? 4 : 0,
      abandon: this.uploads.length > 0 ? 0.5 : 0,
      giveUp: this.uploads.length > 0 ? 1 : 0,
      convert: this.uploads.length > 0 ? 10 : 0,
      wrongDigest: this.uploads.length > 0 ? 1 : 0,
      common: 4,
      reuse: this.artifacts.length > 0 ? 4 : 0,
      leased: this.#leases.length > 0 ? 4 : 0,
      label: this.artifacts.length > 0 ? 3 : 0,
      download: this.artifacts.length > 0 ? 6 : 0,
      list: 1,
      metadata: this.artifacts.length > 0 ? 3 : 0,
      maxVersions: this.artifacts.length > 0 ? 2 : 0,
      deleteVersion: this.artifacts.length > 0 ? 2 : 0,
      deleteArtifact: this.artifacts.length > 0 ? (this.artifacts.length > 6 ? 8 : 1) : 0,
    }
    const kind = this.#random.weighted(weights)
    this.#report.count(`did ${kind}`)
    const upload = () => this.#random.pick(this.uploads)
    const artifact = () => this.#random.pick(this.artifacts)
    switch (kind) {
      case 'create':
        return this.#create()
      case 'append':
        return this.#appendOrConvert(upload())
      case 'cut':
        return this.#cutAppend(upload())
      case 'truncate':
        return this.#truncate(upload())
      case 'abandon':
        // Left to expiry.
        return this.#forget(upload())
      case 'giveUp':
        return this.#giveUp(upload())
      case 'convert':
        return this.#convert(upload())
      case 'wrongDigest':
        return this.#convertWithWrongDigest(upload())
      case 'common':
        return this.#storeCommon()
      case 'reuse':
        return this.#lookUp(artifact())
      case 'leased':
        return this.#convertLeased(this.#random.pick(this.#leases))
      case 'label':
        return this.#setLabel(artifact())
      case 'download':
        return this.#download(artifact())
      case 'list':
        return this.#list()
      case 'metadata':
        return this.#setMetadata(artifact())
      case 'maxVersions':
        return this.#setMaxVersions(artifact())
      case 'deleteVersion':
        return this.#deleteVersion(artifact())
      case 'deleteArtifact':
        return this.#deleteArtifact(artifact())
    }
  }

  /** Sends one request. When the reply is lost, `settle` is what the next start begins with. */
  async #ask(settle: (() => Promise<void>) | undefined, request: () => Promise<Answer>): Promise<Answer> {
    try {
      return await within(requestTimeoutMs, `${this.label}: a request`, request())
    } catch (error) {
      if (!isConnectionError(error)) throw error
      if (settle) this.#unsettled = settle
      throw new Lost()
    }
  }

  #expect(answer: Answer, status: number, words: string): boolean {
    return this.#report.check(
      answer.status === status,
      () => `${this.label}: ${words}: ${answer.status} ${answer.bytes.subarray(0, 300)}`,
    )
  }

  #body(): Buffer {
    const size = this.#random.weighted({ none: 1, small: 10, middle: 10, large: 2 })
    const most = { none: 0, small: 5000, middle: 200_000, large: 1_200_000 }[size]
    return bytesOf(`${this.label} ${this.#random.next()}`, this.#random.between(0, most))
  }

  #forget(upload: UploadBook): void {
    const at = this.uploads.indexOf(upload)
    if (at >= 0) this.uploads.splice(at, 1)
  }

  /** Whether the server may have removed this upload by now. */
  mayHaveExpired(upload: UploadBook): boolean {
    return Date.now() >= upload.lastDataAt + this.#uploadExpiryMs
  }

  /** True when the reply says that the upload is gone; then it must have been idle for long enough. */
  #isGone(answer: Answer, upload: UploadBook, words: string): boolean {
    if (answer.status !== 404) return false
    const idle = Date.now() - upload.lastDataAt
    this.#report.check(
      this.mayHaveExpired(upload),
      () =>
        `${this.label}: ${words}: upload ${upload.uuid} of ${upload.content.length} bytes is gone after ${idle} ms`,
    )
    this.#report.count('uploads expired')
    this.#forget(upload)
    return true
  }

  async #create(): Promise<UploadBook | undefined> {
    const before = Date.now()
    const answer = await this.#ask(undefined, () => this.#session.post('/upload'))
    if (!this.#expect(answer, 200, 'create an upload')) return undefined
    const upload = { uuid: answer.json.uuid as string, content: Buffer.alloc(0), lastDataAt: before }
    this.uploads.push(upload)
    return upload
  }

  #appendOrConvert(upload: UploadBook): Promise<void> {
    return upload.content.length > maxUploadSize ? this.#convert(upload) : this.#append(upload, this.#body())
  }

  async #append(upload: UploadBook, body: Buffer): Promise<void> {
    const isPlain = this.#random.chance(0.6)
    const before = Date.now()
    const size = upload.content.length
    const headers: Record<string, string> = isPlain ? {} : { 'Upload-Offset': `${size}` }
    const isChunked = this.#random.chance(0.3)
    const settle = () => (isPlain ? this.#settlePlain(upload, body) : this.#settleConditional(upload, body))
    const answer = await this.#ask(settle, () =>
      this.#session.send('POST', `/upload/${upload.uuid}`, {
        body: isChunked ? Readable.from([body.subarray(0, 1000), body.subarray(1000)]) : body,
        headers,
      }),
    )
    if (this.#isGone(answer, upload, 'append')) return
    if (!this.#expect(answer, 200, `append ${body.length} bytes to ${size}`)) return this.#forget(upload)
    this.#report.check(
      answer.json === size + body.length,
      () => `${this.label}: ${size} + ${body.length} bytes were acknowledged as ${answer.bytes}`,
    )
    upload.content = Buffer.concat([upload.content, body])
    if (body.length > 0) upload.lastDataAt = before
    this.#report.count(isPlain ? 'plain appends acknowledged' : 'conditional appends acknowledged')
  }

  /** The connection goes away in the middle of the body: nothing of it stays, or with an offset a prefix. */
  async #cutAppend(upload: UploadBook): Promise<void> {
    const isPlain = this.#random.chance(0.5)
    const body = bytesOf(`${this.label} cut ${this.#random.next()}`, this.#random.between(2, 400_000))
    const sent = this.#random.between(0, body.length - 1)
    const { hostname, port } = new URL(this.#base)
    await new Promise<void>((resolve) => {
      const request = httpRequest({
        host: hostname,
        port,
        method: 'POST',
        path: `/upload/${upload.uuid}`,
        agent: false,
        headers: {
          Authorization: `Bearer ${this.#session.token}`,
          'Content-Length': body.length,
          ...(isPlain ? {} : { 'Upload-Offset': `${upload.content.length}` }),
        },
      })
      request.on('error', () => {}).on('response', (response) => response.resume())
      request.on('close', resolve)
      if (sent === 0) request.flushHeaders()
      else request.write(body.subarray(0, sent))
      setTimeout(() => request.destroy(), this.#random.between(0, 30))
    })
    this.#unsettled = () =>
      isPlain ? this.#settlePlain(upload, undefined) : this.#settleConditional(upload, body.subarray(0, sent))
    await this.#unsettled()
    this.#unsettled = undefined
  }

  async #settlePlain(upload: UploadBook, body: Buffer | undefined): Promise<void> {
    const answer = await this.#ask(undefined, () => this.#session.get(`/upload/${upload.uuid}`))
    if (this.#isGone(answer, upload, 'after a lost append')) return
    if (!this.#expect(answer, 200, 'show an upload')) return this.#forget(upload)
    const before = upload.content.length
    const size = answer.json.size as number
    const isWhole = body !== undefined && size === before + body.length
    this.#report.check(
      size === before || isWhole,
      () =>
        `${this.label}: torn plain append: ${before} + ${body?.length ?? 'a cut body'} bytes became ${size}`,
    )
    if (isWhole) upload.content = Buffer.concat([upload.content, body])
    else if (size !== before) this.#forget(upload)
  }

  /** Any prefix may be there. An empty append at that size proves that nothing more comes. */
  async #settleConditional(upload: UploadBook, body: Buffer): Promise<void> {
    const path = `/upload/${upload.uuid}`
    const status = await this.#ask(undefined, () => this.#session.get(path))
    if (this.#isGone(status, upload, 'after a lost append')) return
    if (!this.#expect(status, 200, 'show an upload')) return this.#forget(upload)
    let size = status.json.size as number
    for (;;) {
      const headers = { 'Upload-Offset': `${size}` }
      const answer = await this.#ask(undefined, () => this.#session.send('POST', path, { body: '', headers }))
      if (answer.status === 200) break
      if (this.#isGone(answer, upload, 'empty append')) return
      const offset = Number(answer.headers['upload-offset'])
      if (!this.#report.check(answer.status === 409 && offset > size, () => `${this.label}: ${answer.bytes}`))
        return this.#forget(upload)
      size = offset
    }
    const before = upload.content.length
    const isPrefix = size >= before && size <= before + body.length
    this.#report.check(
      isPrefix,
      () => `${this.label}: conditional append of ${body.length} bytes to ${before} left ${size}`,
    )
    if (!isPrefix) return this.#forget(upload)
    upload.content = Buffer.concat([upload.content, body.subarray(0, size - before)])
  }

  async #truncate(upload: UploadBook): Promise<void> {
    const size = this.#random.chance(0.2) ? 0 : this.#random.between(0, upload.content.length)
    const settle = async () => {
      const answer = await this.#ask(undefined, () => this.#session.get(`/upload/${upload.uuid}`))
      if (this.#isGone(answer, upload, 'after a lost truncation')) return
      const found = answer.json?.size as number
      if (
        !this.#report.check(
          answer.status === 200 && (found === size || found === upload.content.length),
          () => `${this.label}: truncating ${upload.content.length} to ${size} left ${answer.bytes}`,
        )
      )
        return this.#forget(upload)
      upload.content = upload.content.subarray(0, found)
    }
    const answer = await this.#ask(settle, () =>
      this.#session.post(`/upload/${upload.uuid}/truncate/${size}`),
    )
    if (this.#isGone(answer, upload, 'truncate')) return
    if (this.#expect(answer, 200, 'truncate')) upload.content = upload.content.subarray(0, size)
    else this.#forget(upload)
  }

  async #giveUp(upload: UploadBook): Promise<void> {
    const remove = async () => {
      const answer = await this.#ask(remove, () => this.#session.delete(`/upload/${upload.uuid}`))
      this.#report.check(
        answer.status === 200 || answer.status === 404,
        () => `${this.label}: delete an upload: ${answer.bytes}`,
      )
      this.#forget(upload)
    }
    await remove()
  }

  find(name: string, type: ArtifactBook['type']): ArtifactBook | undefined {
    return this.artifacts.find((artifact) => artifact.name === name && artifact.type === type)
  }

  /** A name in use or a new one; never one of a deleted artifact, so that books stay simple. */
  #pickTarget(): Omit<Conversion, 'body'> {
    const existing = this.artifacts.filter((artifact) => artifact.type !== 'label')
    if (existing.length > 0 && this.#random.chance(0.7)) {
      const { name, type } = this.#random.pick(existing)
      return { name, type: type as 'image' | 'other' }
    }
    this.#names += 1
    return { name: `${this.label} ${this.#names}`, type: this.#random.pick(['image', 'other']) }
  }

  /** Books a version; the reply's view must be what the rules say. */
  #book(
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
    this.#report.check(
      view.uuid === artifact.uuid && view.index === index && view.blobs[index]?.size === content.length,
      () =>
        `${this.label}: "${name}" should have version ${index} of ${content.length} bytes: ${JSON.stringify(view)}`,
    )
    if (!isSame) {
      artifact.versions.set(index, { blobUuid: view.blob_uuid, content, sha512: digest })
      artifact.nextIndex = index + 1
      this.#report.count('versions acknowledged')
    }
    this.#prune(artifact)
  }

  #prune(artifact: ArtifactBook): void {
    const excess = [...artifact.versions.keys()].slice(0, -artifact.maxVersions)
    for (const index of excess) artifact.versions.delete(index)
    this.#report.count('versions pruned', excess.length)
  }

  async #convert(upload: UploadBook): Promise<void> {
    if (upload.content.length === 0)
      await this.#append(upload, bytesOf(`${this.label} first`, 1 + this.#names))
    if (!this.uploads.includes(upload) || upload.content.length === 0) return
    const expected = this.#random.chance(0.5)
      ? { sha512: sha512(upload.content), size: upload.content.length }
      : {}
    const { name, type } = this.#pickTarget()
    const body = { upload_uuid: upload.uuid, artifact_type: type, ...expected }
    const ask = () => this.#session.post(`/artifacts/upload/${encodeURIComponent(name)}`, body)
    const settle = async () => {
      const answer = await this.#ask(undefined, ask)
      if (this.#isGone(answer, upload, 'convert again')) return
      this.#forget(upload)
      this.#report.count('conversions repeated after a lost reply')
      if (this.#expect(answer, 200, 'convert again')) this.#book({ name, type }, upload.content, answer.json)
    }
    const answer = await this.#ask(settle, ask)
    if (this.#isGone(answer, upload, 'convert')) return
    this.#forget(upload)
    if (!this.#expect(answer, 200, 'convert')) return
    this.#book({ name, type }, upload.content, answer.json)
    if (!this.#random.chance(0.1)) return
    const again = await this.#ask(undefined, ask)
    if (this.#expect(again, 200, 'convert once more'))
      this.#report.check(
        again.json.index === answer.json.index && again.json.uuid === answer.json.uuid,
        () =>
          `${this.label}: repeating a conversion gave version ${again.json.index}, not ${answer.json.index}`,
      )
  }

  async #convertWithWrongDigest(upload: UploadBook): Promise<void> {
    if (upload.content.length === 0) return
    const { name, type } = this.#pickTarget()
    const answer = await this.#ask(undefined, () =>
      this.#session.post(`/artifacts/upload/${encodeURIComponent(name)}`, {
        upload_uuid: upload.uuid,
        artifact_type: type,
        sha512: sha512(Buffer.from('something else')),
      }),
    )
    if (this.#isGone(answer, upload, 'convert with a wrong digest')) return
    this.#expect(answer, 409, 'convert with a wrong digest')
  }

  /** Content that other clients store too, at the same time as collection removes it. */
  async #storeCommon(): Promise<void> {
    const upload = await this.#create()
    if (!upload) return
    await this.#append(upload, this.#random.pick(commonContents))
    if (this.uploads.includes(upload)) await this.#convert(upload)
  }

  /** Content of a live version must be found; the answer leases the blob. */
  async #lookUp(artifact: ArtifactBook): Promise<void> {
    const version = this.#random.pick([...artifact.versions.values()])
    const answer = await this.#ask(undefined, () =>
      this.#session.get(`/blob_checksums/sha512/${version.sha512}`),
    )
    if (!this.#expect(answer, 200, 'look a checksum up')) return
    this.#report.check(
      answer.json?.size === version.content.length,
      () => `${this.label}: content of a live version of "${artifact.name}" was not found: ${answer.bytes}`,
    )
    if (!answer.json) return
    const until = (answer.json.expires_at as number) * 1000
    this.#leases.push({ ...version, blobUuid: answer.json.uuid, until })
    if (this.#leases.length > 5) this.#leases.shift()
  }

  /** A leased blob can be used although nothing may refer to it any more. */
  async #convertLeased(lease: LeaseBook): Promise<void> {
    const { name, type } = this.#pickTarget()
    const use = async (): Promise<void> => {
      const answer = await this.#ask(use, () =>
        this.#session.post(`/artifacts/upload/${encodeURIComponent(name)}`, {
          blob_uuid: lease.blobUuid,
          artifact_type: type,
        }),
      )
      if (answer.status === 404) {
        this.#report.check(
          Date.now() >= lease.until,
          () =>
            `${this.label}: leased blob ${lease.blobUuid} vanished ${lease.until - Date.now()} ms too early`,
        )
        this.#report.count('leases that ran out')
        const at = this.#leases.indexOf(lease)
        if (at >= 0) this.#leases.splice(at, 1)
        return
      }
      if (!this.#expect(answer, 200, 'convert a leased blob')) return
      this.#book({ name, type }, lease.content, answer.json)
      this.#report.count('leases used')
    }
    await use()
  }

  async #setLabel(artifact: ArtifactBook): Promise<void> {
    const version = this.#random.pick([...artifact.versions.values()])
    const name = `${this.label} label ${this.#random.between(1, 2)}`
    const maxVersions = this.#random.between(1, 4)
    // A label is made anew under the same name after its deletion: another artifact.
    const update = async (): Promise<void> => {
      const answer = await this.#ask(update, () =>
        this.#session.post(`/label/${encodeURIComponent(name)}`, {
          blob_uuid: version.blobUuid,
          max_versions: maxVersions,
        }),
      )
      if (this.#expect(answer, 200, 'update a label'))
        this.#book({ name, type: 'label' }, version.content, answer.json, maxVersions)
    }
    await update()
  }

  async #download(artifact: ArtifactBook): Promise<void> {
    const [index, version] = this.#random.pick([...artifact.versions])
    const size = version.content.length
    const isWhole = this.#random.chance(0.5)
    const from = isWhole ? 0 : this.#random.between(0, size)
    const limit = isWhole ? 0 : this.#random.between(0, size)
    const answer = await this.#ask(undefined, () =>
      this.#session.get(`/blobs/${version.blobUuid}/data?offset=${from}&limit=${limit}`),
    )
    const wanted = version.content.subarray(from, limit === 0 ? size : from + limit)
    this.#report.check(
      answer.status === 200 && answer.bytes.equals(wanted),
      () =>
        `${this.label}: version ${index} of "${artifact.name}" from ${from}, limit ${limit}: ${answer.status}`,
    )
    this.#report.count('MiB downloaded', answer.bytes.length / 1024 / 1024)
  }

  async #list(): Promise<void> {
    const answer = await this.#ask(undefined, () => this.#session.get('/artifacts'))
    if (!this.#expect(answer, 200, 'list artifacts')) return
    const listed = new Map<string, { index: number }>(
      (answer.json as { uuid: string; index: number }[]).map((view) => [view.uuid, view]),
    )
    for (const artifact of this.artifacts)
      this.#report.check(
        listed.get(artifact.uuid)?.index === [...artifact.versions.keys()].at(-1),
        () => `${this.label}: "${artifact.name}" is missing in the list or has another newest version`,
      )
    for (const uuid of this.deletedArtifacts)
      this.#report.check(!listed.has(uuid), () => `${this.label}: deleted artifact ${uuid} is listed`)
  }

  async #setMetadata(artifact: ArtifactBook): Promise<void> {
    const key = `key ${this.#random.between(1, 3)}`
    const value = this.#random.between(0, 1e9)
    const set = async (): Promise<void> => {
      const answer = await this.#ask(set, () =>
        this.#session.post(`/artifacts/${artifact.uuid}/metadata`, { key, value }),
      )
      if (this.#expect(answer, 200, 'set metadata')) artifact.metadata.set(key, value)
    }
    await set()
  }

  async #setMaxVersions(artifact: ArtifactBook): Promise<void> {
    const maxVersions = this.#random.between(1, 5)
    const set = async (): Promise<void> => {
      const answer = await this.#ask(set, () =>
        this.#session.post(`/artifacts/${artifact.uuid}/versions`, { max_versions: maxVersions }),
      )
      if (!this.#expect(answer, 200, 'set max_versions')) return
      artifact.maxVersions = maxVersions
      this.#prune(artifact)
    }
    await set()
  }

  async #deleteVersion(artifact: ArtifactBook): Promise<void> {
    const index = this.#random.pick([...artifact.versions.keys()])
    const remove = async (isRepeated: boolean): Promise<void> => {
      const answer = await this.#ask(
        () => remove(true),
        () => this.#session.delete(`/artifacts/${artifact.uuid}/versions/${index}`),
      )
      if (!(isRepeated && answer.status === 404)) this.#expect(answer, 200, 'delete a version')
      artifact.versions.delete(index)
      if (artifact.versions.size === 0) this.#bury(artifact)
    }
    await remove(false)
  }

  async #deleteArtifact(artifact: ArtifactBook): Promise<void> {
    const remove = async (): Promise<void> => {
      const answer = await this.#ask(remove, () => this.#session.delete(`/artifacts/${artifact.uuid}`))
      if (this.#expect(answer, 200, 'delete an artifact')) this.#bury(artifact)
    }
    await remove()
  }

  #bury(artifact: ArtifactBook): void {
    const at = this.artifacts.indexOf(artifact)
    if (at >= 0) this.artifacts.splice(at, 1)
    this.deletedArtifacts.push(artifact.uuid)
    this.#report.count('artifacts deleted')
  }
}
