import { blockSize } from '@holdfast/api/limits'
import { expect, test } from 'vitest'
import { maxObjectSize, maxParts, partSize, partStart } from './part-sizes.ts'

const MiB = 1024 * 1024
const TiB = MiB * MiB

test('every part begins where the one before it ends, and is what S3 allows', () => {
  let start = 0
  for (let number = 1; number <= maxParts; number++) {
    const size = partSize(number)
    expect(partStart(number)).toBe(start)
    expect(size).toBeGreaterThanOrEqual(5 * MiB)
    expect(size).toBeLessThanOrEqual(5 * 1024 * MiB)
    expect(size % blockSize).toBe(0)
    expect(size).toBeGreaterThanOrEqual(partSize(Math.max(1, number - 1)))
    start += size
  }
  expect(partStart(maxParts + 1)).toBe(start)
  expect(start).toBeGreaterThan(maxObjectSize)
})

test('1 TiB fits in 10,000 parts, none of them larger than 256 MiB', () => {
  const last = Array.from({ length: maxParts }, (_, i) => i + 1).find((n) => partStart(n + 1) >= TiB)!
  expect(last).toBeLessThanOrEqual(9000)
  expect(partSize(last)).toBeLessThanOrEqual(256 * MiB)
})

test.each([0, -1, 1.5, maxParts + 1])('there is no part %d', (number) => {
  expect(() => partSize(number)).toThrow(RangeError)
})
