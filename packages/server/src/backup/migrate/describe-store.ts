import { type Config, hasOwnBlobStore } from '../../config.ts'
import { databaseUrlOf, hasOwnServer, placeOf } from '../../db/open-database.ts'

/** Where a store is, in words without secrets. */
export const describeStore = async (config: Config): Promise<string> => {
  const database = hasOwnServer(config) ? `PostgreSQL at ${placeOf(await databaseUrlOf(config))}` : 'SQLite'
  const blobs = hasOwnBlobStore(config) ? config.blobStore : 'files'
  return `${database} and ${blobs} with the data directory ${config.dataDir}`
}
