/**
 * The server's own command, for what needs a store at rest: bringing a backup back, checking without a server, moving. Words
 * for people on stdout, the log as JSON lines on stderr; exit code 0 done, 1 not done or faults left, 2 a command line or
 * settings that make no sense. Each command loads what it needs, and no more.
 */
import { existsSync } from 'node:fs'
import { isAbsolute, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { HoldfastError } from '@holdfast/api/errors'
import { type Logger, pino } from 'pino'
import { dataPaths } from '../blobs/paths.ts'
import { type Config, ConfigError, hasOwnBlobStore, parseConfig } from '../config.ts'
import { DataDirectoryInUseError } from '../db/lock.ts'
import { NewerSchemaError } from '../db/migrate.ts'
import { DatabaseStartError, hasOwnServer } from '../db/open-database.ts'
import { BlobStoreStartError, WrongBlobStoreError } from '../open-blobs.ts'
import type { Parts } from '../parts.ts'
import { WrongDatabaseError } from '../store-directory.ts'
import { emptyReport } from './check/faults.ts'
import { BackupError } from './format.ts'
import { MovedStoreError } from './migrate/marks.ts'
import { UnfinishedRestoreError } from './unfinished-restore.ts'

const usage = `Usage:
  holdfast-server                                  start the server; its settings are environment variables
  holdfast-server restore BACKUP [--data DIR]      bring a backup back into a new data directory
      --verify         compare every blob with its digest (sizes are always compared)
      --allow-damage   restore what is good although some blobs are not; those will be in quarantine
  holdfast-server check --offline [--data DIR]     compare metadata and files while no server runs
      --repair         repair what can be repaired; no bytes are lost by it
      --json           the report as JSON
  holdfast-server migrate --to FILE [--data DIR]   move the store to another database or blob store; FILE has the settings
                                                   of the new one, lines NAME=VALUE
      --allow-damage   complete it although some blobs are damaged; those will be in quarantine
      --drop-uploads   leave unfinished uploads behind
  holdfast-server migrate --reopen [--data DIR]    give a migration up: the old store can be started again
  holdfast-server --help

DIR is the data directory; without it, that of HOLDFAST_DATA_DIR. While a server runs: holdfast admin backup,
holdfast admin check.
`

const exitCodes = { done: 0, notDone: 1, usage: 2, fault: 70, interrupted: 130 } as const

class UsageError extends Error {}

const say = (text: string): void => void process.stdout.write(`${text}\n`)

const stopped = new AbortController()
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.on(signal, () => {
    if (stopped.signal.aborted) process.exit(exitCodes.interrupted)
    stopped.abort(new Error('interrupted'))
  })

const readArguments = () => {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        data: { type: 'string' },
        verify: { type: 'boolean' },
        'allow-damage': { type: 'boolean' },
        offline: { type: 'boolean' },
        repair: { type: 'boolean' },
        json: { type: 'boolean' },
        to: { type: 'string' },
        'drop-uploads': { type: 'boolean' },
        reopen: { type: 'boolean' },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

type Options = ReturnType<typeof readArguments>['values']

/** Options of the other command would be overlooked silently. */
const allow = (options: Options, ...names: (keyof Options)[]): void => {
  for (const name of Object.keys(options) as (keyof Options)[])
    if (!names.includes(name)) throw new UsageError(`--${name} means nothing here`)
}

const configOf = (data: string | undefined): Config => {
  const config = parseConfig(process.env)
  return { ...config, dataDir: resolve(data ?? config.dataDir) }
}

/** For what cannot be done with PostgreSQL. */
const embeddedConfigOf = (data: string | undefined): Config => {
  const config = configOf(data)
  if (hasOwnServer(config))
    throw new BackupError(
      'the metadata of this store is in PostgreSQL (HOLDFAST_DATABASE_URL), which has its own tools for backup and ' +
        'restore: see docs/operators-guide.md. To check it, use holdfast admin check while the server runs.',
    )
  return config
}

const restore = async (words: readonly string[], options: Options): Promise<number> => {
  allow(options, 'data', 'verify', 'allow-damage')
  const [backup, ...more] = words
  if (backup === undefined || more.length > 0) throw new UsageError('name one backup, a directory')
  const config = embeddedConfigOf(options.data)
  if (hasOwnBlobStore(config))
    throw new BackupError(
      'a backup holds blobs as files, and HOLDFAST_BLOB_STORE names an S3 store: see docs/operators-guide.md',
    )
  const { restoreBackup } = await import('./restore.ts')
  const { manifest, blobs, bytes, damaged } = await restoreBackup({
    backup: resolve(backup),
    config,
    dataDir: config.dataDir,
    verify: options.verify ?? false,
    allowDamage: options['allow-damage'] ?? false,
    signal: stopped.signal,
    say,
  })
  say(`Restored ${blobs} blobs with ${bytes} bytes to ${config.dataDir}, as they were at
${new Date(manifest.started_at).toISOString()} on ${manifest.node}.`)
  if (damaged.length > 0)
    say(`${damaged.length} blobs are in quarantine; the same content, uploaded again, heals them.`)
  const data = isAbsolute(options.data ?? '') ? options.data : config.dataDir
  say(`\nNext:\n  HOLDFAST_DATA_DIR=${data} npm start\nIt will verify all blobs in the background.`)
  return exitCodes.done
}

const check = async (words: readonly string[], options: Options): Promise<number> => {
  allow(options, 'data', 'offline', 'repair', 'json')
  if (words.length > 0) throw new UsageError(`${words[0]} means nothing here`)
  if (!options.offline)
    throw new UsageError('with a server: holdfast admin check; without one: holdfast-server check --offline')
  const config = embeddedConfigOf(options.data)
  const { database } = dataPaths(config.dataDir)
  if (!existsSync(database))
    throw new BackupError(`${config.dataDir} is not a data directory: it has no holdfast.db`)
  const repair = options.repair ?? false
  const report = emptyReport()
  const [{ recover }, { checkOffline }] = await Promise.all([
    import('../domain/recover.ts'),
    import('./check/check-offline.ts'),
  ])
  await withParts(config, async (parts) => {
    // Finishes what a crash left, as every start does.
    if (repair) await recover(parts)
    await checkOffline({ parts, repair, graceMs: config.collectGrace * 1000, signal: stopped.signal, report })
  })
  const left = report.found - report.repaired
  if (options.json) say(JSON.stringify(report, null, 2))
  else {
    for (const { kind, object, message, outcome } of report.faults)
      say(`${outcome.padEnd(8)} ${kind} ${object}: ${message}`)
    say(`${report.checked_blobs} blobs, ${report.checked_files} files and ${report.checked_uploads} uploads checked;
${report.found} faults found, ${report.repaired} repaired; ${report.quarantined_blobs} blobs in quarantine`)
  }
  return left > 0 ? exitCodes.notDone : exitCodes.done
}

const migrate = async (words: readonly string[], options: Options): Promise<number> => {
  if (options.reopen) allow(options, 'data', 'reopen')
  else allow(options, 'data', 'to', 'allow-damage', 'drop-uploads')
  if (words.length > 0) throw new UsageError(`${words[0]} means nothing here`)
  if (!options.reopen && options.to === undefined)
    throw new UsageError('name the file with the settings of the new store: --to FILE')
  const { runMigration, runReopening } = await import('./migrate/run-migration.ts')
  const from = configOf(options.data)
  if (options.reopen) await runReopening(from, say, openLog(from))
  else
    await runMigration({
      from,
      settings: options.to!,
      environment: process.env,
      allowDamage: options['allow-damage'] ?? false,
      dropUploads: options['drop-uploads'] ?? false,
      signal: stopped.signal,
      log: openLog(from),
      output: process.stderr,
      say,
    })
  return exitCodes.done
}

const openLog = (config: Config): Logger =>
  pino({ level: config.logLevel }, pino.destination({ fd: 2, sync: true }))

const withParts = async (config: Config, work: (parts: Parts) => Promise<void>): Promise<void> => {
  const { openParts } = await import('../start.ts')
  const releases: (() => unknown)[] = []
  try {
    await work(await openParts(config, openLog(config), releases))
  } finally {
    for (const release of releases.reverse()) await release()
  }
}

const main = async (): Promise<number> => {
  const { positionals, values } = readArguments()
  const [command, ...words] = positionals
  if (values.help) {
    say(usage)
    return exitCodes.done
  }
  if (command === 'restore') return restore(words, values)
  if (command === 'check') return check(words, values)
  if (command === 'migrate') return migrate(words, values)
  throw new UsageError(command === undefined ? 'a command is missing' : `there is no command ${command}`)
}

/** What a service answered says more than what a client would be told. */
const wordsOf = (error: Error): string =>
  error instanceof HoldfastError && error.cause instanceof Error
    ? `${error.message} (${error.cause.message})`
    : error.message

const fail = (error: Error): number => {
  const complain = (text: string) => void process.stderr.write(`holdfast-server: ${text}\n`)
  if (stopped.signal.aborted) {
    complain('interrupted; the command can be repeated')
    return exitCodes.interrupted
  }
  if (error instanceof UsageError) {
    complain(`${error.message}\n\n${usage}`)
    return exitCodes.usage
  }
  const isExpected =
    error instanceof ConfigError ||
    error instanceof BackupError ||
    error instanceof DataDirectoryInUseError ||
    error instanceof UnfinishedRestoreError ||
    error instanceof MovedStoreError ||
    error instanceof DatabaseStartError ||
    error instanceof NewerSchemaError ||
    error instanceof WrongDatabaseError ||
    error instanceof BlobStoreStartError ||
    error instanceof WrongBlobStoreError ||
    // A service is away, or a disk full.
    error instanceof HoldfastError ||
    'syscall' in error
  complain(isExpected ? wordsOf(error) : `${error.stack}`)
  if (error instanceof ConfigError) return exitCodes.usage
  return isExpected ? exitCodes.notDone : exitCodes.fault
}

process.exit(await main().catch(fail))
