import { isHoldfastError } from '@holdfast/api/errors'
import { expect, test } from 'vitest'
import { realFiles } from './files.ts'
import { watchFreeSpace } from './free-space.ts'

const watch = (free: number, reserve: number) =>
  watchFreeSpace({ ...realFiles, freeSpace: async () => free }, '/', reserve)
const outcome = (work: Promise<unknown>) =>
  work.then(
    () => 'granted',
    (error) => (isHoldfastError(error) ? error.code : String(error)),
  )

test('claims made at once never add up to more than there is above the reserve', async () => {
  const space = watch(100, 20)
  const outcomes = await Promise.all([30, 30, 30, 20].map((bytes) => outcome(space.claim(bytes))))
  expect(outcomes).toEqual(['granted', 'granted', 'storage_full', 'granted'])
})

test('what was released can be claimed again, what was written only counts once the disk is asked', async () => {
  const space = watch(100, 20)
  const first = await space.claim(60)
  first.written(25)
  expect(await outcome(space.claim(40))).toBe('storage_full')
  first.release()
  first.release()
  expect(await outcome(space.claim(56))).toBe('storage_full')
  expect(await outcome(space.claim(55))).toBe('granted')
})

test('a refusal tells the figures', async () => {
  const space = watch(100, 20)
  await space.claim(50)
  await expect(space.claim(31)).rejects.toMatchObject({
    detail: { free_bytes: 100, claimed_bytes: 50, needed_bytes: 31, reserve_bytes: 20 },
  })
  await expect(watch(19, 20).requireReserve()).rejects.toMatchObject({ code: 'storage_full' })
})
