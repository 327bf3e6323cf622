import { isHoldfastError } from '@holdfast/api/errors'
import { beforeEach, describe, expect, test } from 'vitest'
import { type Attempt, GuessLimiter } from './guess-limiter.ts'

const minute = 60_000
let limiter: GuessLimiter
beforeEach(() => {
  limiter = new GuessLimiter()
})

const from = (address: string, namespace = 'a'): Attempt => ({ namespace, address })

/** Seconds to wait; 0 when the attempt is let through. */
const waitOf = (attempt: Attempt, now: number): unknown => {
  try {
    limiter.check(attempt, now)
    return 0
  } catch (error) {
    if (!isHoldfastError(error, 'too_many_attempts')) throw error
    return error.detail?.retry_after
  }
}

const fail = (attempt: Attempt, times: number, now: number) => {
  for (let n = 0; n < times; n += 1) limiter.failed(attempt, now)
}

test('an address has ten guesses at a namespace in five minutes', () => {
  fail(from('192.0.2.1'), 1, 0)
  fail(from('192.0.2.1'), 8, minute)
  expect(waitOf(from('192.0.2.1'), minute)).toBe(0)
  fail(from('192.0.2.1'), 1, minute)
  expect(waitOf(from('192.0.2.1'), minute)).toBe(240)
  expect(waitOf(from('192.0.2.2'), minute)).toBe(0)
  expect(waitOf(from('192.0.2.1', 'b'), minute)).toBe(0)
  expect(waitOf(from('192.0.2.1'), 5 * minute - 1)).toBe(1)
  expect(waitOf(from('192.0.2.1'), 5 * minute)).toBe(0)
})

test('the right key is a fresh start', () => {
  fail(from('192.0.2.1'), 9, 0)
  limiter.succeeded(from('192.0.2.1'))
  fail(from('192.0.2.1'), 9, 0)
  expect(waitOf(from('192.0.2.1'), 0)).toBe(0)
})

describe('a namespace under attack from many addresses', () => {
  beforeEach(() => {
    for (let n = 0; n < 100; n += 1) fail(from(`192.0.2.${n}`), 1, 0)
  })

  test('gives each address one guess, and locks out nobody who made none', () => {
    expect(waitOf(from('192.0.2.7'), 0)).toBe(300)
    expect(waitOf(from('198.51.100.1'), 0)).toBe(0)
    fail(from('198.51.100.1'), 1, minute)
    expect(waitOf(from('198.51.100.1'), minute)).toBe(300)
    expect(waitOf(from('192.0.2.7', 'b'), 0)).toBe(0)
  })

  test('is forgiving again when the attack is over', () => {
    fail(from('198.51.100.1'), 1, minute)
    expect(waitOf(from('198.51.100.1'), 5 * minute)).toBe(0)
  })
})

test('a /64 of IPv6 counts as one address, and IPv4 stays itself when it comes mapped', () => {
  fail(from('2001:db8::1'), 5, 0)
  fail(from('2001:db8:0:0:ffff::2'), 5, 0)
  expect(waitOf(from('2001:db8::3'), 0)).toBe(300)
  expect(waitOf(from('2001:db8:0:1::1'), 0)).toBe(0)
  fail(from('192.0.2.1'), 10, 0)
  expect(waitOf(from('::ffff:192.0.2.1'), 0)).toBe(300)
  expect(waitOf(from('::ffff:192.0.2.2'), 0)).toBe(0)
})

test('a flood of addresses makes it forget the oldest, not grow', () => {
  fail(from('first'), 10, 0)
  for (let n = 0; n < 9_999; n += 1) fail(from(`address ${n}`, 'b'), 1, 0)
  expect(waitOf(from('first'), 0)).toBe(300)
  fail(from('one more', 'b'), 1, 0)
  expect(waitOf(from('first'), 0)).toBe(0)
})
