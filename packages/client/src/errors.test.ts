import { describe, expect, it } from 'vitest'
import {
  errorOfReply,
  HoldfastError,
  isHoldfastError,
  isPassing,
  isUntouched,
  NetworkError,
  parseRetryAfter,
  RefusedError,
  TimeoutError,
  UnexpectedReplyError,
} from './errors.ts'

const reply = (status: number, body: unknown, route: 'showArtifact' | 'authenticate' = 'showArtifact') =>
  errorOfReply({
    route,
    status,
    text: typeof body === 'string' ? body : JSON.stringify(body),
    requestId: 'r-1',
    retryAfter: null,
  })

describe('errorOfReply', () => {
  it('takes the code, the message and the detail of Holdfast', () => {
    const error = reply(409, { error: 'other size', code: 'offset_mismatch', detail: { offset: 7 } })
    expect(error).toBeInstanceOf(RefusedError)
    expect(isHoldfastError(error, 'offset_mismatch')).toBe(true)
    expect(error).toMatchObject({
      message: 'other size',
      detail: { offset: 7 },
      requestId: 'r-1',
      status: 409,
    })
  })

  it.each([
    [404, 'artifact not found', 'artifact_not_found'],
    [404, 'upload not found', 'upload_not_found'],
    [400, 'multiple artifacts have the name "x" in namespace "y"', 'artifact_ambiguous'],
    [403, 'namespace exists', 'namespace_exists'],
    [401, 'unauthorized', 'system_only'],
    [401, 'Missing Authorization Header', 'authorization_missing'],
  ])('knows the words of the original: %i %s', (status, error, code) => {
    expect(reply(status, { error, status })).toMatchObject({ code })
  })

  it('tells a wrong key from a missing right', () => {
    expect(reply(401, { error: 'unauthorized' }, 'authenticate')).toMatchObject({ code: 'wrong_key' })
  })

  it('does not take a message for a code of another status', () => {
    expect(reply(500, { error: 'artifact not found' })).toBeInstanceOf(UnexpectedReplyError)
  })

  it.each([
    ['<html>Bad Gateway</html>'],
    ['null'],
    ['[]'],
    ['{"error": 5}'],
    ['{"code": "from_the_future", "error": "x"}'],
  ])('makes do with %s', (text) => {
    expect(reply(502, text)).toMatchObject({ name: 'UnexpectedReplyError', status: 502, requestId: 'r-1' })
  })
})

describe('what may be tried again', () => {
  it.each([
    [new NetworkError('reset'), true],
    [new TimeoutError('silent'), true],
    [new HoldfastError('unavailable'), true],
    [new HoldfastError('upload_busy'), true],
    [new HoldfastError('blob_damaged'), false],
    [new HoldfastError('storage_full'), false],
    [new HoldfastError('wrong_key'), false],
    [new UnexpectedReplyError(502, 'x', { requestId: '' }), true],
    [new UnexpectedReplyError(418, 'x', { requestId: '' }), false],
    [new TypeError('a bug'), false],
  ])('%s: %s', (error, passing) => {
    expect(isPassing(error)).toBe(passing)
  })

  it('knows which refusals did nothing', () => {
    expect(isUntouched(new HoldfastError('unavailable'))).toBe(true)
    expect(isUntouched(new HoldfastError('internal'))).toBe(false)
    expect(isUntouched(new NetworkError('reset'))).toBe(false)
  })
})

describe('parseRetryAfter', () => {
  it('reads seconds and dates', () => {
    const now = Date.parse('2026-01-01T00:00:00Z')
    expect(parseRetryAfter('7', now)).toBe(7000)
    expect(parseRetryAfter('Thu, 01 Jan 2026 00:00:09 GMT', now)).toBe(9000)
    expect(parseRetryAfter('Wed, 31 Dec 2025 00:00:00 GMT', now)).toBe(0)
    expect(parseRetryAfter('soon', now)).toBeUndefined()
    expect(parseRetryAfter(null, now)).toBeUndefined()
  })
})
