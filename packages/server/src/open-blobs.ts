/**
 * The blob store that the settings name, and whether it is the right one.
 *
 * With blobs in S3, what is in the database refers to what is in the bucket: with another bucket every blob would be taken for
 * lost, and with none for the blobs of a data directory. So the place in the bucket has an id, in the object
 * `store.json`, and the database remembers it.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { readSetting, writeSetting } from './backup/store-settings.ts'
import type { BlobStore } from './blobs/blob-store.ts'
import { createBlockReader } from './blobs/block-reader.ts'
import { openDiskStore } from './blobs/disk-store.ts'
import { realFiles } from './blobs/files.ts'
import type { PartSender } from './blobs/s3/part-sender.ts'
import type { S3Connection, S3Settings } from './blobs/s3/s3-connection.ts'
import { isFromStore, storeAway } from './blobs/s3/s3-errors.ts'
import type { UploadAhead } from './blobs/upload-file.ts'
import { type Config, ConfigError, hasOwnBlobStore } from './config.ts'
import type { Database } from './db/database.ts'

/** Database and blob store do not belong together; nothing was changed. */
export class WrongBlobStoreError extends Error {
  override readonly name = 'WrongBlobStoreError'
}

/** The blob store cannot be used, in words for the operator. */
export class BlobStoreStartError extends Error {
  override readonly name = 'BlobStoreStartError'
}

export interface OpenBlobs {
  readonly blobs: BlobStore
  readonly ahead?: UploadAhead
  /** Makes a blob of a local file's first `size` bytes and leaves the file alone; where blobs are kept elsewhere. */
  readonly send?: PartSender['complete']
  /** Bytes of the largest blob that it takes. */
  readonly maxSize: number
  close(): void
}

/** The setting that has the id of the place in the bucket. */
export const blobStoreSetting = 'blob-store'
/** Longer than services that are started together differ. */
const startPatienceMs = 30_000
const startPauseMs = 1000

/** Opens it. Throws `ConfigError`, `BlobStoreStartError`, `WrongBlobStoreError`. */
export const openBlobs = async (config: Config, db: Database, log: Logger): Promise<OpenBlobs> => {
  if (hasOwnBlobStore(config)) return openS3Blobs(config, db, log)
  if ((await readSetting(db.read, blobStoreSetting)) !== undefined)
    throw new WrongBlobStoreError(
      'The blobs of this store are in S3, but HOLDFAST_BLOB_STORE names no bucket. Set it as before, or check ' +
        'HOLDFAST_DATA_DIR. Nothing was changed.',
    )
  const onCrash = (error: Error) =>
    log.error({ err: error }, 'a thread that reads blocks died; its blocks are read without it')
  const blocks = createBlockReader(undefined, onCrash)
  return {
    blobs: await openDiskStore(config.dataDir, realFiles, blocks),
    maxSize: Number.MAX_SAFE_INTEGER,
    close: () => void blocks.close(),
  }
}

const openS3Blobs = async (config: Config, db: Database, log: Logger): Promise<OpenBlobs> => {
  const settings = s3SettingsOf(config)
  const { prefix } = settings
  const [{ openS3 }, { openS3Store }, { maxObjectSize }] = await Promise.all([
    import('./blobs/s3/s3-connection.ts'),
    import('./blobs/s3/s3-store.ts'),
    import('./blobs/s3/part-sizes.ts'),
  ])
  const connection = await openS3(settings)
  const warn = ({ error, ...facts }: Record<string, unknown>, message: string) =>
    // S3's own errors drag whole replies along.
    log.warn({ ...facts, err: isFromStore(error) ? storeAway(error) : error }, message)
  try {
    return await whenStoreAnswers(config, log, async () => {
      await bindBlobStore(connection, prefix, db)
      const store = await openS3Store({ connection, prefix, warn: (message, facts) => warn(facts, message) })
      const close = () => {
        store.parts.close()
        connection.close()
      }
      const send: PartSender['complete'] = (uuid, path, size, expected) =>
        store.parts.complete(uuid, path, size, expected).catch((error) => {
          throw isFromStore(error) ? storeAway(error) : error
        })
      return { blobs: store, ahead: store.ahead, send, maxSize: maxObjectSize, close }
    })
  } catch (error) {
    connection.close()
    throw error
  }
}

