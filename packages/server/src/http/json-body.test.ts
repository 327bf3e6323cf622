import { HoldfastError } from '@holdfast/api/errors'
import { describe, expect, test } from 'vitest'
import { maxJsonDepth, parseJson } from './json-body.ts'

const parse = (text: string | Uint8Array) => parseJson(Buffer.from(text))
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)

test('JSON is what JSON.parse makes of it', () => {
  for (const value of [{ a: [1, 'x', null, { b: '{[' }] }, [], 7, 'text "with" \\ {[{[', true, null])
    expect(parse(JSON.stringify(value))).toEqual(value)
  expect(parse('\ufeff{"a": "\\ud83d\\ude00"}')).toEqual({ a: '😀' })
})

test('nothing is an empty object', () => {
  expect(parse('')).toEqual({})
  expect(parse(' \r\n')).toEqual({})
})

test('a member called __proto__ is a member', () => {
  const value = parse('{"__proto__": {"polluted": true}}') as object
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
  expect(Object.keys(value)).toEqual(['__proto__'])
})

test('depth is bounded, brackets in text do not count', () => {
  expect(parse(nested(maxJsonDepth))).toHaveLength(1)
  expect(() => parse(nested(maxJsonDepth + 1))).toThrow(HoldfastError)
  expect(() => parse('{"a":'.repeat(1_000_000))).toThrow('nested deeper')
  expect(parse(JSON.stringify(['['.repeat(100), '\\"[['.repeat(100)]))).toHaveLength(2)
  expect(parse(`[${Array(500).fill('[]').join()}]`)).toHaveLength(500)
})

describe('what is refused', () => {
  test.each(['{', '{} {}', '{"a": 1,}', 'undefined', '"\n"', '\u0000', '"\\ud800"', '{"\\udc00": 1}'])(
    '%j',
    (text) => {
      expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'invalid_json' }))
    },
  )

  test('bytes that are not UTF-8', () => {
    expect(() => parse(Uint8Array.of(0x22, 0xff, 0x22))).toThrow('UTF-8')
  })
})
