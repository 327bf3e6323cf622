import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HoldfastError, NetworkError, RefusedError } from './errors.ts'
import { backoffMs, defaultRetry, Patience, pause, retrying } from './retry.ts'
import type { RetryNotice } from './types.ts'

const policy = { ...defaultRetry, baseMs: 1, maxMs: 4 }
const signal = new AbortController().signal

describe('backoffMs', () => {
  it('is random below a bound that doubles up to the limit', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (failures, random) => {
          const ms = backoffMs(defaultRetry, failures, () => random)
          expect(ms).toBe(random * Math.min(15_000, 250 * 2 ** (failures - 1)))
        },
      ),
    )
  })
})

describe('retrying', () => {
  const run = async (errors: unknown[], mayRepeat: (error: unknown) => boolean) => {
    const notices: RetryNotice[] = []
    let attempts = 0
    const outcome = await retrying(
      { what: 'test', policy, signal, onRetry: (notice) => notices.push(notice) },
      mayRepeat,
      async () => {
        const error = errors[attempts++]
        if (error !== undefined) throw error
        return 'done'
      },
    ).catch((error: unknown) => error)
    return { outcome, attempts, notices }
  }

  it('repeats until it works', async () => {
    const { outcome, attempts, notices } = await run(
      [new NetworkError('a'), new NetworkError('b')],
      () => true,
    )
    expect(outcome).toBe('done')
    expect(attempts).toBe(3)
    expect(notices.map(({ failures, error }) => [failures, error.message])).toEqual([
      [1, 'a'],
      [2, 'b'],
    ])
  })

  it('throws the error that may not be repeated', async () => {
    const error = new HoldfastError('blob_not_found')
    expect(await run([error], () => false)).toMatchObject({ outcome: error, attempts: 1 })
  })

  it('gives up after the allowed attempts', async () => {
    const errors = Array.from({ length: 10 }, () => new NetworkError('down'))
    expect((await run(errors, () => true)).attempts).toBe(policy.attempts)
  })

  it('does not wait for a server that asks for too long a pause', async () => {
    const error = new RefusedError('too_many_attempts', {
      message: 'later',
      requestId: 'r',
      retryAfterMs: 3_600_000,
    })
    expect(await run([error], () => true)).toMatchObject({ outcome: error, attempts: 1 })
  })

  it('waits at least as long as the server asks', async () => {
    const error = new RefusedError('unavailable', { message: 'soon', requestId: 'r', retryAfterMs: 30 })
    const { outcome, notices } = await run([error], () => true)
    expect(outcome).toBe('done')
    expect(notices[0]!.delayMs).toBeGreaterThanOrEqual(30)
  })
})

describe('Patience', () => {
  const make = (patienceMs: number) =>
    new Patience({ what: 'test', policy: { ...policy, patienceMs }, signal, onRetry: undefined })

  it('throws at once what does not pass', async () => {
    const error = new HoldfastError('file_too_large')
    await expect(make(1000).failed(error)).rejects.toBe(error)
  })

  it('gives up when nothing moved for too long, and names the reason', async () => {
    const error = new NetworkError('connection refused')
    const failed = make(-1).failed(error)
    await expect(failed).rejects.toMatchObject({ name: 'NetworkError', cause: error })
    await expect(failed).rejects.toThrow('connection refused')
  })

  it('counts failures from the last progress', async () => {
    const failures: number[] = []
    const patience = new Patience({
      what: 'test',
      policy,
      signal,
      onRetry: (notice) => failures.push(notice.failures),
    })
    await patience.failed(new NetworkError('a'))
    await patience.failed(new NetworkError('b'))
    patience.progressed()
    await patience.failed(new NetworkError('c'))
    expect(failures).toEqual([1, 2, 1])
  })
})

describe('pause', () => {
  it('ends with the reason of the signal', async () => {
    const controller = new AbortController()
    const waiting = pause(60_000, controller.signal)
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await expect(pause(60_000, controller.signal)).rejects.toThrow('enough')
  })
})
