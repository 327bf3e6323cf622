/**
 * Unfinished uploads, and the secrets of a store: the files of a data directory that are neither blobs nor metadata. Uploads are
 * copied as far as their clients were answered for, so that those go on where they were.
 */
import { realFiles } from '../../blobs/files.ts'
import { dataPaths } from '../../blobs/paths.ts'
import { encodeRecord, readBootId } from '../../blobs/upload-state.ts'
import { writeWhole } from '../../blobs/whole-file.ts'
import type { Config } from '../../config.ts'
import type { Row } from '../../db/schema.ts'
import {
  formerSystemKey,
  readSharedSecret,
  sharedSecret,
  systemKeyName,
  tokenKeyName,
} from '../../domain/secrets.ts'
import type { Parts } from '../../parts.ts'
import { isSharedStore } from '../../store-node.ts'
import { BackupError } from '../format.ts'
import { copyDurably } from '../place-file.ts'
import type { Target } from './open-target.ts'
import { pagesOf } from './table-pages.ts'

const giveUpWords = 'Let them end, or leave them behind with --drop-uploads: their clients begin anew.'

/** Throws unless the bytes of all uploads are in the old data directory, and the new one's node will be theirs. */
export const requireOwnUploads = async (source: Parts, { nodeName }: Config): Promise<void> => {
  for await (const page of pagesOf(source.db.read, 'uploads'))
    for (const { uuid, node } of page as unknown as Row<'uploads'>[]) {
      if (node !== nodeName)
        throw new BackupError(
          `there are unfinished uploads of the node ${node}, and HOLDFAST_NODE_NAME of the new place is ${nodeName}. ` +
            giveUpWords,
        )
      if (!(await source.uploadFiles.status(uuid)))
        throw new BackupError(
          `the unfinished upload ${uuid} is not in ${source.config.dataDir}. ${giveUpWords}`,
        )
    }
}

export interface CopiedUpload {
  readonly uuid: string
  readonly size: number
}

/** Copies the files of all uploads. May be repeated. */
export const copyUploads = async (
  source: Parts,
  dataDir: string,
  signal: AbortSignal,
): Promise<readonly CopiedUpload[]> => {
  const from = dataPaths(source.config.dataDir)
  const to = dataPaths(dataDir)
  await realFiles.makeDirectory(to.uploads)
  const copied: CopiedUpload[] = []
  for await (const page of pagesOf(source.db.read, 'uploads'))
    for (const { uuid } of page as unknown as Row<'uploads'>[]) {
      const status = await source.uploadFiles.status(uuid)
      if (!status) throw new BackupError(`the unfinished upload ${uuid} has gone meanwhile`)
      const { size, lastDataAt } = status
      await copyDurably(from.uploadData(uuid), to.uploadData(uuid), { size, signal })
      await realFiles.syncDirectory(to.uploads)
      // All of it is on stable storage here.
      const record = encodeRecord({ size, durableSize: size, lastDataAt, bootId: readBootId() })
      await writeWhole(to.uploadState(uuid), record)
      copied.push({ uuid, size })
    }
  return copied
}

/** Carries the keys, as files or in SQL, wherever the new place has them: tokens and the administrator's key stay good. */
export const copySecrets = async (source: Parts, { config, db }: Target): Promise<void> => {
  const { dataDir } = source.config
  const tokenKey = Buffer.from(source.tokenKey)
  // Nobody has asked for it where the settings name it.
  const systemKey = source.nodes.isShared
    ? await readSharedSecret(source.db, systemKeyName)
    : await formerSystemKey(dataDir)
  if (isSharedStore(config)) {
    await sharedSecret(db, tokenKeyName, tokenKey.toString('base64url'))
    if (systemKey !== undefined) await sharedSecret(db, systemKeyName, systemKey)
    return
  }
  const to = dataPaths(config.dataDir)
  await writeWhole(to.tokenKey, tokenKey)
  if (systemKey !== undefined) await writeWhole(to.systemKey, Buffer.from(`${systemKey}\n`))
}
