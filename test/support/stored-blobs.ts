/** The stored bytes of blobs, behind the server's back: files of its data directory, or objects with TEST_S3_URL. */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openTestS3 } from './s3.ts'

export type Place = 'blobs' | 'quarantine'

export interface StoredBlobs {
  /** Undefined when nothing is there. */
  read(uuid: string, place?: Place): Promise<Buffer | undefined>
  write(uuid: string, bytes: Buffer, place?: Place): Promise<void>
  remove(uuid: string): Promise<void>
}

/** Those of the server with this data directory. */
export const storedBlobs = (dataDir: string): StoredBlobs => {
  const place = process.env.TEST_S3_URL ? inS3(dataDir) : inFiles(dataDir)
  return {
    read: async (...words) => (await place).read(...words),
    write: async (...words) => (await place).write(...words),
    remove: async (...words) => (await place).remove(...words),
  }
}

const inS3 = async (dataDir: string): Promise<StoredBlobs> => {
  const { client, bucket: Bucket, prefix } = (await openTestS3(dataDir))!
  const keyOf = (uuid: string, place: Place) => `${prefix}/${place}/${uuid}`
  return {
    async read(uuid, place = 'blobs') {
      try {
        const { Body } = await client.getObject({ Bucket, Key: keyOf(uuid, place) })
        return Buffer.from(await Body!.transformToByteArray())
      } catch (error) {
        if ((error as Error).name === 'NoSuchKey') return undefined
        throw error
      }
    },
    async write(uuid, Body, place = 'blobs') {
      await client.putObject({ Bucket, Key: keyOf(uuid, place), Body })
    },
    async remove(uuid) {
      await client.deleteObject({ Bucket, Key: keyOf(uuid, 'blobs') })
    },
  }
}

const inFiles = async (dataDir: string): Promise<StoredBlobs> => {
  const pathOf = (uuid: string, place: Place) =>
    place === 'blobs' ? join(dataDir, place, uuid.slice(0, 2), uuid) : join(dataDir, place, uuid)
  return {
    read: (uuid, place = 'blobs') =>
      readFile(pathOf(uuid, place)).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined
        throw error
      }),
    write: (uuid, bytes, place = 'blobs') => writeFile(pathOf(uuid, place), bytes),
    remove: (uuid) => rm(pathOf(uuid, 'blobs')),
  }
}
