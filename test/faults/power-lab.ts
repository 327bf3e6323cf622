/**
 * Where the power-loss suite keeps its stores: it records what a workload does to a store, builds what may be left of it
 * after a cut, starts a store on that, and holds it to the book.
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type FileOps, realFiles } from '../../packages/server/src/blobs/files.ts'
import { type HashPipeline, startHashPipeline } from '../../packages/server/src/blobs/hash-pipeline.ts'
import { convert } from '../../packages/server/src/domain/convert.ts'
import { runFetches } from '../../packages/server/src/domain/fetch-artifact.ts'
import { collectBlobs } from '../../packages/server/src/domain/jobs/collect-blobs.ts'
import { recover } from '../../packages/server/src/domain/recover.ts'
import { appendToUpload, expireUploads } from '../../packages/server/src/domain/uploads.ts'
import { stateAfterKill, statesAt, treeKey } from '../../packages/server/src/durability/disk-states.ts'
import { FaultyFiles } from '../../packages/server/src/durability/faulty-files.ts'
import { type Entry, Recording, type Tree } from '../../packages/server/src/durability/recorded-files.ts'
import {
  type DatabaseFiles,
  openWorld,
  placeTree,
  readTree,
  type World,
} from '../../packages/server/src/durability/world.ts'
import type { Random, Report } from './harness.ts'
import { bytesOf, sha512, wordsOf } from './harness.ts'
import { firstBoot, makeBase, makeClock, placeIn } from './power-base.ts'
import { Book, type Note, whole } from './power-book.ts'
import { type CheckOptions, findViolations } from './power-check.ts'
import { alice, PowerWork, type WorkClock } from './power-work.ts'

/** What was recorded of one run on a fresh store. */
export interface Recorded {
  readonly recording: Recording<Note, DatabaseFiles>
  /** Entries before these were made by preparation, and cuts among them are not tried. */
  readonly begin: number
  /** The database before the first commit. */
  readonly database: DatabaseFiles
}

interface State {
  readonly tree: Tree
  readonly database: DatabaseFiles
  readonly book: Book
  readonly isPowerCut: boolean
  readonly words: string
}

/** The boots before and after the power cut, and after another one. */
const boots = { before: firstBoot, after: 2 } as const
const atOnce = 4

export class PowerLab {
  readonly #report: Report
  readonly #random: Random
  readonly #hash: HashPipeline = startHashPipeline({ workers: 1, slots: 8 })
  readonly #seen = new Set<string>()
  readonly #underWay = new Set<Promise<void>>()
  #base: { tree: Tree; database: DatabaseFiles } | undefined

  constructor(report: Report, random: Random) {
    this.#report = report
    this.#random = random
  }

  /** Different states tried so far. */
  get states(): number {
    return this.#seen.size
  }

  close(): Promise<void> {
    return this.#hash.close()
  }

  /** Runs `work` on a fresh store, after `prepare`, and records both. */
  async record(
    work: (store: PowerWork) => Promise<void>,
    prepare: (store: PowerWork) => Promise<void> = async () => {},
  ): Promise<Recorded> {
    this.#base ??= await makeBase(this.#hash)
    const { tree, database } = this.#base
    const directory = await placeIn(tree, database)
    const recording = new Recording<Note, DatabaseFiles>(directory, tree)
    const files = recording.wrap(realFiles)
    const clock = makeClock()
    const world = await openWorld({
      directory,
      hash: this.#hash,
      clock,
      files,
      boot: boots.before,
      isMigrated: true,
      onCommit: (files) => recording.commit(files),
      onFlush: (flush) => recording.syncDatabase(flush),
    })
    try {
      const store = new PowerWork(world, new Book(), clock, (note) => recording.note(note), files)
      await prepare(store)
      const begin = recording.entries.length
      await work(store)
      return { recording, begin, database }
    } finally {
      await world.close()
      await rm(directory, { recursive: true })
    }
  }

