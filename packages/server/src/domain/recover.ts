/**
 * What a start finishes or undoes of what a crash left half done.
 */
import type { Parts } from '../parts.ts'

/** Runs once at start, before the first request, in time proportional to what was in flight. */
export const recover = async (_parts: Parts): Promise<void> => {
  throw new Error('to be written')
}
