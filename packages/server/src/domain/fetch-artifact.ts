/**
 * Fetching an artifact from a URL in the background.
 */
import type { Parts } from '../parts.ts'

/**
 * Runs the fetches that are due, a few at once, and resolves when none is due any more. The scheduler calls it again
 * and again; calls while one runs join it. Aborting `signal` stops downloads where they are: they continue later.
 */
export const runFetches = async (_parts: Parts, _signal: AbortSignal): Promise<void> => {
  throw new Error('to be written')
}
