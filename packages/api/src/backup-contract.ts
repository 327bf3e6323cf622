/**
 * The contract of backups and of the check of metadata against files. For the namespace `system` alone; both go on
 * without the request that began them.
 */
import { Type } from 'typebox'
import { BackupView, CheckView } from './backup-schemas.ts'
import type { RouteContract } from './contract.ts'
import type { RouteName } from './paths.ts'
import { Maybe } from './schemas.ts'

export const backupContract = {
  startBackup: {
    summary: 'Begin a backup, or renew one; shows the one of this name that runs already',
    tag: 'administration',
    body: Type.Object({
      name: Type.String({
        description:
          "A directory below the server's HOLDFAST_BACKUP_DIR: letters, digits, dots, dashes and underscores",
      }),
    }),
    invalid: { 'body/name': 'backup_name_invalid' },
    reply: BackupView,
    errors: ['system_only', 'backup_impossible', 'backup_name_invalid', 'backup_running'],
  },
  showBackup: {
    summary: 'The backup that runs, or the newest one; null when there was none',
    tag: 'administration',
    reply: Type.Union([BackupView, Type.Null()]),
    errors: ['system_only'],
  },
  startCheck: {
    summary:
      'Begin to compare metadata and files both ways, optionally with repairs; joins a check that runs',
    tag: 'administration',
    body: Type.Object({ repair: Maybe(Type.Boolean()) }),
    reply: CheckView,
    errors: ['system_only', 'check_running'],
  },
  showCheck: {
    summary: 'The check that runs, or the newest one since the start; null when there was none',
    tag: 'administration',
    reply: Type.Union([CheckView, Type.Null()]),
    errors: ['system_only'],
  },
} as const satisfies Partial<Record<RouteName, RouteContract>>
