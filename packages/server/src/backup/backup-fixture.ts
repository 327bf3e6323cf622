/** For tests only: a store with some versions, and backups of it in a directory of its own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeNamespaces, refer, storeBlob } from '../domain/blob-fixture.ts'
import type { Parts } from '../parts.ts'
import { createTestParts, type TestParts } from '../test-parts.ts'
import { type BackupFigures, noFigures } from './backup-blobs.ts'
import type { BackupManifest } from './format.ts'
import { makeBackup } from './make-backup.ts'
import { type RestoreOptions, type RestoreReport, restoreBackup } from './restore.ts'
import { storeIdOf } from './store-settings.ts'

export interface BackupPlace extends AsyncDisposable {
  readonly parts: TestParts
  readonly root: string
  readonly backup: string
  /** Stores bytes as a version, and answers the blob's UUID. */
  store(name: string, content: string): Promise<string>
  backUp(parts?: Parts, signal?: AbortSignal): Promise<{ manifest: BackupManifest; figures: BackupFigures }>
  restore(options?: Partial<RestoreOptions>): Promise<RestoreReport>
}

/** The clock of the parts shows the real time, as files do. */
export const makeBackupPlace = async (): Promise<BackupPlace> => {
  const parts = await createTestParts({ collectGrace: 0 })
  const root = await mkdtemp(join(tmpdir(), 'holdfast-backup-'))
  parts.clock.advance((Date.now() - parts.clock.now()) / 1000)
  await makeNamespaces(parts, 'system', 'alice')
  const backup = join(root, 'backup')
  const signal = new AbortController().signal
  return {
    parts,
    root,
    backup,
    async store(name, content) {
      const { uuid } = await storeBlob(parts, Buffer.from(content))
      await refer(parts, 'alice', name, uuid)
      return uuid
    },
    async backUp(from = parts, stopped = signal) {
      const figures = noFigures()
      const storeId = await storeIdOf(parts)
      const work = { directory: backup, storeId, figures, signal: stopped, onPhase() {} }
      return { manifest: await makeBackup(from, work), figures }
    },
    restore: (options = {}) =>
      restoreBackup({
        backup,
        config: parts.config,
        dataDir: join(root, 'restored'),
        verify: false,
        allowDamage: false,
        signal,
        say() {},
        ...options,
      }),
    async [Symbol.asyncDispose]() {
      await parts[Symbol.asyncDispose]()
      await rm(root, { recursive: true })
    },
  }
}
