/**
 * For tests only: the real parts of a server in a directory of their own, with a clock that stands still until the
 * test moves it. Nothing is replaced by a stand-in.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { openDiskStore } from './blobs/disk-store.ts'
import { startHashPipeline } from './blobs/hash-pipeline.ts'
import { createBlobSender } from './blobs/read-blob.ts'
import { openUploadFiles } from './blobs/upload-files.ts'
import { type Config, parseConfig } from './config.ts'
import { dialects, type TestDialect } from './db/test-dialects.ts'
import { LocalAdmission } from './domain/admission.ts'
import { createLogins } from './domain/logins.ts'
import { aloneNode } from './domain/nodes/nodes.ts'
import { RecentFailures } from './domain/recent-failures.ts'
import { loadTokenKey } from './domain/secrets.ts'
import { createMetrics } from './metrics.ts'
import type { Caller, Clock, Parts } from './parts.ts'

export interface TestClock extends Clock {
  /** Moves the clock forward. */
  advance(seconds: number): void
}

export interface TestParts extends Parts, AsyncDisposable {
  readonly clock: TestClock
}

/** For tests of SQLite's query plans, or with timers that do not run. */
export const embedded = dialects[0]!

/**
 * Makes parts; `await using` takes them away again. `settings` replace those that the environment would give. The
 * database is PostgreSQL where the tests are told of one.
 */
export const createTestParts = async (
  settings: Partial<Config> = {},
  dialect: TestDialect = dialects.at(-1)!,
): Promise<TestParts> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'holdfast-parts-'))
  const config: Config = { ...parseConfig({}), nodeName: 'node-1', dataDir, ...settings }
  let now = 1_700_000_000_000
  const clock: TestClock = {
    now: () => now,
    advance: (seconds) => {
      now += seconds * 1000
    },
  }
  const log = pino({ level: 'silent' })
  const hash = startHashPipeline({ workers: 1, slots: 8 })
  const uploadFiles = await openUploadFiles({
    dataDir,
    hash,
    clock,
    freeSpaceReserveBytes: 0,
    stallTimeoutMs: 30_000,
  })
  const store = await dialect.create(dataDir)
  return {
    config,
    db: store.db,
    blobs: await openDiskStore(dataDir),
    sender: createBlobSender(),
    hash,
    uploadFiles,
    clock,
    nodes: aloneNode({ name: config.nodeName, version: '0', clock }),
    log,
    metrics: createMetrics(),
    tokenKey: await loadTokenKey(dataDir),
    logins: createLogins(),
    admission: new LocalAdmission(),
    failures: new RecentFailures(),
    async [Symbol.asyncDispose]() {
      await uploadFiles.close()
      await hash.close()
      await store[Symbol.asyncDispose]()
      await rm(dataDir, { recursive: true })
    },
  }
}

/** Somebody of a namespace, logged in with its first key. */
export const callerOf = (namespace: string): Caller => ({
  namespace,
  keyName: 'first',
  requestId: 'request-1',
})
