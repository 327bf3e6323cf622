import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ChunkSize, conditionalLimits, plainLimits } from './chunk-size.ts'

const MiB = 1024 * 1024

describe('ChunkSize', () => {
  it('stays within its limits whatever happens', () => {
    const step = fc.option(fc.integer({ min: 0, max: 1_000_000 }), { nil: 'failed' as const })
    fc.assert(
      fc.property(fc.constantFrom(conditionalLimits, plainLimits), fc.array(step), (limits, steps) => {
        const chunk = new ChunkSize(limits)
        for (const ms of steps) {
          if (ms === 'failed') chunk.failed()
          else chunk.succeeded(chunk.bytes, ms)
          expect(chunk.bytes).toBeGreaterThanOrEqual(limits.min)
          expect(chunk.bytes).toBeLessThanOrEqual(limits.max)
          expect(Number.isInteger(chunk.bytes)).toBe(true)
        }
      }),
    )
  })

  it('grows to the largest size on a fast line', () => {
    const chunk = new ChunkSize(conditionalLimits)
    for (let i = 0; i < 3; i++) chunk.succeeded(chunk.bytes, 20)
    expect(chunk.bytes).toBe(64 * MiB)
  })

  it('settles on what the line carries in the target time', () => {
    const chunk = new ChunkSize(conditionalLimits)
    const bytesPerMs = 1000
    for (let i = 0; i < 10; i++) chunk.succeeded(chunk.bytes, chunk.bytes / bytesPerMs)
    expect(chunk.bytes).toBe(bytesPerMs * conditionalLimits.targetMs)
  })

  it('shrinks after a failure', () => {
    const chunk = new ChunkSize(conditionalLimits)
    chunk.failed()
    expect(chunk.bytes).toBe(MiB)
  })

  it('learns nothing from the short end of a file', () => {
    const chunk = new ChunkSize(conditionalLimits)
    chunk.succeeded(10, 1000)
    expect(chunk.bytes).toBe(conditionalLimits.first)
  })
})
