/**
 * Backups in the power-loss suite: the steps of one are recorded, the power is cut or the process killed after each, and
 * whatever is in the backup's directory then has to be restored to the backup before or to the new one, and after the
 * reply to the new one; and the next backup there has to end well and leave nothing else.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { noFigures } from '../../packages/server/src/backup/backup-blobs.ts'
import { BackupError, type BackupManifest } from '../../packages/server/src/backup/format.ts'
import { makeBackup } from '../../packages/server/src/backup/make-backup.ts'
import { restoreBackup } from '../../packages/server/src/backup/restore.ts'
import { storeIdOf } from '../../packages/server/src/backup/store-settings.ts'
import { type FileOps, realFiles } from '../../packages/server/src/blobs/files.ts'
import { type HashPipeline, startHashPipeline } from '../../packages/server/src/blobs/hash-pipeline.ts'
import { stateAfterKill, statesAt, treeKey } from '../../packages/server/src/durability/disk-states.ts'
import { Recording, type Tree } from '../../packages/server/src/durability/recorded-files.ts'
import { type DatabaseFiles, openWorld, type World } from '../../packages/server/src/durability/world.ts'
import { bytesOf, type Random, type Report, sha512, wordsOf } from './harness.ts'
import { firstBoot, makeBase, makeClock, placeIn, temporary } from './power-base.ts'
import { Book, type Note } from './power-book.ts'
import { type Recorded, stepsOf } from './power-lab.ts'
import { PowerWork } from './power-work.ts'

/** A backup that was tried, with its steps as docs/durability.md has them. */
export interface TriedBackup {
  readonly name: string
  readonly steps: readonly string[]
  readonly states: number
}

/** A backup, and the digests of the contents in it. */
interface Known {
  readonly manifest: BackupManifest
  readonly contents: readonly string[]
}

const contents = ['gone', 'stays', 'comes'].map((name, n) => bytesOf(name, 700 + n * 900))
const [gone, stays, comes] = contents as [Buffer, Buffer, Buffer]
const never = new AbortController().signal

/** Tries a first backup and a renewal, at most `limit` states at each cut. */
export const tryBackups = async (report: Report, random: Random, limit: number): Promise<TriedBackup[]> => {
  const hash = startHashPipeline({ workers: 1, slots: 8 })
  try {
    return [
      await tryBackup(report, random, limit, hash, false),
      await tryBackup(report, random, limit, hash, true),
    ]
  } finally {
    await hash.close()
  }
}

const tryBackup = async (
  report: Report,
  random: Random,
  limit: number,
  hash: HashPipeline,
  isRenewal: boolean,
): Promise<TriedBackup> => {
  const name = isRenewal ? 'renew a backup' : 'back up'
  const { tree, database } = await makeBase(hash)
  const root = await placeIn(tree, database)
  const recording = new Recording<Note, DatabaseFiles>(root, tree)
  const files = recording.wrap(realFiles)
  const clock = makeClock()
  const world = await openWorld({ directory: root, hash, clock, files, boot: firstBoot, isMigrated: true })
  const store = new PowerWork(world, new Book(), clock, () => {}, files)
  const keep = async (content: Buffer) => {
    const uuid = await store.create()
    await store.append(uuid, content, false)
    await store.convert(uuid, `artifact ${sha512(content)}`)
  }
  try {
    const backup = join(root, 'backup')
    await storeIdOf(world)
    let before: Known | undefined
    if (isRenewal) {
      await keep(gone)
      await keep(stays)
      before = { manifest: await backUp(world, backup, files), contents: digestsOf(gone, stays) }
      await store.deleteArtifact(`artifact ${sha512(gone)}`)
      await store.collect()
    }
    await keep(comes)
    const begin = recording.entries.length
    const after: Known = {
      manifest: await backUp(world, backup, files),
      contents: isRenewal ? digestsOf(stays, comes) : digestsOf(comes),
    }
    const recorded: Recorded = { recording, begin, database }
    const states = new Map<string, { tree: Tree; isAnswered: boolean; words: string }>()
    for (let cut = begin; cut <= recording.entries.length; cut++) {
      const isAnswered = cut === recording.entries.length
      const options = { cut, random, limit }
      for (const state of [
        stateAfterKill(tree, recording.entries, cut),
        ...statesAt(tree, recording.entries, { ...options, splitRenames: false }),
        ...statesAt(tree, recording.entries, { ...options, splitRenames: true }),
      ]) {
        const part = new Map([...state].filter(([path]) => /^backup(\/|$)/.test(path)))
        const words = `${name}: cut after ${cut - begin} of ${recording.entries.length - begin} steps`
        states.set(`${treeKey(part)} ${isAnswered}`, { tree: part, isAnswered, words })
      }
    }
    for (const state of states.values()) {
      const wrong = await tryState(world, state.tree, before, after, state.isAnswered)
      report.count('states of a backup')
      report.check(wrong.length === 0, () => `${state.words}\n  ${wrong.join('\n  ')}`)
    }
    return { name, steps: stepsOf(recorded), states: states.size }
  } finally {
    await world.close()
    await rm(root, { recursive: true })
  }
}

