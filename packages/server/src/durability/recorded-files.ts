/**
 * For tests only: files that note every step that a power cut could come before or after.
 *
 * A step is noted when it begins, because from then on it may have reached the disk; what a flush promises is noted
 * when the flush has ended, and covers the steps that had ended when it began.
 */
import { dirname, join, relative } from 'node:path'
import type { FileOps, OpenFile } from '../blobs/files.ts'

/** A file apart from its names. */
export type FileNumber = number

/** One change of the directories: a name gets a file, becomes a directory, or loses what it stood for. */
export interface NameChange {
  readonly path: string
  readonly to: FileNumber | 'directory' | undefined
}

export type Effect =
  | { readonly kind: 'write'; readonly file: FileNumber; readonly position: number; readonly data: Buffer }
  | { readonly kind: 'truncate'; readonly file: FileNumber; readonly size: number }
  | { readonly kind: 'names'; readonly changes: readonly NameChange[] }

/** What happened, in order. Paths are relative to the data directory. */
export type Entry<Note = unknown, Database = unknown> =
  | { readonly kind: 'effect'; readonly step: string; readonly effect: Effect }
  /** On stable storage from here on: all of these, names only where they are in `directory`. */
  | {
      readonly kind: 'sync'
      readonly step: string
      readonly covers: readonly Effect[]
      readonly directory: string | undefined
    }
  /** A transaction of the database is in its log: a kill does not take it back. `database`: its files then. */
  | { readonly kind: 'commit'; readonly database: Database }
  /** So many of the commits before it are on stable storage. */
  | { readonly kind: 'database sync'; readonly commits: number }
  /** Something of the test's own, such as a reply that a client has got. */
  | { readonly kind: 'note'; readonly note: Note }

/** A directory's content: bytes of files, `directory` for directories. */
export type Tree = ReadonlyMap<string, Buffer | 'directory'>

export class Recording<Note = unknown, Database = unknown> {
  readonly entries: Entry<Note, Database>[] = []
  /** What was there before, on stable storage. */
  readonly base: Tree
  readonly #root: string
  readonly #names = new Map<string, FileNumber>()
  readonly #done = new Set<Effect>()
  #nextFile = 0
  #commits = 0

  constructor(root: string, base: Tree) {
    this.#root = root
    this.base = base
    // The same numbers as `diskStates` gives them.
    for (const [path, content] of base) if (content !== 'directory') this.#names.set(path, this.#nextFile++)
  }

  note(note: Note): void {
    this.entries.push({ kind: 'note', note })
  }

  commit(database: Database): void {
    this.#commits++
    this.entries.push({ kind: 'commit', database })
  }

  /** Flushes the database's log; it covers the commits made before. */
  async syncDatabase(flush: () => Promise<void>): Promise<void> {
    const commits = this.#commits
    await flush()
    this.entries.push({ kind: 'database sync', commits })
  }

  /** Files that do what `files` do and note it here. */
  wrap(files: FileOps): FileOps {
    const within = (path: string) => relative(this.#root, path)
    return {
      ...files,
      open: async (path, how) => {
        const name = within(path)
        if (how !== 'create') return this.#wrapFile(await files.open(path, how), this.#names.get(name))
        const number = this.#nextFile++
        const file = await this.#effect(
          `create ${name}`,
          { kind: 'names', changes: [{ path: name, to: number }] },
          () => files.open(path, how),
        )
        this.#names.set(name, number)
        return this.#wrapFile(file, number)
      },
      rename: async (from, to) => {
        const [source, target] = [within(from), within(to)]
        const number = this.#names.get(source)
        const changes = [
          { path: target, to: number },
          { path: source, to: undefined },
        ]
        await this.#effect(`rename ${source} to ${target}`, { kind: 'names', changes }, () =>
          files.rename(from, to),
        )
        this.#names.delete(source)
        this.#names.set(target, number!)
      },
      link: async (from, to) => {
        const [source, target] = [within(from), within(to)]
        const number = this.#names.get(source)
        await this.#effect(
          `link ${source} to ${target}`,
          { kind: 'names', changes: [{ path: target, to: number }] },
          () => files.link(from, to),
        )
        this.#names.set(target, number!)
      },
      unlink: async (path) => {
        const name = within(path)
        await this.#effect(
          `unlink ${name}`,
          { kind: 'names', changes: [{ path: name, to: undefined }] },
          () => files.unlink(path),
        )
        this.#names.delete(name)
      },
      makeDirectory: async (path) => {
        const name = within(path)
        // The data directory itself is there, whatever happens.
        if (name === '' || (await files.stat(path))) return files.makeDirectory(path)
        const effect: Effect = { kind: 'names', changes: [{ path: name, to: 'directory' }] }
        await this.#effect(`make directory ${name}`, effect, () => files.makeDirectory(path))
      },
      syncDirectory: (path) => this.#syncDirectory(within(path), () => files.syncDirectory(path)),
    }
  }

  #wrapFile(file: OpenFile, number: FileNumber | undefined): OpenFile {
    if (number === undefined) return file
    const name = () => [...this.#names].find(([, other]) => other === number)?.[0] ?? 'a file without a name'
    return {
      ...file,
      write: (data, position) =>
        this.#effect(
          `write ${name()}`,
          { kind: 'write', file: number, position, data: Buffer.from(data) },
          () => file.write(data, position),
        ),
      truncate: (size) =>
        this.#effect(`truncate ${name()}`, { kind: 'truncate', file: number, size }, () =>
          file.truncate(size),
        ),
      sync: () =>
        this.#sync(
          `sync ${name()}`,
          undefined,
          (effect) => effect.kind !== 'names' && effect.file === number,
          () => file.sync(),
        ),
    }
  }

  async #effect<T>(step: string, effect: Effect, act: () => Promise<T>): Promise<T> {
    const entry = { kind: 'effect', step, effect } as const
    this.entries.push(entry)
    try {
      const result = await act()
      this.#done.add(effect)
      return result
    } catch (error) {
      // It did not happen: a name that was not there, say.
      this.entries.splice(this.entries.indexOf(entry), 1)
      throw error
    }
  }

  #syncDirectory(directory: string, act: () => Promise<void>): Promise<void> {
    const isIn = (effect: Effect) =>
      effect.kind === 'names' && effect.changes.some(({ path }) => parentOf(path) === directory)
    return this.#sync(`sync directory ${directory || '.'}`, directory, isIn, act)
  }

  async #sync(
    step: string,
    directory: string | undefined,
    isMeant: (effect: Effect) => boolean,
    act: () => Promise<void>,
  ): Promise<void> {
    const covers = [...this.#done].filter(isMeant)
    await act()
    this.entries.push({ kind: 'sync', step, covers, directory })
    // What a flush of one directory leaves open of a rename, that of the other one settles.
    if (directory === undefined) for (const effect of covers) this.#done.delete(effect)
  }
}

/** The directory of a path relative to the data directory, in the same form. */
export const parentOf = (path: string): string => join(dirname(path)).replace(/^\.$/, '')
