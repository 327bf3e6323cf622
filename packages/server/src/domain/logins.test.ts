import { expect, test } from 'vitest'
import { RecentKeys, Turns } from './logins.ts'

test('recent keys are remembered for a minute, by namespace and key', () => {
  const recent = new RecentKeys()
  recent.remember('a', 'right', { keyName: 'first', nonce: 'n1' }, 0)
  expect(recent.find('a', 'right', 59_999)).toMatchObject({ keyName: 'first', nonce: 'n1' })
  expect(recent.find('a', 'right', 60_000)).toBeUndefined()
  expect(recent.find('a', 'wrong', 0)).toBeUndefined()
  expect(recent.find('b', 'right', 0)).toBeUndefined()
})

test('what is remembered holds no key, and is bounded', () => {
  const recent = new RecentKeys()
  recent.remember('a', 'the first key', { keyName: 'k', nonce: 'n' }, 0)
  for (let n = 0; n < 999; n += 1) recent.remember('b', `key ${n}`, { keyName: 'k', nonce: 'n' }, 0)
  expect(recent.find('a', 'the first key', 0)).toBeDefined()
  recent.remember('b', 'one more', { keyName: 'k', nonce: 'n' }, 0)
  expect(recent.find('a', 'the first key', 0)).toBeUndefined()
})

test('turns: so many run, so many wait in order, the rest is refused, and a failure frees the place', async () => {
  const turns = new Turns(2, 2)
  const log: string[] = []
  const gates = new Map<string, PromiseWithResolvers<void>>()
  const start = (name: string) =>
    turns.run(async () => {
      log.push(name)
      const gate = Promise.withResolvers<void>()
      gates.set(name, gate)
      await gate.promise
      return name
    })
  const a = start('a')
  const b = start('b')
  const c = start('c')
  const d = start('d')
  await expect(start('e')).rejects.toMatchObject({ code: 'too_many_requests' })
  expect(log).toEqual(['a', 'b'])
  gates.get('b')!.reject(new Error('broken'))
  await expect(b).rejects.toThrow('broken')
  gates.get('a')!.resolve()
  expect(await a).toBe('a')
  while (log.length < 4) await new Promise((resolve) => setImmediate(resolve))
  expect(log).toEqual(['a', 'b', 'c', 'd'])
  gates.get('c')!.resolve()
  gates.get('d')!.resolve()
  expect(await Promise.all([c, d])).toEqual(['c', 'd'])
  expect(await turns.run(async () => 'free')).toBe('free')
})
