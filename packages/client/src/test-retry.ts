/** Pauses of tests: there is a lot to repeat, and nobody is at the other end. */
export const quickRetry = { baseMs: 2, maxMs: 20, patienceMs: 15_000 } as const
