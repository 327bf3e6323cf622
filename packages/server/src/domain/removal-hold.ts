/**
 * Keeps the files of collected blobs on the disk while somebody, a backup, still needs them under their names.
 *
 * A backup copies the database first and takes the blobs that the copy names afterwards. Collection may go on deleting
 * meanwhile, in SQL; only the files wait. Whoever holds goes through the blobs in the order of their UUIDs, so that one
 * UUID says which of them it still needs, however many there are.
 */
import type { Parts } from '../parts.ts'

export interface RemovalHold {
  /** The files up to this UUID, which is later than the ones before, are needed no more. */
  advance(uuid: string): void
  /** None is. May be repeated. */
  release(): void
}

const holds = new WeakMap<Parts['blobs'], Set<{ passed: string }>>()

/** From now on no file of a collected blob is removed, except those whose removal was decided before. */
export const holdRemovals = ({ blobs }: Pick<Parts, 'blobs'>): RemovalHold => {
  const all = holds.get(blobs) ?? new Set()
  holds.set(blobs, all)
  const hold = { passed: '' }
  all.add(hold)
  return {
    advance(uuid) {
      hold.passed = uuid
    },
    release: () => void all.delete(hold),
  }
}

/** Whether nobody needs the file of this collected blob. */
export const mayRemove = ({ blobs }: Pick<Parts, 'blobs'>, uuid: string): boolean => {
  for (const { passed } of holds.get(blobs) ?? []) if (uuid > passed) return false
  return true
}
