import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Parts } from '../parts.ts'
import { callerOf } from '../test-parts.ts'
import { type ArtifactListInput, listArtifacts } from './artifact-list.ts'
import { deleteArtifact, deleteArtifacts, shareArtifact, showArtifact, unshareArtifact } from './artifacts.ts'
import { refer, storeBlob } from './blob-fixture.ts'
import { deleteLabel, showLabel, updateLabel } from './labels.ts'
import { refusal, setUp } from './upload-fixture.ts'
import { listVersions } from './version-list.ts'

const alice = callerOf('alice')
const bob = callerOf('bob')
const system = callerOf('system')
const trust = (parts: Parts, namespace: string, trusted: string) =>
  parts.db.write((trx) => trx.insertInto('trusts').values({ namespace, trusted }).execute())
const make = async (parts: Parts, namespace: string, name: string, shared = false) => {
  const blob = await storeBlob(parts, Buffer.from(randomUUID()))
  return (await refer(parts, namespace, name, blob.uuid, shared)).artifact
}

test('showing adds instances; deleting shows the artifact once more, then nothing', async () => {
  await using parts = await setUp()
  const { uuid } = await make(parts, 'alice', 'a')
  expect((await showArtifact(parts, alice, 'a')).blobs['1']!.instances).toEqual([])
  expect(await refusal(deleteArtifact(parts, bob, uuid))).toBe('artifact_not_found')
  const gone = await deleteArtifact(parts, alice, 'a')
  expect(gone).toMatchObject({ uuid, state: 'deleted', index: 1 })
  expect(gone!.blobs['1']!.reference_count).toBe(0)
  expect(await showArtifact(parts, alice, uuid)).toMatchObject({
    state: 'deleted',
    blob_uuid: gone!.blob_uuid,
  })
  expect(await deleteArtifact(parts, alice, uuid)).toBe(null)
  expect(await refusal(deleteArtifact(parts, alice, 'a'))).toBe('artifact_not_found')
  expect((await make(parts, 'alice', 'a')).uuid).not.toBe(uuid)
})

test('deleting all refuses in the order of the contract, and tells what went', async () => {
  await using parts = await setUp()
  const hers = [await make(parts, 'alice', 'a'), await make(parts, 'alice', 'b')]
  await make(parts, 'bob', 'c')
  for (const [caller, confirm, namespace, code] of [
    [alice, undefined, 'bob', 'confirm_missing'],
    [alice, 'true', undefined, 'confirm_missing'],
    [system, true, undefined, 'namespace_required'],
    [alice, true, 'bob', 'foreign_namespace'],
    [system, true, 'nobody', 'namespace_not_found'],
  ] as const)
    expect(await refusal(deleteArtifacts(parts, caller, { confirm, namespace }))).toBe(code)
  const gone = await deleteArtifacts(parts, alice, { confirm: true, namespace: undefined })
  expect(gone.sort()).toEqual(hers.map((artifact) => artifact.uuid).sort())
  expect(await deleteArtifacts(parts, alice, { confirm: true, namespace: 'alice' })).toEqual([])
  expect(await deleteArtifacts(parts, system, { confirm: true, namespace: 'bob' })).toHaveLength(1)
})

test('sharing is for artifacts of system', async () => {
  await using parts = await setUp()
  const { uuid } = await make(parts, 'system', 'image')
  await make(parts, 'alice', 'hers')
  expect(await refusal(shareArtifact(parts, alice, 'hers'))).toBe('not_shareable')
  expect(await refusal(unshareArtifact(parts, alice, 'hers'))).toBe('not_shared')
  expect(await refusal(shareArtifact(parts, alice, uuid))).toBe('artifact_not_found')
  expect(await shareArtifact(parts, system, 'image')).toMatchObject({ uuid, shared: true })
  expect((await shareArtifact(parts, system, 'image')).shared).toBe(true)
  expect((await showArtifact(parts, alice, 'image')).uuid).toBe(uuid)
  expect(await refusal(unshareArtifact(parts, alice, uuid))).toBe('artifact_not_found')
  expect((await unshareArtifact(parts, system, uuid)).shared).toBe(false)
  expect(await refusal(showArtifact(parts, alice, uuid))).toBe('artifact_not_found')
})

