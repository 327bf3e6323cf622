import { expect, test } from 'vitest'
import { SharedClock } from './shared-clock.ts'

test('the quickest of the last answers counts, and the clock does not go back', () => {
  const clock = new SharedClock()
  const now = performance.now()
  const base = 1_000_000_000
  clock.observe(base, now - 50, now + 50)
  expect(Math.abs(clock.now() - base)).toBeLessThan(1000)
  // A quicker answer that is a little earlier: the time stands still until it has come.
  const before = clock.now()
  clock.observe(base - 40, now - 1, now + 1)
  expect(clock.now()).toBeGreaterThanOrEqual(before)
  // The clock of the database was set, forward and then far back: both are followed.
  clock.observe(base + 3_600_000, now - 1, now + 1)
  expect(clock.now()).toBeGreaterThanOrEqual(base + 3_600_000)
  clock.observe(base, now - 1, now + 1)
  expect(clock.now()).toBeLessThan(base + 60_000)
})
