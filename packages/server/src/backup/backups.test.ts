import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { refusal } from '../domain/upload-fixture.ts'
import { callerOf, createTestParts } from '../test-parts.ts'
import { showBackup, startBackup } from './backups.ts'

const system = callerOf('system')

test('without a place, or with one that is part of the store, there are no backups', async () => {
  await using parts = await createTestParts()
  const start = (backupDir: string) =>
    refusal(startBackup({ ...parts, config: { ...parts.config, backupDir } }, system, 'daily'))
  const { dataDir } = parts.config
  await symlink(dataDir, join(dataDir, 'alias'))
  await mkdir(join(dataDir, 'blobs', '00'))
  await mkdir(join(dataDir, 'backups'))
  for (const path of [
    '',
    dataDir,
    join(dataDir, 'alias'),
    join(dataDir, 'blobs', '00'),
    '/nowhere',
    '/dev/null',
  ])
    expect(await start(path), path).toBe('backup_impossible')
  // Only the jobs are missing, by which a running server does its work.
  expect(await start(join(dataDir, 'backups'))).toBe('unavailable')
  expect(await showBackup(parts, system)).toBeNull()
})
