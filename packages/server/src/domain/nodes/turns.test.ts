import { describe, expect, test } from 'vitest'
import { dialects } from '../../db/test-dialects.ts'
import { createTestParts, type TestParts } from '../../test-parts.ts'
import type { Nodes } from './nodes.ts'
import { fencedBy, TurnLostError, takeTurn } from './turns.ts'

/** The same store as another node sees it. */
const asNode = (parts: TestParts, run: string): TestParts => ({
  ...parts,
  nodes: { ...parts.nodes, isShared: true, run } satisfies Nodes,
})
const note = (parts: TestParts, value: string) =>
  parts.db.write((trx) => trx.insertInto('settings').values({ name: value, value }).execute())
const notes = async ({ db }: TestParts) =>
  (await db.read.selectFrom('settings').select('name').orderBy('name').execute()).map(({ name }) => name)

describe.each(dialects)('turns over $name', (dialect) => {
  test('one has it at a time, and gives it to the next', async () => {
    await using parts = await createTestParts({}, dialect)
    const [a, b] = [asNode(parts, 'a'), asNode(parts, 'b')]
    const taken = await Promise.all([takeTurn(a, 'x', 60_000), takeTurn(b, 'x', 60_000)])
    expect(taken.filter((turn) => turn !== undefined).length).toBe(1)
    expect(await takeTurn(b, 'y', 60_000)).toBeDefined()
    await taken.find((turn) => turn !== undefined)!.release()
    const next = await takeTurn(b, 'x', 60_000)
    expect(next).toBeDefined()
    expect(next!.signal.aborted).toBe(false)
  })

  test('who was silent for too long commits nothing any more', async () => {
    await using parts = await createTestParts({}, dialect)
    const [a, b] = [asNode(parts, 'a'), asNode(parts, 'b')]
    const first = (await takeTurn(a, 'x', 60_000))!
    await note(fencedBy(a, first), '1: in its turn')
    parts.clock.advance(61)
    // Nobody has taken over: time alone decides nothing.
    await note(fencedBy(a, first), '2: late, and still its own')
    const second = (await takeTurn(b, 'x', 60_000))!
    await expect(note(fencedBy(a, first), '3: too late')).rejects.toThrow(TurnLostError)
    await first.release()
    await note(fencedBy(b, second), '4: the next')
    expect(await notes(parts)).toEqual(['1: in its turn', '2: late, and still its own', '4: the next'])
    await second.release()
    await expect(note(fencedBy(b, second), '5: given back')).rejects.toThrow(TurnLostError)
  })
})
