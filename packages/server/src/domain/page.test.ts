import { expect, test } from 'vitest'
import { decodeCursor, encodeCursor, makePage } from './page.ts'

test('a cursor leads back to its position', () => {
  const cursor = encodeCursor('by name', ['größe/1', 5])
  expect(cursor).toMatch(/^[\w-]+$/)
  expect(decodeCursor('by name', cursor, ['string', 'number'])).toEqual(['größe/1', 5])
})

test.each([
  ['another order', encodeCursor('by time', ['a', 5])],
  ['too short', encodeCursor('by name', ['a'])],
  ['too long', encodeCursor('by name', ['a', 5, 5])],
  ['another type', encodeCursor('by name', [5, 'a'])],
  ['no list', Buffer.from('{"0":"by name"}').toString('base64url')],
  ['null', Buffer.from('null').toString('base64url')],
  ['no JSON', Buffer.from('by name').toString('base64url')],
  ['a fraction', encodeCursor('by name', ['a', 1.5])],
  ['beyond whole numbers', encodeCursor('by name', ['a', 2 ** 53])],
  ['NUL', encodeCursor('by name', ['a\0', 5])],
  ['half a character', encodeCursor('by name', ['\ud800', 5])],
  ['empty', ''],
  ['garbage', '%00\u{1F600}'],
])('a cursor from elsewhere is refused: %s', (_what, cursor) => {
  expect(() => decodeCursor('by name', cursor, ['string', 'number'])).toThrow(
    expect.objectContaining({ code: 'cursor_invalid' }),
  )
})

test('a page tells of the next one only if there is one', () => {
  const page = makePage('n', [1, 2, 3], 2, (n) => [n])
  expect(page.items).toEqual([1, 2])
  expect(decodeCursor('n', page.next!, ['number'])).toEqual([2])
  expect(makePage('n', [1, 2], 2, (n) => [n])).toEqual({ items: [1, 2] })
  expect(makePage('n', [], 2, () => [])).toEqual({ items: [] })
  expect(makePage('n', [1], 0, (n) => [n])).toEqual({ items: [] })
})
