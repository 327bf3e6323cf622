import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { isHoldfastError } from '@holdfast/api/errors'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Caller } from '../parts.ts'
import { callerOf, type TestParts } from '../test-parts.ts'
import { deleteArtifact } from './artifacts.ts'
import { makeNamespaces, refer, storeBlob } from './blob-fixture.ts'
import { convert } from './convert.ts'
import { updateLabel } from './labels.ts'
import { append, refusal, setUp, snapshot, upload } from './upload-fixture.ts'
import { createUpload, deleteUpload, truncateUpload } from './uploads.ts'
import { setLimits, showUsage } from './usage.ts'

const system = callerOf('system')
let parts: TestParts
let counter = 0

beforeAll(async () => {
  parts = await setUp({ namespaceMaxBytes: 100, namespaceMaxArtifacts: 3, namespaceMaxUploads: 6 })
})
afterAll(() => parts[Symbol.asyncDispose]())

/** Somebody of a new namespace. */
const newcomer = async (): Promise<Caller> => {
  const name = `tenant-${++counter}`
  await makeNamespaces(parts, name)
  return callerOf(name)
}
const usage = (caller: Caller) => showUsage(parts, caller, caller.namespace)
const refusals = (work: readonly Promise<unknown>[]) => Promise.all(work.map(refusal))
const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i))
const bytes = (size: number) => Buffer.alloc(size, ++counter)
/** A body that is not over before `end` resolves. */
async function* hanging(part: Uint8Array, end: Promise<unknown>): AsyncGenerator<Uint8Array> {
  yield part
  await end
}

test('of many appends at once as many are admitted as fit, announced or not', async () => {
  for (const length of [20, undefined]) {
    const caller = await newcomer()
    const uuids = await Promise.all(times(6, () => upload(parts, caller, '')))
    const outcomes = await refusals(
      uuids.map((uuid) => append(parts, caller, uuid, bytes(20), length === undefined ? {} : { length })),
    )
    expect(outcomes.filter((outcome) => outcome === 'none')).toHaveLength(5)
    expect(outcomes).toContain('quota_exceeded')
    expect(await usage(caller)).toMatchObject({ bytes: 100, upload_bytes: 100, blob_bytes: 0, uploads: 6 })
  }
})

test('a refusal tells the figures and what is left of the upload, and changes nothing', async () => {
  const caller = await newcomer()
  const uuid = await upload(parts, caller, bytes(70))
  const before = await snapshot(parts)
  const error = await append(parts, caller, uuid, bytes(31), { length: 31 }).catch((error: unknown) => error)
  expect(isHoldfastError(error, 'quota_exceeded') && error.detail).toEqual({
    resource: 'bytes',
    limit: 100,
    used: 70,
    asked: 31,
    offset: 70,
  })
  expect(await refusal(createUpload(parts, caller, { size: 31 }))).toBe('quota_exceeded')
  expect(await snapshot(parts)).toEqual(before)
  expect(await append(parts, caller, uuid, bytes(30), { length: 30 })).toEqual({ size: 100 })
})

test('what was given back can be used at once', async () => {
  const caller = await newcomer()
  const first = await upload(parts, caller, bytes(100))
  const second = await upload(parts, caller, '')
  const more = () => refusal(append(parts, caller, second, bytes(60), { length: 60 }))
  expect(await more()).toBe('quota_exceeded')
  await truncateUpload(parts, caller, first, 30)
  expect(await more()).toBe('none')
  const artifact = await convert(parts, caller, { name: 'a', uploadUuid: second })
  expect(await more()).toBe('upload_not_found')
  await deleteUpload(parts, caller, first)
  const third = await upload(parts, caller, bytes(40))
  expect(await refusal(append(parts, caller, third, 'x', { length: 1 }))).toBe('quota_exceeded')
  await deleteArtifact(parts, caller, artifact.uuid)
  expect(await usage(caller)).toMatchObject({ bytes: 40, artifacts: 0 })
  expect(await refusal(append(parts, caller, third, bytes(60), { length: 60 }))).toBe('none')
})

test('an append that is cut gives back what it had asked for', async () => {
  const caller = await newcomer()
  const uuid = await upload(parts, caller, '')
  expect(await refusal(append(parts, caller, uuid, bytes(10), { length: 90 }))).toBe('body_incomplete')
  expect(await refusal(append(parts, caller, uuid, bytes(100), { length: 100 }))).toBe('none')
})

