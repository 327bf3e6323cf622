import { SomeFailed } from '../failures.ts'

/**
 * Does `work` for every item, a bounded number at a time. One failure does not stop the others, an interruption does:
 * what has not begun then is left out. Throws what failed when all have ended.
 */
export const runAll = async <T>(
  items: readonly T[],
  jobs: number,
  signal: AbortSignal,
  labelOf: (item: T) => string,
  work: (item: T) => Promise<void>,
): Promise<void> => {
  const waiting = items.values()
  const failures: { label: string; error: unknown }[] = []
  const worker = async (): Promise<void> => {
    // The workers share one iterator, so each item is taken once
    for (const item of waiting) {
      if (signal.aborted) {
        failures.push({ label: labelOf(item), error: signal.reason })
        continue
      }
      await work(item).catch((error: unknown) => failures.push({ label: labelOf(item), error }))
    }
  }
  await Promise.all(Array.from({ length: Math.min(jobs, items.length) }, worker))
  if (items.length === 1 && failures.length === 1) throw failures[0]!.error
  if (failures.length > 0) throw new SomeFailed(failures, items.length)
}
