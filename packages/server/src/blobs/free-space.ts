import { HoldfastError } from '@holdfast/api/errors'
import { errnoOf, type FileOps } from './files.ts'

/** Refuses bytes that would eat into the reserve of free space, also when many are on their way at once. */
export interface FreeSpace {
  /** Throws `storage_full`, with the figures in its detail, unless the reserve is still there. */
  requireReserve(): Promise<void>
  /**
   * Throws `storage_full`, with the figures in its detail, unless `bytes` fit above the reserve, together with all that
   * others have claimed and not written yet. What is claimed stays so until it is written or released.
   */
  claim(bytes: number): Promise<SpaceClaim>
}

/** Bytes that will be written. */
export interface SpaceClaim {
  /** So many of them have been: the filesystem counts them now. More than was claimed does no harm. */
  written(bytes: number): void
  /** The rest will not come. May be repeated. */
  release(): void
}

const maxAgeMs = 1000

/** Asks the filesystem of `directory` at most once a second. */
export const watchFreeSpace = (files: FileOps, directory: string, reserveBytes: number): FreeSpace => {
  let asked: { at: number; free: Promise<number> } | undefined
  /** Claimed and not written when the filesystem was asked last, or since: what was written since then counts still. */
  let claimedSinceAsked = 0
  let claimed = 0

  const freeBytes = (): Promise<number> => {
    if (!asked || performance.now() - asked.at > maxAgeMs) {
      claimedSinceAsked = claimed
      asked = { at: performance.now(), free: files.freeSpace(directory) }
    }
    return asked.free
  }
  const full = (free: number, bytes: number): HoldfastError =>
    new HoldfastError('storage_full', {
      detail: {
        free_bytes: free,
        claimed_bytes: claimedSinceAsked,
        needed_bytes: bytes,
        reserve_bytes: reserveBytes,
      },
    })

  return {
    async requireReserve() {
      const free = await freeBytes()
      if (free < reserveBytes) throw full(free, 0)
    },
    async claim(bytes) {
      const free = await freeBytes()
      // Nothing waits between the comparison and the claim, so two cannot be granted the same space.
      if (free - claimedSinceAsked < bytes + reserveBytes) throw full(free, bytes)
      claimed += bytes
      claimedSinceAsked += bytes
      let left = bytes
      const settle = (count: number) => {
        const settled = Math.min(left, count)
        left -= settled
        claimed -= settled
      }
      return {
        written: settle,
        release() {
          // What was never written is free again at once; what was written shows when the filesystem is asked.
          claimedSinceAsked -= left
          settle(left)
        },
      }
    },
  }
}

/** A full disk or quota becomes `storage_full`; any other error stays what it is. */
export const storageError = (error: unknown): unknown =>
  ['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '')
    ? new HoldfastError('storage_full', { cause: error })
    : error