/** Tries again for a while when the store does not answer: it may be starting as well. `open` may run more than once. */
export const whenStoreAnswers = async <T>(
  config: Config,
  log: Logger,
  open: () => Promise<T>,
): Promise<T> => {
  const deadline = performance.now() + startPatienceMs
  for (;;) {
    try {
      return await open()
    } catch (error) {
      if (error instanceof WrongBlobStoreError || !hasOwnBlobStore(config)) throw error
      // Refusals do not pass: a wrong key, a bucket that is not there.
      const mayPass = (error as { code?: unknown }).code === 'blob_store_unavailable'
      if (!mayPass && !isFromStore(error)) throw error
      if (!mayPass || performance.now() > deadline)
        throw new BlobStoreStartError(
          `The blob store ${config.blobStore} cannot be used: ${wordsOf(error)}`,
          {
            cause: error,
          },
        )
      log.warn({ err: error }, 'the blob store does not answer yet')
      await delay(startPauseMs)
    }
  }
}

const wordsOf = (error: unknown): string => {
  const { name, message, cause } = error as Error
  if (cause instanceof Error) return wordsOf(cause)
  return name === 'Error' || message.startsWith(name) ? message : `${name}: ${message}`
}

/** Makes the two belong together at the first start, and from then on throws `WrongBlobStoreError` unless they do. */
const bindBlobStore = async (connection: S3Connection, prefix: string, db: Database): Promise<void> => {
  const { readMarker, writeMarker } = await import('./blobs/s3/s3-marker.ts')
  const place = `s3://${connection.bucket}/${prefix}`
  // In this order: another node may be making both at this moment, the database's first.
  const found = await readMarker(connection, prefix)
  const wanted = await readSetting(db.read, blobStoreSetting)
  if (found !== undefined && found === wanted) return
  if (found !== undefined)
    throw new WrongBlobStoreError(
      `${place} holds the blobs of another store. Check HOLDFAST_BLOB_STORE, HOLDFAST_DATA_DIR and ` +
        'HOLDFAST_DATABASE_URL. Nothing was changed.',
    )
  // A start that was cut short leaves an id without its object: harmless while there are no blobs.
  if ((await db.read.selectFrom('blobs').select('uuid').limit(1).execute()).length > 0)
    throw new WrongBlobStoreError(
      wanted === undefined
        ? 'The blobs of this store are in its data directory, but HOLDFAST_BLOB_STORE names a bucket. Remove that ' +
            'setting, or give this server a new data directory. Nothing was changed.'
        : `${place} holds no store, and not the blobs that the database knows of. Check HOLDFAST_BLOB_STORE. ` +
            'Nothing was changed.',
    )
  const id = await db.write(async (trx) => {
    const first = (await readSetting(trx, blobStoreSetting)) ?? randomUUID()
    await writeSetting(trx, blobStoreSetting, first)
    return first
  })
  await writeMarker(connection, prefix, id)
  // Two stores may have come to the same empty place at once: one of them is told so here.
  return bindBlobStore(connection, prefix, db)
}

/** The settings of the S3 store, or what is wrong with them. */
export const s3SettingsOf = (config: Config): S3Settings => {
  const [, bucket = '', path = ''] =
    /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(config.blobStore) ?? []
  if (bucket === '')
    throw new ConfigError(`HOLDFAST_BLOB_STORE is not of the form s3://bucket/prefix: ${config.blobStore}`)
  const prefix = path.replace(/\/+$/, '')
  if (prefix !== '' && !/^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/.test(prefix))
    throw new ConfigError(
      `HOLDFAST_BLOB_STORE has a prefix with other than letters, digits, dots, dashes: ${path}`,
    )
  return {
    bucket,
    prefix: prefix && `${prefix}/`,
    endpoint: config.s3Endpoint || undefined,
    region: config.s3Region,
    pathStyle: config.s3Addressing === 'path' || (config.s3Addressing === 'auto' && config.s3Endpoint !== ''),
    timeoutMs: config.s3Timeout * 1000,
    patienceMs: config.s3Patience * 1000,
    connections: Math.max(1, config.s3Connections),
  }
}
