import { HoldfastError } from '@holdfast/api/errors'
import { errnoOf, type FileOps } from './files.ts'

/** Refuses bytes that would eat into the reserve of free space. */
export interface FreeSpace {
  /** Throws `storage_full`, with the figures in its detail, unless `bytes` fit above the reserve. */
  require(bytes: number): Promise<void>
}

const maxAgeMs = 1000

/** Asks the filesystem of `directory` at most once a second. */
export const watchFreeSpace = (files: FileOps, directory: string, reserveBytes: number): FreeSpace => {
  let asked: { at: number; free: Promise<number> } | undefined
  return {
    async require(bytes) {
      if (!asked || performance.now() - asked.at > maxAgeMs)
        asked = { at: performance.now(), free: files.freeSpace(directory) }
      const free = await asked.free
      if (free >= bytes + reserveBytes) return
      throw new HoldfastError('storage_full', {
        detail: { free_bytes: free, needed_bytes: bytes, reserve_bytes: reserveBytes },
      })
    },
  }
}

/** A full disk or quota becomes `storage_full`; any other error stays what it is. */
export const storageError = (error: unknown): unknown =>
  ['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '')
    ? new HoldfastError('storage_full', { cause: error })
    : error
