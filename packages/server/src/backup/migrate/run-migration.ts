/** A migration as people see it: its settings, its progress, and what it says at the end. */
import type { Logger } from 'pino'
import type { Config } from '../../config.ts'
import { describeStore } from './describe-store.ts'
import { type MigrateReport, migrateStore, reopenStore } from './migrate-store.ts'
import { createProgress } from './progress.ts'
import { readTargetSettings } from './target-settings.ts'

export interface RunOptions {
  readonly from: Config
  /** The file with the settings of the new store. */
  readonly settings: string
  readonly environment: Record<string, string | undefined>
  readonly allowDamage: boolean
  readonly dropUploads: boolean
  readonly signal: AbortSignal
  readonly log: Logger
  /** Where the progress is shown. */
  readonly output: Parameters<typeof createProgress>[0]
  say(text: string): void
}

/** Moves the store, and says what to do next. Throws as `migrateStore` and `readTargetSettings`. */
export const runMigration = async (options: RunOptions): Promise<void> => {
  const { from, settings, environment, output, say, ...more } = options
  const to = readTargetSettings(settings, environment)
  const report = await migrateStore({ ...more, from, to, progress: createProgress(output) })
  const place = await describeStore(to)
  say(report ? wordsOf(report, place) : `The store was moved to ${place} before: nothing was left to do.`)
  say(`
The old store in ${from.dataDir} is as it was, and no server starts on it any more. Next: start the server with the
settings of ${settings}; it will verify all blobs in the background. Remove the old store when you are sure.`)
}

/** Lets the old store start again. */
export const runReopening = async (
  config: Config,
  say: (text: string) => void,
  log: Logger,
): Promise<void> => {
  const mark = await reopenStore(config, log)
  if (!mark) return say('This store can be started: it is not being moved, and was not moved elsewhere.')
  say(
    mark.state === 'leaving'
      ? `The migration to ${mark.other} was given up. This store can be started again. What was copied is worth nothing: remove it.`
      : `This store can be started again. So can the one it was moved to, ${mark.other}: never let both work, they are the ` +
          'same store to their clients. What was stored there since is not here.',
  )
}

const wordsOf = ({ blobs, bytes, damaged, rows, tables, uploads }: MigrateReport, place: string): string =>
  [
    ...[...tables].map(
      ([name, table]) =>
        `  ${name.padEnd(16)} ${String(table.rows).padStart(10)} rows  sha256 ${table.sha256.slice(0, 32)}`,
    ),
    '',
    `Moved ${blobs} blobs with ${bytes} bytes, each compared with its digest, ${rows} rows, equal at both ends, and ${uploads} ` +
      `unfinished uploads to ${place}.`,
    ...(damaged.length > 0
      ? [`${damaged.length} blobs are in quarantine there; the same content, uploaded again, heals them.`]
      : []),
  ].join('\n')