  /**
   * As `record`, but the process dies at the given step of `work` and another one goes on with the uploads and the jobs;
   * only what that one does counts as cuts. What the first one had not flushed is in doubt still.
   */
  async recordKilled(
    work: (store: PowerWork) => Promise<void>,
    prepare: (store: PowerWork) => Promise<void>,
    step: number,
  ): Promise<Recorded> {
    this.#base ??= await makeBase(this.#hash)
    const { tree, database } = this.#base
    const directory = await placeIn(tree, database)
    const recording = new Recording<Note, DatabaseFiles>(directory, tree)
    const files = recording.wrap(realFiles)
    const faulty = new FaultyFiles()
    const clock = makeClock()
    const book = new Book()
    const note = (change: Note) => recording.note(change)
    let left = Number.POSITIVE_INFINITY
    const dead = Object.assign(new Error('killed'), { code: 'EIO' })
    const open = (own: FileOps) =>
      openWorld({
        directory,
        hash: this.#hash,
        clock,
        files: own,
        boot: boots.before,
        isMigrated: true,
        beforeCommit: () => {
          if (--left <= 0) throw dead
        },
        onCommit: (bytes) => recording.commit(bytes),
        onFlush: (flush) => {
          if (--left <= 0) throw dead
          return recording.syncDatabase(flush)
        },
      })
    try {
      const first = await open(faulty.wrap(files))
      const before = new PowerWork(first, book, clock, note, files)
      await prepare(before)
      left = step
      faulty.choose = (_, what) => {
        if (isStep(what)) left--
        return left <= 0 ? { kind: 'error', code: 'EIO' } : undefined
      }
      await work(before).catch(() => {})
      await first.close()
      left = Number.POSITIVE_INFINITY
      const begin = recording.entries.length
      const second = await open(files)
      // Opening flushes what the first one may have left unflushed.
      await recording.syncDatabase(async () => {})
      try {
        await recover(second)
        await goOnAfterKill(new PowerWork(second, book, clock, note, files), note)
      } finally {
        await second.close()
      }
      return { recording, begin, database }
    } finally {
      await rm(directory, { recursive: true })
    }
  }

  /** Tries the states at every cut of a recording, at most `limit` for each, renames whole and split. */
  async tryAll(name: string, recorded: Recorded, limit: number): Promise<void> {
    const { recording, begin } = recorded
    for (let cut = begin; cut <= recording.entries.length; cut++) {
      await this.#schedule(this.#atKill(name, recorded, cut))
      // A note changes only the book: what the disk may look like is what it may have looked like before.
      if (cut > begin && recording.entries[cut - 1]!.kind === 'note') continue
      for (const splitRenames of [false, true])
        for (const state of this.#atCut(name, recorded, cut, limit, splitRenames)) await this.#schedule(state)
    }
    await Promise.all(this.#underWay)
  }

  /** Several at once, as most of the time goes into waiting for files. */
  async #schedule(state: State): Promise<void> {
    const trial: Promise<void> = this.#tryOne(state, this.#random.fork()).finally(() =>
      this.#underWay.delete(trial),
    )
    this.#underWay.add(trial)
    if (this.#underWay.size >= atOnce) await Promise.race(this.#underWay)
  }

  #atKill(name: string, { recording, database }: Recorded, cut: number): State {
    return {
      tree: stateAfterKill(recording.base, recording.entries, cut),
      book: bookAt(recording.entries, cut),
      database: databasesAt(recording.entries, cut, database).at(-1)!,
      isPowerCut: false,
      words: `${name}: killed ${place(recording.entries, cut)}`,
    }
  }

