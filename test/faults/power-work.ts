/**
 * What the power-loss and faulty-disk suites do to a store: requests as their handlers make them, each with the promise
 * that its reply makes, written into the book when it begins and when it has been answered.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FileOps } from '../../packages/server/src/blobs/files.ts'
import { realFiles } from '../../packages/server/src/blobs/files.ts'
import { deleteArtifact, deleteVersionOf } from '../../packages/server/src/domain/artifacts.ts'
import { convert } from '../../packages/server/src/domain/convert.ts'
import { fetchArtifact, runFetches } from '../../packages/server/src/domain/fetch-artifact.ts'
import { collectBlobs } from '../../packages/server/src/domain/jobs/collect-blobs.ts'
import { loadTokenKey } from '../../packages/server/src/domain/secrets.ts'
import {
  appendToUpload,
  createUpload,
  deleteUpload,
  expireUploads,
  truncateUpload,
} from '../../packages/server/src/domain/uploads.ts'
import { verifyBlob } from '../../packages/server/src/domain/verify-blob.ts'
import { setMaxVersions } from '../../packages/server/src/domain/versions.ts'
import type { World } from '../../packages/server/src/durability/world.ts'
import { sha512 } from './harness.ts'
import {
  type ArtifactBelief,
  type Book,
  type Note,
  type UploadBelief,
  whole,
  withVersion,
} from './power-book.ts'
import { remote } from './power-remote.ts'

export const alice = { namespace: 'alice', keyName: 'first', requestId: 'request-1' }

/** What one request may change: beliefs after it, by upload and by artifact name. */
interface Change {
  readonly uploads?: Readonly<Record<string, UploadBelief>>
  readonly artifacts?: Readonly<Record<string, ArtifactBelief>>
}

export interface WorkClock {
  now(): number
  advance(seconds: number): void
}

export class PowerWork {
  readonly world: World
  readonly book: Book
  readonly clock: WorkClock
  readonly #note: (note: Note) => void
  readonly #files: FileOps
  /** Of each artifact, by name: how many versions it keeps, and its next number. */
  readonly #rules = new Map<string, { keep: number; next: number }>()

