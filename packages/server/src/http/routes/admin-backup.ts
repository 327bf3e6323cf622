/**
 * Routes of backups, and of the check of metadata against files.
 */
import { showBackup, startBackup } from '../../backup/backups.ts'
import { showCheck, startCheck } from '../../backup/check/checks.ts'
import type { Handlers } from '../handlers.ts'

export const adminBackupHandlers = {
  startBackup: (parts, { caller, body }) => startBackup(parts, caller, body.name),
  showBackup: (parts, { caller }) => showBackup(parts, caller),
  startCheck: (parts, { caller, body }) => startCheck(parts, caller, body.repair ?? false),
  showCheck: (parts, { caller }) => showCheck(parts, caller),
} satisfies Pick<Handlers, 'startBackup' | 'showBackup' | 'startCheck' | 'showCheck'>
