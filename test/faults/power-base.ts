/** What the power-loss and faulty-disk suites begin with: a store with two namespaces, and a clock. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HashPipeline } from '../../packages/server/src/blobs/hash-pipeline.ts'
import type { Tree } from '../../packages/server/src/durability/recorded-files.ts'
import {
  type DatabaseFiles,
  openWorld,
  placeTree,
  readDatabase,
  readTree,
} from '../../packages/server/src/durability/world.ts'
import type { WorkClock } from './power-work.ts'

/** In memory where there is such a filesystem: what matters here is what is written, not where. */
export const temporary = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
/** What stands for the boot in which everything begins. */
export const firstBoot = 1

/** A store with two namespaces and nothing else. */
export const makeBase = async (hash: HashPipeline): Promise<{ tree: Tree; database: DatabaseFiles }> => {
  const directory = await mkdtemp(join(temporary, 'holdfast-power-'))
  const world = await openWorld({ directory, hash, clock: makeClock(), boot: firstBoot })
  await world.db.write((trx) =>
    trx
      .insertInto('namespaces')
      .values(
        ['system', 'alice'].map((name) => ({
          name,
          state: 'created' as const,
          epoch: name,
          created_at: 0,
          deleted_at: null,
        })),
      )
      .execute(),
  )
  await world.close()
  const tree = await readTree(directory)
  const database = readDatabase(directory)
  await rm(directory, { recursive: true })
  return { tree, database }
}

/** A fresh directory with this in it. */
export const placeIn = async (tree: Tree, database: DatabaseFiles): Promise<string> => {
  const directory = await mkdtemp(join(temporary, 'holdfast-power-'))
  await placeTree(directory, tree, database)
  return directory
}

/** A clock that is moved by hand, from now on. */
export const makeClock = (laterBySeconds = 0): WorkClock => {
  // The times of files are real ones.
  let now = Date.now() + laterBySeconds * 1000
  return {
    now: () => now,
    advance: (seconds) => {
      now += seconds * 1000
    },
  }
}
