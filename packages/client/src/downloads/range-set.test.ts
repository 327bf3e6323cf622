import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RangeSet } from './range-set.ts'

const size = 64
const someRanges = fc.array(
  fc.tuple(fc.integer({ min: 0, max: size }), fc.integer({ min: 0, max: size })).map(([a, b]) => {
    return [Math.min(a, b), Math.max(a, b)] as const
  }),
)

/** The same, byte by byte. */
const bytesOf = (ranges: Iterable<readonly [number, number]>): boolean[] => {
  const bytes = Array<boolean>(size).fill(false)
  for (const [start, end] of ranges) bytes.fill(true, start, end)
  return bytes
}

describe('RangeSet', () => {
  it('holds exactly the bytes that were added, in sorted ranges with room between them', () => {
    fc.assert(
      fc.property(someRanges, (ranges) => {
        const set = new RangeSet(ranges)
        expect(bytesOf(set.ranges)).toEqual(bytesOf(ranges))
        expect(set.total).toBe(bytesOf(ranges).filter(Boolean).length)
        const ends = set.ranges.flat()
        expect(ends).toEqual([...new Set(ends)].sort((a, b) => a - b))
      }),
    )
  })

  it('names the gaps: all that is missing, nothing that is there, in order and in pieces', () => {
    fc.assert(
      fc.property(someRanges, fc.integer({ min: 1, max: size }), (ranges, piece) => {
        const gaps = new RangeSet(ranges).gaps(size, piece)
        expect(bytesOf(gaps)).toEqual(bytesOf(ranges).map((there) => !there))
        for (const [start, end] of gaps) expect(end - start).toBeLessThanOrEqual(piece)
        for (const [start, end] of gaps) expect(end).toBeGreaterThan(start)
        expect(gaps.map(([start]) => start)).toEqual(gaps.map(([start]) => start).sort((a, b) => a - b))
      }),
    )
  })

  it('knows its front, and can forget the rest', () => {
    fc.assert(
      fc.property(someRanges, (ranges) => {
        const set = new RangeSet(ranges)
        const bytes = [...bytesOf(ranges), false]
        expect(set.front).toBe(bytes.indexOf(false))
        set.keepFront()
        expect(set.total).toBe(set.front)
      }),
    )
  })
})