  *#atCut(
    name: string,
    { recording, database }: Recorded,
    cut: number,
    limit: number,
    splitRenames: boolean,
  ): Generator<State> {
    const options = { cut, random: this.#random, limit, splitRenames }
    // A reply may follow at once, so the strictest promises are those after the notes that come next.
    let last = cut
    while (recording.entries[last]?.kind === 'note') last++
    const [now, answered] = [bookAt(recording.entries, cut), bookAt(recording.entries, last)]
    const databases = databasesAt(recording.entries, cut, database)
    const words = `${name}: power cut ${place(recording.entries, cut)}`
    for (const tree of statesAt(recording.base, recording.entries, options))
      for (const kept of databases) {
        yield { tree, database: kept, book: now, isPowerCut: true, words }
        if (last > cut)
          yield { tree, database: kept, book: answered, isPowerCut: true, words: `${words}, answered` }
      }
  }

  async #tryOne(state: State, random: Random): Promise<void> {
    const key = `${treeKey(state.tree)} ${sha512(state.database.main, state.database.log)} ${state.isPowerCut}`
    const promised = `${key} ${bookKey(state.book)}`
    if (this.#seen.has(promised)) return
    this.#seen.add(promised)
    this.#report.count(state.isPowerCut ? 'states after a power cut' : 'states after a kill')
    const directory = await placeIn(state.tree, state.database)
    const wrong: string[] = []
    try {
      wrong.push(...(await this.#startAndCheck(directory, state, random)))
    } catch (error) {
      wrong.push(`failed: ${error instanceof Error ? error.stack : wordsOf(error)}`)
    } finally {
      await rm(directory, { recursive: true })
    }
    this.#report.check(wrong.length === 0, () => `${state.words}\n  ${wrong.join('\n  ')}`)
  }

  async #startAndCheck(directory: string, state: State, random: Random): Promise<string[]> {
    // Every so often the start itself is cut short, too.
    if (random.chance(0.15)) await this.#interruptStart(directory, state, random)
    const clock = makeClock(4_000_000)
    const world = await this.#open(directory, state.isPowerCut, clock)
    const check = (book: Book, options: Pick<CheckOptions, 'isQuiet'>) =>
      findViolations(directory, book, { ...options, isPowerCut: state.isPowerCut })
    try {
      await recover(world)
      const wrong = check(state.book, { isQuiet: false })
      if (wrong.length > 0) return wrong
      const before = await look(world, directory)
      await recover(world)
      if ((await look(world, directory)) !== before) wrong.push('a second recovery changes something')
      await runFetches(world, new AbortController().signal)
      const book = state.book.fetched()
      wrong.push(...check(book, { isQuiet: false }))
      await goOn(world, wrong)
      clock.advance(world.config.uploadExpiry + world.config.collectGrace + 1)
      await expireUploads(world)
      await collectBlobs(world, new AbortController().signal)
      clock.advance(world.config.collectGrace + 1)
      await collectBlobs(world, new AbortController().signal)
      return [...wrong, ...check(book, { isQuiet: true })]
    } finally {
      await world.close()
    }
  }

  /** Starts a store, cuts the power during that, and leaves what may then be there. */
  async #interruptStart(directory: string, state: State, random: Random): Promise<void> {
    const recording = new Recording<Note, DatabaseFiles>(directory, state.tree)
    const world = await openWorld({
      directory,
      hash: this.#hash,
      clock: makeClock(3_000_000),
      isMigrated: true,
      files: recording.wrap(realFiles),
      boot: state.isPowerCut ? boots.after : boots.before,
      onCommit: (bytes) => recording.commit(bytes),
      onFlush: (flush) => recording.syncDatabase(flush),
    })
    await recover(world).finally(() => world.close())
    const cut = random.between(0, recording.entries.length)
    const trees = state.isPowerCut
      ? [
          ...statesAt(state.tree, recording.entries, {
            cut,
            random,
            limit: 8,
            splitRenames: false,
          }),
        ]
      : [stateAfterKill(state.tree, recording.entries, cut)]
    const databases = databasesAt(recording.entries, cut, state.database)
    await rm(directory, { recursive: true })
    await placeTree(
      directory,
      random.pick(trees),
      state.isPowerCut ? random.pick(databases) : databases.at(-1)!,
    )
    this.#report.count('starts cut short')
  }

  #open(directory: string, isPowerCut: boolean, clock: WorkClock): Promise<World> {
    const boot = isPowerCut ? boots.after : boots.before
    return openWorld({ directory, hash: this.#hash, clock, boot, isMigrated: true })
  }
}

/** The steps of a recording, in words that do not depend on the run. */
export const stepsOf = ({ recording, begin }: Recorded): string[] => {
  const names = new Map<string, string>()
  const letters = ['U', 'V', 'W', 'X']
  const anonymous = (text: string) =>
    text
      .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, (uuid) => {
        if (!names.has(uuid)) names.set(uuid, letters[names.size] ?? '?')
        return names.get(uuid)!
      })
      .replace(/blobs\/[0-9a-f]{2}/g, 'blobs/xx')
  return recording.entries.slice(begin).flatMap((entry) => {
    if (entry.kind === 'note') return []
    return [anonymous(stepWords(entry))]
  })
}

const stepWords = (entry: Exclude<Entry, { kind: 'note' }>): string => {
  if (entry.kind === 'commit') return 'commit'
  return entry.kind === 'database sync' ? 'sync holdfast.db-wal' : entry.step
}

