/** PostgreSQL and an S3 server for a store that is measured; both flush what they acknowledge, as they do by themselves. */
import { execFile } from 'node:child_process'
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort } from '../../support/ports.ts'
import { databaseSettings } from '../../support/postgres.ts'
import { blobSettings } from '../../support/s3.ts'

const run = promisify(execFile)
const script = (name: string) => fileURLToPath(new URL(`../../../scripts/${name}`, import.meta.url))

export interface Services {
  /** Settings of a store with its metadata in PostgreSQL. */
  database(dataDir: string): Promise<Record<string, string>>
  /** Settings of a store with its blobs in S3. */
  blobs(dataDir: string): Record<string, string>
  stop(): Promise<void>
}

/** Starts both in this directory. */
export const startServices = async (directory: string): Promise<Services> => {
  // PostgreSQL does not run as root, and has to get there.
  await chmod(directory, 0o755)
  const [postgres, s3] = [join(directory, 'postgres'), join(directory, 's3')]
  await mkdir(postgres)
  const { stdout: postgresUrl } = await run(script('start-postgres.sh'), [postgres, `${await freePort()}`])
  const { stdout: s3Url } = await run(script('start-s3.sh'), ['versitygw', s3, `${await freePort()}`])
  return {
    database: (dataDir) => databaseSettings(dataDir, postgresUrl.trim()),
    blobs: (dataDir) => blobSettings(dataDir, s3Url.trim()),
    async stop() {
      await run(script('start-s3.sh'), ['stop', s3, 'KILL'])
      await run(script('start-postgres.sh'), [postgres, 'stop', 'immediate'])
    },
  }
}