test('lists hold what one may see, in every order, whole and in pages', async () => {
  await using parts = await setUp()
  await trust(parts, 'bob', 'alice')
  const seen: string[] = []
  for (const [namespace, name, shared] of [
    ['alice', 'b', false],
    ['bob', 'ab', false],
    ['system', 'a\u{ffff}', true],
    ['system', 'hidden', false],
    ['alice', 'a\u{1f600}', false],
    ['bob', 'a', false],
  ] as const) {
    parts.clock.advance(1)
    const { uuid } = await make(parts, namespace, name, shared)
    if (name !== 'hidden') seen.push(uuid)
  }
  await make(parts, 'alice', 'gone')
  await deleteArtifact(parts, alice, 'gone')

  const byName = [seen[4]!, seen[1]!, seen[2]!, seen[3]!, seen[0]!]
  for (const [sort, wanted] of [
    [undefined, seen],
    ['-created_at', seen.toReversed()],
    ['name', byName],
    ['-name', byName.toReversed()],
  ] as const) {
    const whole = await listArtifacts(parts, alice, { limit: 100, sort })
    expect(whole.items.map((view) => view.uuid)).toEqual(wanted)
    const paged: string[] = []
    let cursor: string | undefined
    do {
      const page = await listArtifacts(parts, alice, { sort, limit: 2, cursor })
      paged.push(...page.items.map((view) => view.uuid))
      cursor = page.next
    } while (cursor !== undefined)
    expect(paged).toEqual(wanted)
  }
  expect((await listArtifacts(parts, system, { limit: 100 })).items).toHaveLength(6)
  expect((await listArtifacts(parts, bob, { limit: 100 })).items).toHaveLength(3)

  const names = async (filter: Partial<ArtifactListInput>) =>
    (await listArtifacts(parts, alice, { limit: 100, sort: 'name', ...filter })).items.map(
      (view) => view.name,
    )
  expect(await names({ namePrefix: 'a' })).toEqual(['a', 'ab', 'a\u{ffff}', 'a\u{1f600}'])
  expect(await names({ namePrefix: 'a\u{1f600}' })).toEqual(['a\u{1f600}'])
  expect(await names({ namespace: 'bob' })).toEqual(['a', 'ab'])
  expect(await names({ namespace: 'system' })).toEqual(['a\u{ffff}'])
  expect(await names({ namespace: 'nobody' })).toEqual([])
  expect(await names({ type: 'label' })).toEqual([])
  expect(await names({ state: 'deleted' })).toEqual([])
  expect(await names({ createdAfter: 1_700_000_005_000 })).toEqual(['a'])
  expect(await names({ node: 'node-1', namePrefix: 'b' })).toEqual(['b'])
  expect(await names({ node: 'elsewhere' })).toEqual([])
  const { next } = await listArtifacts(parts, alice, { limit: 1 })
  expect(await refusal(listArtifacts(parts, alice, { limit: 1, sort: 'name', cursor: next }))).toBe(
    'cursor_invalid',
  )
})

test('versions are blob views with an index, ascending, also of a deleted artifact', async () => {
  await using parts = await setUp()
  const first = await make(parts, 'alice', 'a')
  await make(parts, 'alice', 'a')
  const { items } = await listVersions(parts, alice, 'a', { limit: 100 })
  expect(items.map((view) => [view.index, view.instances, view.reference_count])).toEqual([
    [1, [], 1],
    [2, [], 1],
  ])
  const page = await listVersions(parts, alice, 'a', { limit: 1 })
  const rest = await listVersions(parts, alice, 'a', { limit: 1, cursor: page.next })
  expect([page.items[0]!.index, rest.items[0]!.index, rest.next]).toEqual([1, 2, undefined])
  expect(await refusal(listVersions(parts, bob, first.uuid, { limit: 100 }))).toBe('artifact_not_found')
  await deleteArtifact(parts, alice, 'a')
  expect((await listVersions(parts, alice, first.uuid, { limit: 100 })).items).toHaveLength(2)
})

test('labels: update, show, delete, in the own namespace and in trusting ones', async () => {
  await using parts = await setUp()
  await trust(parts, 'bob', 'alice')
  const { uuid: blobUuid } = await storeBlob(parts, Buffer.from('one'))
  const { uuid: another } = await storeBlob(parts, Buffer.from('two'))
  await refer(parts, 'alice', 'a', blobUuid)
  await refer(parts, 'alice', 'a', another)
  const label = await updateLabel(parts, alice, { name: 'stable' }, { blobUuid, maxVersions: 1 })
  expect(label).toMatchObject({
    name: 'stable',
    artifact_type: 'label',
    source_url: 'sf://label/alice/stable',
    max_versions: 1,
    index: 1,
    blob_uuid: blobUuid,
  })
  expect(await updateLabel(parts, alice, { name: 'stable' }, { blobUuid })).toEqual(label)
  const moved = await updateLabel(parts, alice, { name: 'stable' }, { blobUuid: another })
  expect([moved.uuid, Object.keys(moved.blobs)]).toEqual([label.uuid, ['2']])

  const theirs = { namespace: 'bob', name: 'stable' }
  expect((await updateLabel(parts, alice, theirs, { blobUuid })).namespace).toBe('bob')
  expect((await showLabel(parts, bob, { name: 'stable' })).blob_uuid).toBe(blobUuid)
  const hers = { namespace: 'alice', name: 'stable' }
  const unknown = { name: 'unknown' }
  for (const [code, work] of [
    ['namespace_not_found', () => updateLabel(parts, bob, hers, { blobUuid })],
    ['blob_not_found', () => updateLabel(parts, alice, unknown, { blobUuid: randomUUID() })],
    ['blob_not_found', () => updateLabel(parts, bob, unknown, { blobUuid: another })],
    ['label_not_found', () => showLabel(parts, bob, hers)],
    ['label_not_found', () => deleteLabel(parts, bob, hers)],
    ['label_not_found', () => showLabel(parts, alice, unknown)],
  ] as const)
    expect(await refusal(work())).toBe(code)
  expect((await deleteLabel(parts, alice, { name: 'stable' })).state).toBe('deleted')
  expect(await refusal(deleteLabel(parts, alice, { name: 'stable' }))).toBe('label_not_found')
})