test('a piece that is sent again while its first copy hangs counts once', async () => {
  const caller = await newcomer()
  const uuid = await upload(parts, caller, '')
  let end = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const hangs = refusal(append(parts, caller, uuid, hanging(bytes(50), ended), { offset: 0, length: 80 }))
  await sleep(20)
  // Between the two nothing else fits.
  expect(await refusal(createUpload(parts, caller, { size: 21 }))).toBe('quota_exceeded')
  // There is room for it, so that it gets as far as ending the first copy, which keeps what had come.
  const again = append(parts, caller, uuid, bytes(80), { offset: 0, length: 80 })
  expect(await refusal(again)).toBe('offset_mismatch')
  expect(await hangs).toBe('upload_busy')
  end()
  expect(await append(parts, caller, uuid, bytes(30), { offset: 50, length: 30 })).toEqual({ size: 80 })
  expect(await usage(caller)).toMatchObject({ bytes: 80 })
})

test('a blob counts once, however many versions and labels hold it, and whoever stored it', async () => {
  const caller = await newcomer()
  const { uuid: blobUuid } = await storeBlob(
    parts,
    Buffer.from('what many share: sixty bytes long '.padEnd(60)),
  )
  await refer(parts, 'system', 'shared', blobUuid, true)
  const label = (name: string) => updateLabel(parts, caller, { name }, { blobUuid })
  expect(await refusals([label('one'), label('two')])).toEqual(['none', 'none'])
  expect(await usage(caller)).toMatchObject({ bytes: 60, blob_bytes: 60, artifacts: 2 })
  await upload(parts, caller, bytes(40))
  // The namespace is full, but this costs it nothing.
  expect(await refusal(convert(parts, caller, { name: 'three', blobUuid }))).toBe('none')
  const { uuid: other } = await storeBlob(parts, Buffer.from('another one'))
  await refer(parts, 'system', 'shared too', other, true)
  expect(await refusal(updateLabel(parts, caller, { name: 'one' }, { blobUuid: other }))).toBe(
    'quota_exceeded',
  )
  expect(await refusal(convert(parts, caller, { name: 'one', blobUuid: other }))).toBe('quota_exceeded')
})

test('another namespace’s upload needs room where it goes', async () => {
  const caller = await newcomer()
  const uuid = await upload(parts, system, bytes(101))
  const wish = { name: 'x', uploadUuid: uuid, namespace: caller.namespace }
  expect(await refusal(convert(parts, system, wish))).toBe('quota_exceeded')
  await truncateUpload(parts, system, uuid, 100)
  expect(await refusal(convert(parts, system, wish))).toBe('none')
})

test('artifacts and uploads made at once never pass their limits', async () => {
  const caller = await newcomer()
  const uploads = await refusals(times(10, () => createUpload(parts, caller)))
  expect(uploads.filter((outcome) => outcome === 'none')).toHaveLength(6)
  const { uuid: blobUuid } = await storeBlob(parts, bytes(3))
  await refer(parts, 'system', `for ${caller.namespace}`, blobUuid, true)
  const labels = await refusals(
    times(10, (index) => updateLabel(parts, caller, { name: `label ${index}` }, { blobUuid })),
  )
  expect(labels.filter((outcome) => outcome === 'none')).toHaveLength(3)
  expect(new Set(labels)).toEqual(new Set(['none', 'quota_exceeded']))
  expect(await usage(caller)).toMatchObject({ artifacts: 3, uploads: 6 })
})

test('system has the limits that were set for it, not the defaults, and sets those of others', async () => {
  expect((await usage(system)).limits).toEqual({ max_bytes: 0, max_artifacts: 0, max_uploads: 0 })
  const caller = await newcomer()
  const limits = { max_bytes: 10, max_artifacts: 0, max_uploads: null }
  expect(await refusal(setLimits(parts, caller, caller.namespace, limits))).toBe('system_only')
  const set = await setLimits(parts, system, caller.namespace, limits)
  expect(set.limits).toEqual({ max_bytes: 10, max_artifacts: 0, max_uploads: 6 })
  expect(await refusal(upload(parts, caller, bytes(11)))).toBe('quota_exceeded')
  await setLimits(parts, system, caller.namespace, { ...limits, max_bytes: 0 })
  const uuid = await upload(parts, caller, bytes(500))
  await setLimits(parts, system, caller.namespace, { ...limits, max_bytes: 501 })
  expect(await refusals(times(3, () => append(parts, caller, uuid, 'x', { length: 1 })))).toContain('none')
  expect(await usage(caller)).toMatchObject({ bytes: 501 })
})

