/**
 * Routes of backups, and of the check of metadata against files.
 */
import type { CheckView } from '@holdfast/api/backup-schemas'
import { HoldfastError } from '@holdfast/api/errors'
import { showBackup, startBackup } from '../../backup/backups.ts'
import { showCheck, startCheck } from '../../backup/check/checks.ts'
import { requireSystem } from '../../domain/visibility.ts'
import type { Parts } from '../../parts.ts'
import { askOthers } from '../ask-node.ts'
import type { Call, Handlers } from '../handlers.ts'

export const adminBackupHandlers = {
  startBackup: (parts, { caller, body }) => startBackup(parts, caller, body.name),
  showBackup: (parts, { caller }) => showBackup(parts, caller),

  async startCheck(parts, call) {
    const repair = call.body.repair ?? false
    const running = (await checksElsewhere(parts, call)).find(({ state }) => state === 'running')
    if (running && running.repair !== repair) throw new HoldfastError('check_running')
    return running ?? startCheck(parts, call.caller, repair)
  },

  async showCheck(parts, call) {
    const all = [await showCheck(parts, call.caller), ...(await checksElsewhere(parts, call))]
    return all.reduce((last, one) => ((one?.started_at ?? 0) > (last?.started_at ?? 0) ? one : last))
  },
} satisfies Pick<Handlers, 'startBackup' | 'showBackup' | 'startCheck' | 'showCheck'>

/** The newest check of each other node that has made one. */
const checksElsewhere = async (
  parts: Parts,
  call: Pick<Call<'showCheck'>, 'caller' | 'headers' | 'address'>,
): Promise<CheckView[]> => {
  requireSystem(call.caller)
  const answers = await askOthers<CheckView | null>(parts, call, '/admin/check')
  return answers.filter((answer) => answer !== null)
}
