/**
 * Brings a restored database in line with what was restored with it.
 */
import { existsSync } from 'node:fs'
import type { Config } from '../config.ts'
import { openSqlite } from '../db/sqlite.ts'
import { recordEvents } from '../domain/events.ts'
import { askedAt } from '../domain/jobs/verify-blobs.ts'
import { systemNamespace } from '../domain/visibility.ts'
import type { BackupManifest, DamagedBlob } from './format.ts'
import { quarantineMissing } from './quarantine-missing.ts'
import { writeSetting } from './store-settings.ts'

/**
 * Puts blobs without good bytes in quarantine, forgets unfinished uploads (a backup has none of their bytes), has every blob
 * verified soon, and writes the restore into the history. The database is migrated if it is of an earlier version.
 */
export const settleRestored = async (
  path: string,
  config: Config,
  manifest: BackupManifest,
  damaged: readonly DamagedBlob[],
): Promise<void> => {
  const db = await openSqlite({ path })
  try {
    const clock = { now: () => Date.now() }
    await db.write(async (trx) => {
      await trx.deleteFrom('uploads').execute()
      await quarantineMissing(trx, { clock, config }, damaged, 'in the backup that was restored')
      await recordEvents(trx, { clock, config }, [
        {
          objectType: 'namespace',
          objectUuid: systemNamespace,
          namespace: systemNamespace,
          type: 'audit',
          message: 'restored from a backup',
          extra: {
            backup: manifest.id,
            backup_started_at: manifest.started_at / 1000,
            damaged_blobs: damaged.length,
          },
        },
      ])
      await writeSetting(trx, askedAt, String(clock.now()))
    })
  } finally {
    await db.close()
  }
  if (existsSync(`${path}-wal`)) throw new Error(`the database ${path} was not closed in good order`)
}