test('the bytes of very many versions are counted aside, with the same result', async () => {
  const caller = await newcomer()
  const { namespace } = caller
  const { uuid, size } = await storeBlob(parts, Buffer.from('held by a thousand artifacts'))
  const created_at = parts.clock.now()
  const artifacts = times(1100, (index) => ({
    uuid: randomUUID(),
    namespace,
    name: `artifact ${index}`,
    type: 'other' as const,
    source_url: `test://${index}`,
    state: 'created' as const,
    shared: 0 as const,
    max_versions: 3,
    next_index: 2,
    created_at,
    deleted_at: null,
    error: null,
  }))
  await parts.db.write(async (trx) => {
    await trx.insertInto('artifacts').values(artifacts).execute()
    const versions = artifacts.map(({ uuid: artifact_uuid }) => ({
      artifact_uuid,
      idx: 1,
      blob_uuid: uuid,
      created_at,
      live: 1 as const,
    }))
    await trx.insertInto('versions').values(versions).execute()
  })
  expect(await usage(caller)).toMatchObject({ artifacts: 1100, blob_bytes: size })
  expect(await refusal(upload(parts, caller, bytes(101 - size)))).toBe('quota_exceeded')
})

/** What one of several clients of a namespace may do, all at the same time. */
const deed = fc.oneof(
  fc.record({
    what: fc.constantFrom('append', 'append at', 'append chunks', 'append half' as const),
    which: fc.nat(3),
    size: fc.integer({ min: 1, max: 60 }),
  }),
  fc.record({
    what: fc.constantFrom('truncate', 'convert', 'label', 'delete artifact', 'delete upload' as const),
    which: fc.nat(3),
    size: fc.constant(0),
  }),
)

test('whatever many clients do at once, the namespace stays within its limit and gets all of it', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(deed, { minLength: 2, maxLength: 8 }), { maxLength: 4 }),
      async (rounds) => {
        const caller = await newcomer()
        await setLimits(parts, system, caller.namespace, { max_bytes: 100, max_artifacts: 0, max_uploads: 0 })
        const foreign = await storeBlob(parts, Buffer.from(`foreign to ${caller.namespace} `.padEnd(45)))
        await refer(parts, 'system', `for ${caller.namespace}`, foreign.uuid, true)
        for (const round of rounds) {
          const uuids = await Promise.all(times(4, () => upload(parts, caller, '')))
          const content = bytes(60)
          await Promise.all(
            round.map(async ({ what, which, size }) => {
              const uuid = uuids[which]!
              const name = `artifact ${which}`
              const part = content.subarray(0, size)
              const doIt = async (): Promise<unknown> => {
                if (what === 'append') return append(parts, caller, uuid, part, { length: size })
                if (what === 'append at')
                  return append(parts, caller, uuid, part, { offset: 0, length: size })
                if (what === 'append chunks') return append(parts, caller, uuid, part)
                if (what === 'append half') return append(parts, caller, uuid, part, { length: size + 30 })
                if (what === 'truncate') return truncateUpload(parts, caller, uuid, 0)
                if (what === 'convert') return convert(parts, caller, { name, uploadUuid: uuid })
                if (what === 'label') return updateLabel(parts, caller, { name }, { blobUuid: foreign.uuid })
                if (what === 'delete artifact') return deleteArtifact(parts, caller, name)
                return deleteUpload(parts, caller, uuid)
              }
              // Refusals are part of it; anything else than a refusal is not.
              await doIt().catch((error) => {
                if (!isHoldfastError(error) || error.status >= 508 || error.code === 'internal') throw error
              })
            }),
          )
          expect((await usage(caller)).bytes).toBeLessThanOrEqual(100)
        }
        // No hold is left behind: exactly what is free is admitted, and not a byte more.
        const free = 100 - (await usage(caller)).bytes
        const rest = await upload(parts, caller, '')
        expect(await refusal(append(parts, caller, rest, bytes(free + 1), { length: free + 1 }))).toBe(
          'quota_exceeded',
        )
        if (free > 0)
          expect(await refusal(append(parts, caller, rest, bytes(free), { length: free }))).toBe('none')
      },
    ),
    { numRuns: 15 },
  )
})