  /** `note` is told of every change of the book. `files` are for what happens to the disk behind the store's back. */
  constructor(
    world: World,
    book: Book,
    clock: WorkClock,
    note: (note: Note) => void,
    files: FileOps = realFiles,
  ) {
    this.world = world
    this.book = book
    this.clock = clock
    this.#files = files
    this.#note = (change) => {
      change(book)
      note(change)
    }
  }

  /** Uploads that clients may still write to. */
  get uploads(): string[] {
    return [...this.book.uploads.keys()].filter((uuid) => this.book.upload(uuid))
  }

  get names(): string[] {
    return [...this.book.artifacts.keys()].filter((name) => this.book.artifact(name).length > 0)
  }

  async create(): Promise<string> {
    const { uuid } = await createUpload(this.world, alice)
    this.#note((book) => book.uploads.set(uuid, [whole(Buffer.alloc(0))]))
    return uuid
  }

  /** Appends; conditionally if `isConditional`. `cutAt`: the connection ends after so many bytes. */
  async append(uuid: string, bytes: Buffer, isConditional: boolean, cutAt?: number): Promise<void> {
    const { content } = this.book.upload(uuid)!
    const sent = bytes.subarray(0, cutAt)
    const after = Buffer.concat([content, sent])
    const kept = isConditional || cutAt === undefined ? after : content
    const input = {
      stream: pieces(sent, cutAt !== undefined),
      contentLength: bytes.length,
      expectedOffset: isConditional ? content.length : undefined,
      signal: new AbortController().signal,
    }
    await this.#promise(
      { uploads: { [uuid]: isConditional ? { content: after, least: content.length } : whole(kept) } },
      { uploads: { [uuid]: whole(kept) } },
      async () => {
        const answer = await appendToUpload(this.world, alice, uuid, input).catch((error) => {
          if (cutAt === undefined || error.code !== 'body_incomplete') throw error
          return { size: error.detail.offset }
        })
        if (answer.size !== kept.length) throw new Error(`append answered ${answer.size} of ${kept.length}`)
      },
    )
  }

  /** Waits until the flush in the background has caught up. */
  async flushed(uuid: string): Promise<void> {
    for (let n = 0; n < 500; n++) {
      const status = await this.world.uploadFiles.status(uuid)
      if (!status || status.durableSize === status.size) break
      await sleep(1)
    }
    // The record follows what it tells of.
    await sleep(3)
  }

  truncate(uuid: string, size: number): Promise<void> {
    const content = this.book.upload(uuid)!.content.subarray(0, size)
    return this.#does({ uploads: { [uuid]: whole(content) } }, () =>
      truncateUpload(this.world, alice, uuid, size),
    )
  }

  async convert(uuid: string, name: string): Promise<void> {
    const { content } = this.book.upload(uuid)!
    const change = { ...this.#versionOf(name, content), uploads: { [uuid]: undefined } }
    await this.#does(change, async () => {
      await convert(this.world, alice, { name, uploadUuid: uuid, artifactType: 'other' })
      // A reply of success says that the content is whole again, if it was not.
      this.#note((book) => book.damaged.delete(sha512(content)))
    })
    this.#counted(name)
  }

  /** Makes the newest version of one artifact one of another. */
  async convertBlob(from: string, name: string): Promise<void> {
    const digest = this.book.artifact(from).at(-1)!.sha512
    const blobUuid = await this.blobOf(digest)
    await this.#does(this.#versionOf(name, this.book.contents.get(digest)!), () =>
      convert(this.world, alice, { name, blobUuid, artifactType: 'other' }),
    )
    this.#counted(name)
  }

  async blobOf(digest: string): Promise<string> {
    const row = await this.world.db.read
      .selectFrom('blobs')
      .select('uuid')
      .where('sha512', '=', digest)
      .where('state', '<>', 'deleted')
      .executeTakeFirstOrThrow()
    return row.uuid
  }

  async keep(name: string, count: number): Promise<void> {
    await this.#does({ artifacts: { [name]: this.book.artifact(name).slice(-count) } }, () =>
      setMaxVersions(this.world, alice, name, count),
    )
    this.#rules.set(name, { keep: count, next: this.#rules.get(name)!.next })
  }

  async deleteVersion(name: string, index: number): Promise<void> {
    const left = this.book.artifact(name).filter((version) => version.index !== index)
    await this.#does({ artifacts: { [name]: left } }, () => deleteVersionOf(this.world, alice, name, index))
    if (left.length === 0) this.#rules.delete(name)
  }

  async deleteArtifact(name: string): Promise<void> {
    await this.#does({ artifacts: { [name]: [] } }, () => deleteArtifact(this.world, alice, name))
    this.#rules.delete(name)
  }

  deleteUpload(uuid: string): Promise<void> {
    return this.#does({ uploads: { [uuid]: undefined } }, () => deleteUpload(this.world, alice, uuid))
  }

  /** Asks for a fetch of `content`. It does not begin by itself. */
  async orderFetch(name: string, content: Buffer): Promise<void> {
    const versions = this.#versionOf(name, content).artifacts![name]!
    this.#note((book) => book.fetches.set(name, { versions, isPromised: false }))
    await fetchArtifact(this.world, alice, { url: remote.url(name) })
    this.#note((book) => book.fetches.set(name, { versions, isPromised: true }))
  }

  /** Runs the fetches that wait, as the job does. Throws unless all of them end well. */
  async runFetches(): Promise<void> {
    const fetches = [...this.book.fetches]
    this.#note((book) => {
      for (const [name, { versions }] of fetches)
        book.artifacts.set(name, [...(book.artifacts.get(name) ?? [[]]), versions])
    })
    await runFetches(this.world, new AbortController().signal)
    const rows = await this.world.db.read.selectFrom('fetches').select(['state', 'error']).execute()
    for (const { state, error } of rows)
      if (state !== 'done') throw Object.assign(new Error(`${state}: ${error}`), { code: 'fetch_failed' })
    this.#note((book) => {
      for (const [name, { versions, isPromised }] of fetches) {
        if (isPromised) book.artifacts.set(name, [versions])
        book.fetches.delete(name)
      }
    })
  }

  /** Begins with the fetch, and stops it when the remote has fallen silent and the validator is written down. */
  async beginFetch(): Promise<void> {
    const stop = new AbortController()
    const running = runFetches(this.world, stop.signal)
    for (let n = 0; n < 2000; n++) {
      const row = await this.world.db.read.selectFrom('fetches').select('if_range').executeTakeFirst()
      if (row?.if_range) break
      await sleep(1)
    }
    stop.abort()
    await running
  }

  /** Time passes, and the job takes all uploads away. */
  expire(): Promise<void> {
    this.clock.advance(this.world.config.uploadExpiry + 1)
    const gone = Object.fromEntries(this.uploads.map((uuid) => [uuid, undefined]))
    return this.#does({ uploads: gone }, () => expireUploads(this.world))
  }

  /** Time passes, and the job takes unreferenced blobs away. */
  async collect(): Promise<void> {
    this.clock.advance(this.world.config.collectGrace + 1)
    await collectBlobs(this.world, new AbortController().signal)
  }

  /** The disk rots under a blob. */
  async damage(digest: string): Promise<void> {
    const uuid = await this.blobOf(digest)
    this.#note((book) => book.damaged.add(digest))
    const path = join(this.world.config.dataDir, 'blobs', uuid.slice(0, 2), uuid)
    const file = await this.#files.open(path, 'write')
    await file.write(Buffer.from('rot'), 0)
    await file.sync()
    await file.close()
  }

  async loseTokenKey(): Promise<void> {
    const { dataDir } = this.world.config
    await this.#files.unlink(join(dataDir, 'token.key'))
    await this.#files.syncDirectory(dataDir)
  }

  async makeTokenKey(): Promise<void> {
    await loadTokenKey(this.world.config.dataDir, this.#files)
  }

  /** The right bytes are put back in place by hand; nobody has told the store. */
  async repair(digest: string): Promise<void> {
    const uuid = await this.blobOf(digest)
    const file = await this.#files.open(join(this.world.config.dataDir, 'quarantine', uuid), 'write')
    await file.write(this.book.contents.get(digest)!, 0)
    await file.sync()
    await file.close()
  }

  /** The blob is read and compared, and put in quarantine if it is damaged. */
  async verify(digest: string): Promise<string> {
    const uuid = await this.blobOf(digest)
    const row = await this.world.db.read
      .selectFrom('blobs')
      .selectAll()
      .where('uuid', '=', uuid)
      .executeTakeFirstOrThrow()
    return verifyBlob(this.world, row, { signal: new AbortController().signal })
  }

  #versionOf(name: string, content: Buffer): Change {
    const { keep, next } = this.#rules.get(name) ?? { keep: 3, next: 1 }
    const before = this.book.artifact(name)
    const after = withVersion(before, next, content, keep)
    this.#note((book) => book.contents.set(sha512(content), content))
    return { artifacts: { [name]: after } }
  }

  /** Numbers are never used twice. */
  #counted(name: string): void {
    const { keep, next } = this.#rules.get(name) ?? { keep: 3, next: 1 }
    this.#rules.set(name, { keep, next: Math.max(next, this.book.artifact(name).at(-1)!.index + 1) })
  }

  #does(change: Change, work: () => Promise<unknown>): Promise<void> {
    return this.#promise(change, change, work)
  }

  /** While `work` is under way both the old and `during` may be there, after its success only `after`. */
  async #promise(during: Change, after: Change, work: () => Promise<unknown>): Promise<void> {
    this.#note((book) => {
      for (const [uuid, belief] of Object.entries(during.uploads ?? {}))
        book.uploads.set(uuid, [...(book.uploads.get(uuid) ?? [undefined]), belief])
      for (const [name, belief] of Object.entries(during.artifacts ?? {}))
        book.artifacts.set(name, [...(book.artifacts.get(name) ?? [[]]), belief])
    })
    await work()
    this.#note((book) => {
      for (const [uuid, belief] of Object.entries(after.uploads ?? {})) book.uploads.set(uuid, [belief])
      for (const [name, belief] of Object.entries(after.artifacts ?? {})) book.artifacts.set(name, [belief])
    })
  }
}

async function* pieces(bytes: Buffer, isCut: boolean): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1024) yield bytes.subarray(at, at + 1024)
  if (isCut) throw new Error('connection reset')
}

/** The digest of a file's bytes, for those who read it themselves. */
export const digestOf = (bytes: Uint8Array): string => createHash('sha512').update(bytes).digest('hex')
