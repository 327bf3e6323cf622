/**
 * What clients were promised, kept apart from the store: which contents each upload and which versions each artifact may
 * have at a moment. One possibility when nothing is under way, both ends of a request while it is.
 */
import { sha512 } from './harness.ts'

/** Any beginning of `content` with at least `least` bytes. */
export interface Content {
  readonly content: Buffer
  readonly least: number
}

export interface Version {
  readonly index: number
  readonly sha512: string
}

/** `undefined`: there is no such upload. */
export type UploadBelief = Content | undefined
/** Without versions: there is no live artifact of this name. */
export type ArtifactBelief = readonly Version[]

/** What a fetch will make of an artifact. */
export interface FetchBelief {
  readonly versions: ArtifactBelief
  /** The client was told that it will come. */
  readonly isPromised: boolean
}

/** One change of the book, in the order of the recording. */
export type Note = (book: Book) => void

export class Book {
  readonly uploads = new Map<string, readonly UploadBelief[]>()
  readonly artifacts = new Map<string, readonly ArtifactBelief[]>()
  /** Fetches that have not been told to have ended, by artifact name. */
  readonly fetches = new Map<string, FetchBelief>()
  /** Contents of which the stored bytes were damaged on purpose and not healed yet. */
  readonly damaged = new Set<string>()
  /** Every content that was sent, by its digest. */
  readonly contents = new Map<string, Buffer>()

  /** What was promised after the first `count` notes. */
  static after(notes: readonly Note[]): Book {
    const book = new Book()
    for (const note of notes) note(book)
    return book
  }

  /** This book when all fetches have run. */
  fetched(): Book {
    const book = new Book()
    for (const key of ['uploads', 'artifacts', 'contents'] as const)
      for (const [name, value] of this[key]) book[key].set(name, value as never)
    for (const digest of this.damaged) book.damaged.add(digest)
    for (const [name, { versions, isPromised }] of this.fetches)
      book.artifacts.set(name, [...(isPromised ? [] : (this.artifacts.get(name) ?? [[]])), versions])
    return book
  }

  upload(uuid: string): UploadBelief {
    return this.uploads.get(uuid)?.at(-1)
  }

  artifact(name: string): ArtifactBelief {
    return this.artifacts.get(name)?.at(-1) ?? []
  }
}

export const whole = (content: Buffer): Content => ({ content, least: content.length })

/** The versions after one more, as the rules of versions have it. */
export const withVersion = (
  versions: ArtifactBelief,
  next: number,
  content: Buffer,
  keep: number,
): Version[] => {
  const digest = sha512(content)
  if (versions.at(-1)?.sha512 === digest) return [...versions].slice(-keep)
  return [...versions, { index: next, sha512: digest }].slice(-keep)
}
