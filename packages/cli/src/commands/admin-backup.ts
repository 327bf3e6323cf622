/** `holdfast admin backup` and `holdfast admin check`: work of the server that this side only begins and watches. */
import { setTimeout as sleep } from 'node:timers/promises'
import { HoldfastError } from '@holdfast/client'
import type { Command } from 'commander'
import { action, define } from '../command.ts'
import type { Context } from '../context.ts'
import { UserError } from '../failures.ts'
import { type Backup, backupText, type Check, checkText, progressText } from '../output/admin-backup.ts'
import { json } from '../output/json.ts'

const pollMs = 250
const noteEveryMs = 5000

interface Task {
  readonly state: 'running' | 'done' | 'failed'
  readonly started_at: number
}

/** Asks again and again how far it is, until it has ended. It goes on when nobody asks any more. */
const waitFor = async <T extends Task>(
  context: Context,
  begun: T,
  show: () => Promise<T | null>,
  progress: (task: T) => string,
): Promise<T> => {
  let task = begun
  let notedAt = performance.now()
  while (task.state === 'running') {
    await sleep(pollMs, undefined, { signal: context.signal })
    const now = await show()
    if (now?.started_at !== begun.started_at)
      throw new UserError('the server was started anew meanwhile; ask again')
    task = now
    if (task.state !== 'running' || performance.now() - notedAt < noteEveryMs) continue
    notedAt = performance.now()
    context.note(progress(task))
  }
  return task
}

const printBackup = (context: Context, backup: Backup): void => {
  context.print(context.shape === 'json' ? json(backup) : backupText(backup, context.shape))
}

const goesOn =
  'It goes on in the server when this command is interrupted; without a name, the command shows how far.'

export const fillBackup = (parent: Command): void => {
  define(parent, 'backup [dir]', {
    description: 'Make or renew a backup while the server runs; without a name, show the newest one.',
    examples: ['admin backup daily', 'admin backup'],
    more:
      'The directory is one below the HOLDFAST_BACKUP_DIR of the server. What was acknowledged before is in the backup;\n' +
      'unfinished uploads are not. To bring it back: `holdfast-server restore`, where the server is.\n' +
      `${goesOn}\nExit code 6: the store had no good bytes of some blobs, so the backup has none either.`,
  }).action(
    action(async (context, name: string | undefined) => {
      const client = await context.client()
      if (name === undefined) {
        const backup = await client.call('showBackup')
        if (backup) return printBackup(context, backup)
        return context.print(context.shape === 'json' ? json(null) : 'There is no backup yet.')
      }
      const begun = await client.call('startBackup', { body: { name } })
      const backup = await waitFor(context, begun, () => client.call('showBackup'), progressText)
      if (backup.state === 'failed') throw new UserError(`the backup failed: ${backup.error}`)
      printBackup(context, backup)
      if (backup.damaged_blobs === 0) return
      const message = `the backup has no good bytes of ${backup.damaged_blobs} blobs, because the store has none`
      throw new HoldfastError('blob_damaged', { message })
    }),
  )
  define(parent, 'check', {
    description: 'Compare metadata and files both ways, and repair what can be repaired.',
    examples: ['admin check', 'admin check --repair'],
    more:
      'It compares names and sizes; `holdfast admin verify --all` reads the bytes. No repair deletes a last good copy.\n' +
      'Exit code 6: faults were found, or could not be repaired. With a stopped server: `holdfast-server check --offline`.',
  })
    .option('--repair', 'repair what can be repaired')
    .action(
      action(async (context, { repair = false }: { repair?: boolean }) => {
        const client = await context.client()
        const begun = await client.call('startCheck', { body: { repair } })
        const check: Check = await waitFor(
          context,
          begun,
          () => client.call('showCheck'),
          ({ checked_blobs, checked_files }) => `checked ${checked_blobs} blobs and ${checked_files} files`,
        )
        if (check.state === 'failed') throw new UserError(`the check failed: ${check.error}`)
        context.print(context.shape === 'json' ? json(check) : checkText(check, context.shape))
        const left = check.found - check.repaired
        if (left === 0) return
        const message = `faults ${repair ? 'that were not repaired' : 'found'}: ${left}`
        throw new HoldfastError('blob_damaged', { message })
      }),
    )
}
