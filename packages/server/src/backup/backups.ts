/**
 * Backups as the administrator sees them: begun by a request, going on without it, and looked at by others. One runs
 * at a time. The last finished one is remembered in the database.
 */
import { randomUUID } from 'node:crypto'
import { realpath, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { BackupView } from '@holdfast/api/backup-schemas'
import { HoldfastError } from '@holdfast/api/errors'
import { dataPaths } from '../blobs/paths.ts'
import { hasOwnBlobStore } from '../config.ts'
import type { Database } from '../db/database.ts'
import { recordEvent } from '../domain/events.ts'
import { jobsOf } from '../domain/jobs/job.ts'
import { requireSystem, systemNamespace } from '../domain/visibility.ts'
import type { Caller, Parts } from '../parts.ts'
import { noFigures } from './backup-blobs.ts'
import { BackupError } from './format.ts'
import { makeBackup } from './make-backup.ts'
import { readSetting, storeIdOf, writeSetting } from './store-settings.ts'

const lastBackup = 'last-backup'
/** Names that are one plain entry of a directory on every system, and not hidden. */
const plainName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/

type Growing = { -readonly [K in keyof BackupView]: BackupView[K] }

/** The newest backup of each server since its start. */
const newest = new WeakMap<Database, Growing>()

/**
 * Begins a backup to the directory of this name, and shows it. Asking again for the one that runs shows that one.
 * Throws `backup_impossible`, `backup_name_invalid`, `backup_running`.
 */
export const startBackup = async (parts: Parts, caller: Caller, name: string): Promise<BackupView> => {
  requireSystem(caller)
  const { backupDir } = parts.config
  if (!parts.db.backupTo)
    throw impossible(
      'the metadata of this store is in PostgreSQL, which is backed up with its own tools (pg_dump) before the blobs: ' +
        'see the operators guide',
    )
  if (hasOwnBlobStore(parts.config))
    throw impossible(
      'the blobs of this store are in S3, which is backed up with its own tools (versions or copies of the bucket): see ' +
        'the operators guide',
    )
  if (backupDir === '')
    throw impossible('this server has no place for backups: the setting HOLDFAST_BACKUP_DIR names one')
  if (!plainName.test(name)) throw new HoldfastError('backup_name_invalid')
  await requirePlace(parts)
  const running = newest.get(parts.db)
  if (running?.state === 'running') {
    if (running.name === name) return running
    throw new HoldfastError('backup_running', { detail: { name: running.name } })
  }
  const jobs = jobsOf(parts)
  const view: Growing = {
    name,
    state: 'running',
    phase: 'database',
    started_at: parts.clock.now() / 1000,
    ended_at: null,
    ...noFigures(),
  }
  newest.set(parts.db, view)
  // The one before may still be writing its event: it is not to be joined.
  const run = jobs.once(`backup ${randomUUID()}`, (signal) => runBackup(parts, caller, view, signal))
  run.catch((error) => parts.log.error({ err: error }, 'a backup did not end in good order'))
  return view
}

/** Without the right directory, the settings have to be mended. */
const requirePlace = async (parts: Parts): Promise<void> => {
  const directory = resolve(parts.config.backupDir)
  try {
    if (!(await stat(directory)).isDirectory()) throw new BackupError(`${directory} is not a directory`)
    if (await isOwn(parts, directory)) throw new BackupError('it is a directory of the store itself')
  } catch (error) {
    throw impossible(`the directory of HOLDFAST_BACKUP_DIR cannot be used: ${(error as Error).message}`)
  }
}

/** A backup there would be taken for blobs or uploads. Another directory in the data directory does no harm. */
const isOwn = async ({ config }: Parts, directory: string): Promise<boolean> => {
  const { root, blobs, uploads, quarantine } = dataPaths(config.dataDir)
  const place = await realpath(directory)
  if (place === (await realpath(root))) return true
  const own = await Promise.all([blobs, uploads, quarantine].map((path) => realpath(path)))
  return own.some((path) => `${place}/`.startsWith(`${path}/`))
}

const impossible = (message: string) => new HoldfastError('backup_impossible', { message })

/** The backup that runs, else the newest one of this server, else null. */
export const showBackup = async (parts: Parts, caller: Caller): Promise<BackupView | null> => {
  requireSystem(caller)
  const view = newest.get(parts.db)
  if (view) return view
  const text = await readSetting(parts.db.read, lastBackup)
  return text === undefined ? null : (JSON.parse(text) as BackupView)
}

/** After a start: the metric goes on from what is remembered. */
export const tellLastBackup = async (parts: Pick<Parts, 'db' | 'metrics'>): Promise<void> => {
  const text = await readSetting(parts.db.read, lastBackup)
  if (text !== undefined) parts.metrics.lastBackup.set((JSON.parse(text) as BackupView).started_at)
}

const runBackup = async (parts: Parts, caller: Caller, view: Growing, signal: AbortSignal): Promise<void> => {
  const { log, metrics } = parts
  const end = (state: 'done' | 'failed', error?: string) => {
    view.state = state
    view.ended_at = parts.clock.now() / 1000
    if (error !== undefined) view.error = error
    metrics.backups.inc({ outcome: state })
  }
  try {
    await makeBackup(parts, {
      directory: join(resolve(parts.config.backupDir), view.name),
      storeId: await storeIdOf(parts),
      figures: view,
      signal,
      onPhase: (phase) => {
        view.phase = phase
      },
    })
  } catch (error) {
    const reason = signal.aborted ? 'the server was stopped' : (error as Error).message
    end('failed', reason)
    log.error({ backup: view.name, ...(signal.aborted ? {} : { err: error }) }, `backup failed: ${reason}`)
    if (!signal.aborted) await recordBackup(parts, caller, view, `backup failed: ${reason}`)
    return
  }
  end('done')
  metrics.lastBackup.set(view.started_at)
  const { damaged, ...figures } = view
  log[damaged.length > 0 ? 'warn' : 'info']({ backup: figures, damaged }, 'backup done')
  await recordBackup(parts, caller, view, 'backup done', lastBackup)
}

/** A backup concerns the whole store, so its events are those of the administrator's namespace. */
const recordBackup = (
  parts: Parts,
  caller: Caller,
  view: BackupView,
  message: string,
  setting?: string,
): Promise<void> =>
  parts.db.write(async (trx) => {
    const { name, started_at, ended_at, damaged: _, error: __, ...figures } = view
    await recordEvent(trx, parts, {
      objectType: 'namespace',
      objectUuid: systemNamespace,
      namespace: systemNamespace,
      type: 'audit',
      message,
      caller,
      duration: ended_at! - started_at,
      extra: { backup: name, ...figures },
    })
    if (setting !== undefined) await writeSetting(trx, setting, JSON.stringify(view))
  })