/** What was promised when so many entries had taken place. */
const bookAt = (entries: readonly Entry[], cut: number): Book =>
  Book.after(entries.slice(0, cut).flatMap((entry) => (entry.kind === 'note' ? [entry.note as Note] : [])))

/**
 * What may be in the database when the power fails after so many entries: the commits that were flushed, and of the
 * later ones any beginning; also one whose pages came to the disk in part. The newest is last.
 */
const databasesAt = (
  entries: readonly Entry<Note, DatabaseFiles>[],
  cut: number,
  first: DatabaseFiles,
): DatabaseFiles[] => {
  const states = [first]
  let durable = 0
  for (const entry of entries.slice(0, cut)) {
    if (entry.kind === 'commit') states.push(entry.database)
    if (entry.kind === 'database sync') durable = entry.commits
  }
  const possible = states.slice(durable)
  const newest = possible.at(-1)!
  return possible.length === 1 ? possible : [torn(possible.at(-2)!, newest), ...possible]
}

/** The second half of what a commit has written to the log did not come to the disk. */
const torn = ({ log: { length } }: DatabaseFiles, { main, log }: DatabaseFiles): DatabaseFiles => {
  // A log that began anew in between is not shorter in the file; then this is some other tear of it.
  const from = (Math.min(length, log.length) + log.length) >> 1
  return { main, log: Buffer.concat([log.subarray(0, from), Buffer.alloc(log.length - from)]) }
}

const place = (entries: readonly Entry[], cut: number): string => {
  const step = entries.slice(0, cut).findLast((entry) => entry.kind !== 'note')
  return `after entry ${cut} (${step ? stepWords(step) : 'the start'})`
}

const bookKey = (book: Book): string =>
  sha512(
    Buffer.from(
      JSON.stringify([
        [...book.uploads].map(([uuid, beliefs]) => [
          uuid,
          beliefs.map((b) => b && [b.least, sha512(b.content)]),
        ]),
        [...book.artifacts],
        [...book.fetches],
        [...book.damaged],
      ]),
    ),
  )

/** All that recovery may change, in one text. */
const look = async (world: World, directory: string): Promise<string> => {
  const tables = []
  for (const table of ['uploads', 'blobs', 'versions', 'conversions', 'artifacts'] as const)
    tables.push(await world.db.read.selectFrom(table).selectAll().execute())
  return `${treeKey(await readTree(directory))} ${JSON.stringify(tables)}`
}

const isStep = (what: string): boolean => !/^(read|stat|list|open (read|write))$/.test(what)

/** Clients ask where their uploads stand, and send more; the jobs run. */
const goOnAfterKill = async (store: PowerWork, note: (change: Note) => void): Promise<void> => {
  for (const uuid of store.uploads) {
    const status = await store.world.uploadFiles.status(uuid)
    const beliefs = store.book.uploads.get(uuid)!.flatMap((belief) => belief ?? [])
    const belief = beliefs.find(
      ({ content, least }) => status && status.size >= least && status.size <= content.length,
    )
    if (!status || !belief) continue
    const settle: Note = (book) => book.uploads.set(uuid, [whole(belief.content.subarray(0, status.size))])
    settle(store.book)
    note(settle)
    await store.append(uuid, bytesOf('after the kill', 6000), true)
  }
  if (store.book.fetches.size > 0) await store.runFetches()
  await store.collect()
}

/** Clients go on with what is there: one appends to its upload and converts it. */
const goOn = async (world: World, wrong: string[]): Promise<void> => {
  const row = await world.db.read.selectFrom('uploads').select('uuid').executeTakeFirst()
  if (!row) return
  const { size } = (await world.uploadFiles.status(row.uuid))!
  const tail = Buffer.from(`goes on ${row.uuid}`)
  const before = await readFile(join(world.config.dataDir, 'uploads', `${row.uuid}.data`))
  await appendToUpload(world, alice, row.uuid, {
    stream: (async function* () {
      yield tail
    })(),
    contentLength: tail.length,
    expectedOffset: size,
    signal: new AbortController().signal,
  })
  const expected = sha512(before, tail)
  await convert(world, alice, {
    name: 'goes on',
    uploadUuid: row.uuid,
    artifactType: 'other',
    sha512: expected,
  })
  const path = join(world.config.dataDir, 'blobs', row.uuid.slice(0, 2), row.uuid)
  if (sha512(await readFile(path)) !== expected)
    wrong.push(`upload ${row.uuid} went on and became other bytes`)
}