const digestsOf = (...list: readonly Buffer[]): string[] => list.map((content) => sha512(content)).sort()

/** What is wrong with what was left; nothing, if all is well. */
const tryState = async (
  world: World,
  tree: Tree,
  before: Known | undefined,
  after: Known,
  isAnswered: boolean,
): Promise<string[]> => {
  const place = await mkdtemp(join(temporary, 'holdfast-power-'))
  const backup = join(place, 'backup')
  const wrong: string[] = []
  try {
    for (const [path, content] of [...tree].sort(([a], [b]) => (a < b ? -1 : 1)))
      if (content === 'directory') await mkdir(join(place, path), { recursive: true })
    // A file whose directory was lost is lost.
    for (const [path, content] of tree)
      if (content !== 'directory' && tree.has(dirname(path))) await writeFile(join(place, path), content)

    const found = await restored(world, backup, join(place, 'restored')).catch((error) => {
      if (!(error instanceof BackupError)) throw error
      if (before || isAnswered) wrong.push(`nothing can be restored: ${error.message}`)
      return undefined
    })
    const known = [...(isAnswered ? [] : [before]), after].find(
      (one) => one?.manifest.id === found?.manifest.id,
    )
    if (found && !known) wrong.push(`backup ${found.manifest.id} is none that may be there`)
    if (found && known && `${found.contents}` !== `${known.contents}`)
      wrong.push(`restored ${found.contents} instead of ${known.contents}`)

    // The store has not changed, so the next backup there holds what the recorded one did.
    const manifest = await backUp(world, backup, realFiles)
    const next = await restored(world, backup, join(place, 'restored again'))
    if (`${next.contents}` !== `${after.contents}`)
      wrong.push(`the next backup has ${next.contents} instead of ${after.contents}`)
    const names = (await readdir(backup)).sort()
    const expected = ['backup.json', 'blobs', manifest.database, 'token.key']
    if (`${names}` !== `${expected}`) wrong.push(`the next backup leaves ${names}`)
    const blobs = await filesUnder(join(backup, 'blobs'))
    if (blobs.length !== after.contents.length) wrong.push(`the next backup leaves ${blobs}`)
  } catch (error) {
    wrong.push(`failed: ${error instanceof Error ? error.stack : wordsOf(error)}`)
  } finally {
    await rm(place, { recursive: true })
  }
  return wrong
}

const filesUnder = async (directory: string): Promise<string[]> =>
  (await readdir(directory, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))

const restored = async (world: World, backup: string, dataDir: string): Promise<Known> => {
  const { manifest } = await restoreBackup({
    backup,
    config: world.config,
    dataDir,
    verify: true,
    allowDamage: false,
    signal: never,
    say() {},
  })
  const bytes = await Promise.all((await filesUnder(join(dataDir, 'blobs'))).map((path) => readFile(path)))
  return { manifest, contents: digestsOf(...bytes) }
}

/** A backup by way of `files`. The copy of the database is one whole write, as SQLite's own files cannot be listened to. */
const backUp = async (world: World, directory: string, files: FileOps): Promise<BackupManifest> => {
  const backupTo = async (path: string) => {
    const aside = `${world.config.dataDir}-copy.db`
    await world.db.backupTo!(aside)
    const file = await files.open(path, 'create')
    await file.write(await readFile(aside), 0)
    await file.sync()
    await file.close()
    await files.syncDirectory(dirname(path))
    await rm(aside)
  }
  return makeBackup(
    { ...world, db: { ...world.db, backupTo } },
    { directory, storeId: await storeIdOf(world), figures: noFigures(), signal: never, files, onPhase() {} },
  )
}
