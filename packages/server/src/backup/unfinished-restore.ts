/** A data directory to which a backup is being restored, or was in part: nothing may start on it. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Stands in the data directory as long as a restore is not complete. */
export const restoringFile = 'restoring.json'

/** A restore into the data directory did not end. */
export class UnfinishedRestoreError extends Error {
  override readonly name = 'UnfinishedRestoreError'

  constructor(directory: string) {
    super(
      `The restore of a backup to ${directory} was not finished. Repeat it (holdfast-server restore), or take another ` +
        'directory.',
    )
  }
}

/** Throws `UnfinishedRestoreError` if the directory holds a part of a backup. */
export const refuseUnfinishedRestore = (dataDir: string): void => {
  if (existsSync(join(dataDir, restoringFile))) throw new UnfinishedRestoreError(dataDir)
}
