import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Parts } from '../parts.ts'
import { callerOf } from '../test-parts.ts'
import { deleteArtifact, deleteVersionOf, showArtifact } from './artifacts.ts'
import { blobRow, refer, storeBlob } from './blob-fixture.ts'
import { listEvents } from './events.ts'
import { refusal, setUp } from './upload-fixture.ts'
import { setMaxVersions } from './versions.ts'

const alice = callerOf('alice')
const bob = callerOf('bob')

const makeBlobs = (parts: Parts, count: number, what = 'blob'): Promise<string[]> =>
  Promise.all(
    Array.from(
      { length: count },
      async (_, at) => (await storeBlob(parts, Buffer.from(`${what} ${at}`))).uuid,
    ),
  )

/** The rules once more, as simply as they can be said. */
class Model {
  versions = new Map<string, Map<number, number>>()
  next = new Map<string, number>()
  max = new Map<string, number>()

  add(name: string, blob: number): void {
    const versions = this.versions.get(name) ?? new Map<number, number>()
    if (!this.versions.has(name)) {
      this.next.set(name, 1)
      this.max.set(name, 3)
    }
    this.versions.set(name, versions)
    if ([...versions].at(-1)?.[1] === blob) return
    const index = this.next.get(name)!
    this.next.set(name, index + 1)
    versions.set(index, blob)
    this.prune(name)
  }

  setMax(name: string, max: number): void {
    if (!this.versions.has(name)) return
    this.max.set(name, max)
    this.prune(name)
  }

  remove(name: string, place: number): number | undefined {
    const versions = this.versions.get(name)
    const index = versions && [...versions.keys()][place % versions.size]
    if (index === undefined) return undefined
    versions!.delete(index)
    if (versions!.size === 0) this.delete(name)
    return index
  }

  delete(name: string): boolean {
    return this.versions.delete(name)
  }

  prune(name: string): void {
    const versions = this.versions.get(name)!
    for (const index of [...versions.keys()].slice(0, -this.max.get(name)!)) versions.delete(index)
  }

  references(blob: number): number {
    return [...this.versions.values()].flatMap((one) => [...one.values()]).filter((b) => b === blob).length
  }
}

const name = fc.constantFrom('a', 'b')
const command = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('add' as const), name, blob: fc.nat(3) }) },
  fc.record({ do: fc.constant('max' as const), name, max: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ do: fc.constant('remove' as const), name, place: fc.nat(5) }),
  fc.record({ do: fc.constant('delete' as const), name }),
)

test('numbers, pruning and references are those of the model', async () => {
  await using parts = await setUp()
  let run = 0
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 25 }), async (commands) => {
      run++
      const nameOf = (step: { name: string }) => `${step.name} of run ${run}`
      const blobs = await makeBlobs(parts, 4, `run ${run}`)
      const model = new Model()
      const everReferenced = new Set<number>()
      for (const step of commands) {
        if (step.do === 'add') {
          await refer(parts, 'alice', nameOf(step), blobs[step.blob]!)
          model.add(step.name, step.blob)
          everReferenced.add(step.blob)
        } else if (step.do === 'max') {
          const wanted = model.versions.has(step.name) ? 'none' : 'artifact_not_found'
          expect(await refusal(setMaxVersions(parts, alice, nameOf(step), step.max))).toBe(wanted)
          model.setMax(step.name, step.max)
        } else if (step.do === 'remove') {
          const index = model.remove(step.name, step.place)
          if (index !== undefined) await deleteVersionOf(parts, alice, nameOf(step), index)
        } else {
          const wanted = model.delete(step.name) ? 'none' : 'artifact_not_found'
          expect(await refusal(deleteArtifact(parts, alice, nameOf(step)))).toBe(wanted)
        }
      }
      for (const one of ['a', 'b']) {
        const wanted = model.versions.get(one)
        if (!wanted) {
          expect(await refusal(showArtifact(parts, alice, nameOf({ name: one })))).toBe('artifact_not_found')
          continue
        }
        const view = await showArtifact(parts, alice, nameOf({ name: one }))
        expect(Object.entries(view.blobs).map(([index, entry]) => [Number(index), entry.uuid])).toEqual(
          [...wanted].map(([index, blob]) => [index, blobs[blob]]),
        )
        expect(view).toMatchObject({
          index: [...wanted.keys()].at(-1),
          blob_uuid: blobs[[...wanted.values()].at(-1)!],
          max_versions: model.max.get(one),
        })
        for (const [index, blob] of wanted)
          expect(view.blobs[index]!.reference_count).toBe(model.references(blob))
      }
      for (const blob of everReferenced) {
        const isReferenced = (await blobRow(parts, blobs[blob]!)).unreferenced_at === null
        expect(isReferenced).toBe(model.references(blob) > 0)
      }
    }),
    { numRuns: 20 },
  )
}, 60_000)

test('pruning tells of each version, and lowering max_versions prunes at once', async () => {
  await using parts = await setUp()
  const blobs = await makeBlobs(parts, 4)
  for (const blob of blobs) await refer(parts, 'alice', 'a', blob)
  await setMaxVersions(parts, alice, 'a', 1)
  const view = await showArtifact(parts, alice, 'a')
  expect([view.max_versions, Object.keys(view.blobs)]).toEqual([1, ['4']])
  const { items } = await listEvents(parts.db.read, {
    objectType: 'artifact',
    objectUuid: view.uuid,
    type: 'prune',
    limit: 10,
  })
  expect(items.map((event) => event.message)).toEqual([
    'pruned version 3',
    'pruned version 2',
    'pruned version 1',
  ])
  await setMaxVersions(parts, alice, 'a')
  expect((await showArtifact(parts, alice, 'a')).max_versions).toBe(3)
  for (const bad of [0, -1, 1.5, Number.NaN, 1e12])
    expect(await refusal(setMaxVersions(parts, alice, 'a', bad))).toBe('max_versions_invalid')
})

test('the last version takes the artifact along; what is deleted or foreign cannot be changed', async () => {
  await using parts = await setUp()
  const [one, two] = (await makeBlobs(parts, 2)) as [string, string]
  await refer(parts, 'alice', 'a', one)
  const { artifact } = await refer(parts, 'alice', 'a', two)
  expect(await refusal(deleteVersionOf(parts, alice, 'a', 3))).toBe('version_not_found')
  expect(await refusal(deleteVersionOf(parts, bob, artifact.uuid, 1))).toBe('artifact_not_found')
  expect(await deleteVersionOf(parts, alice, 'a', 2)).toMatchObject({ index: 1, blob_uuid: one })
  expect(await refusal(deleteVersionOf(parts, alice, 'a', 2))).toBe('version_not_found')
  const gone = await deleteVersionOf(parts, alice, 'a', 1)
  expect(gone).toMatchObject({ state: 'deleted', index: 0, blobs: {} })
  expect(gone).not.toHaveProperty('blob_uuid')
  for (const change of [
    () => deleteVersionOf(parts, alice, artifact.uuid, 1),
    () => setMaxVersions(parts, alice, artifact.uuid, 2),
  ])
    expect(await refusal(change())).toBe('artifact_not_found')
})
