import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { blobRow } from '../db/test-dialects.ts'
import { callerOf, createTestParts, type TestParts } from '../test-parts.ts'
import { deleteArtifact } from './artifacts.ts'
import { showBlob } from './blobs.ts'
import { listBlobEvents, recordEvent } from './events.ts'
import { authenticate, listKeys, setKey } from './keys.ts'
import { leaseBlob } from './leases.ts'
import { setMetadata, showMetadata } from './metadata.ts'
import {
  createNamespace,
  deleteNamespace,
  ensureSystem,
  listNamespaces,
  showNamespace,
} from './namespaces.ts'
import { verifyToken } from './tokens.ts'
import { addTrust, removeTrust } from './trusts.ts'
import { createUpload, listUploads } from './uploads.ts'
import { addVersion } from './versions.ts'
import { findArtifact } from './visibility.ts'

const system = callerOf('system')
let parts: TestParts

beforeAll(async () => {
  parts = await createTestParts()
  await ensureSystem(parts)
})
afterAll(() => parts[Symbol.asyncDispose]())

let count = 0
/** A fresh namespace without keys. */
const create = async (): Promise<ReturnType<typeof callerOf>> => {
  count += 1
  await createNamespace(parts, system, `tenant ${count}`)
  return callerOf(`tenant ${count}`)
}
const refused = (code: string) => expect.objectContaining({ code })
const namesFor = async (caller: typeof system) =>
  (await listNamespaces(parts, caller)).map((view) => view.name)

describe('creating', () => {
  test('with a key, without one, and what one sees then', async () => {
    expect(await createNamespace(parts, system, 'Größe 1', { keyName: 'first', key: 'secret' })).toEqual({
      name: 'Größe 1',
      state: 'created',
      metadata: {},
      version: 5,
      keys: ['first'],
      trust: { full: ['system'] },
    })
    expect(await createNamespace(parts, system, 'keyless')).toMatchObject({ keys: [] })
    expect(await showNamespace(parts, callerOf('keyless'), 'keyless')).toMatchObject({ name: 'keyless' })
  })

  test('only by system, only once', async () => {
    const one = await create()
    await expect(createNamespace(parts, one, 'mine')).rejects.toEqual(refused('system_only'))
    await expect(createNamespace(parts, system, one.namespace)).rejects.toEqual(refused('namespace_exists'))
    await expect(createNamespace(parts, system, 'system')).rejects.toEqual(refused('namespace_exists'))
    await expect(createNamespace(parts, one, 'system')).rejects.toEqual(refused('system_only'))
    const both = await Promise.allSettled([
      createNamespace(parts, system, 'twin'),
      createNamespace(parts, system, 'twin'),
    ])
    expect(both.map((outcome) => outcome.status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  test.each(['', 'a/b', '/', 'new\nline', 'nul\0', '\u007f', '.', '..', 'x'.repeat(65), '\ud800'])(
    'the name %j is refused',
    async (name) => {
      const before = await namesFor(system)
      await expect(createNamespace(parts, system, name)).rejects.toEqual(refused('namespace_illegal'))
      expect(await namesFor(system)).toEqual(before)
    },
  )

  test('names may be 64 characters long, whatever they are', async () => {
    const name = '\u{1F600}'.repeat(64)
    expect((await createNamespace(parts, system, name)).name).toBe(name)
  })

  test('with an illegal key name creates nothing', async () => {
    const key = { keyName: '_service_key', key: 'k' }
    await expect(createNamespace(parts, system, 'never', key)).rejects.toEqual(refused('key_name_illegal'))
    expect(await namesFor(system)).not.toContain('never')
  })
})

test('lists: the own and trusting ones by name; all for system', async () => {
  const one = await create()
  const two = await create()
  const three = await create()
  await addTrust(parts, three, three.namespace, one.namespace)
  expect(await namesFor(one)).toEqual([one.namespace, three.namespace])
  expect(await namesFor(two)).toEqual([two.namespace])
  const all = await namesFor(system)
  expect(all).toEqual(expect.arrayContaining(['system', one.namespace, two.namespace, three.namespace]))
  const views = await listNamespaces(parts, system)
  expect(views.find((view) => view.name === three.namespace)?.trust.full).toEqual(['system', one.namespace])
  expect(views.find((view) => view.name === 'system')?.keys).toEqual(['bootstrap'])
})

describe('trusts', () => {
  const trustOf = async (caller: typeof system) =>
    (await showNamespace(parts, system, caller.namespace)).trust.full

  test('open a namespace to another, one way, and close again', async () => {
    const one = await create()
    const two = await create()
    expect((await addTrust(parts, one, one.namespace, two.namespace)).trust.full).toEqual([
      'system',
      two.namespace,
    ])
    expect(await showNamespace(parts, two, one.namespace)).toMatchObject({ name: one.namespace })
    await expect(showNamespace(parts, one, two.namespace)).rejects.toEqual(refused('namespace_not_found'))
    expect((await removeTrust(parts, one, one.namespace, two.namespace)).trust.full).toEqual(['system'])
    await expect(showNamespace(parts, two, one.namespace)).rejects.toEqual(refused('namespace_not_found'))
  })

  test('system, oneself, what is there already, and what is not: nothing changes', async () => {
    const one = await create()
    const events = async () =>
      (
        await parts.db.read
          .selectFrom('events')
          .select('message')
          .where('object_type', '=', 'namespace')
          .where('object_uuid', '=', one.namespace)
          .execute()
      ).map((event) => event.message)
    await addTrust(parts, one, one.namespace, 'system')
    await addTrust(parts, one, one.namespace, one.namespace)
    await removeTrust(parts, one, one.namespace, 'system')
    await removeTrust(parts, one, one.namespace, 'missing')
    expect(await trustOf(one)).toEqual(['system'])
    expect(await events()).toEqual(['create namespace'])
    await addTrust(parts, one, one.namespace, 'other')
    await addTrust(parts, one, one.namespace, 'other')
    expect(await trustOf(one)).toEqual(['system', 'other'])
    expect(await events()).toEqual(['create namespace', 'add trust'])
  })

  test('tell nothing about foreign namespaces: unknown, foreign and deleted ones look alike', async () => {
    const one = await create()
    const foreign = await create()
    const gone = await create()
    await deleteNamespace(parts, system, gone.namespace)
    for (const name of ['nobody at all', foreign.namespace, gone.namespace])
      expect((await addTrust(parts, one, one.namespace, name)).trust.full).toContain(name)
    await expect(addTrust(parts, one, one.namespace, 'a/b')).rejects.toEqual(refused('namespace_illegal'))
  })

  test('only within reach', async () => {
    const one = await create()
    const thief = await create()
    for (const change of [addTrust, removeTrust])
      for (const name of [one.namespace, 'unknown', 'system'])
        await expect(change(parts, thief, name, thief.namespace)).rejects.toEqual(
          refused('namespace_not_found'),
        )
    expect(await trustOf(one)).toEqual(['system'])
  })
})

describe('deleting', () => {
  test('only by system, never system, only what is there', async () => {
    const one = await create()
    await expect(deleteNamespace(parts, one, one.namespace)).rejects.toEqual(refused('system_only'))
    await expect(deleteNamespace(parts, system, 'system')).rejects.toEqual(refused('namespace_protected'))
    await expect(deleteNamespace(parts, system, 'unknown')).rejects.toEqual(refused('namespace_not_found'))
    await deleteNamespace(parts, system, one.namespace)
    await expect(deleteNamespace(parts, system, one.namespace)).rejects.toEqual(
      refused('namespace_not_found'),
    )
    expect(await namesFor(system)).not.toContain(one.namespace)
  })

  describe('and making anew', () => {
    let one: typeof system
    let friend: typeof system
    let artifact: string
    const blob = () => `b0000000-0000-4000-8000-0000000000${count + 10}`

    beforeEach(async () => {
      one = await create()
      friend = await create()
      await setKey(parts, one, one.namespace, { keyName: 'first', key: 'secret' }, 'add or replace')
      await addTrust(parts, one, one.namespace, friend.namespace)
      await addTrust(parts, friend, friend.namespace, one.namespace)
      await setMetadata(parts, one, { type: 'namespace', ref: one.namespace }, 'k', 1)
      await createUpload(parts, one)
      artifact = await parts.db.write(async (trx) => {
        await trx
          .insertInto('blobs')
          .values(blobRow(blob(), { created_at: parts.clock.now() }))
          .execute()
        const added = await addVersion(trx, parts, one, {
          identity: { namespace: one.namespace, type: 'image', sourceUrl: 'u', name: 'disk' },
          blobUuid: blob(),
        })
        await leaseBlob(trx, parts, blob(), one.namespace)
        await recordEvent(trx, parts, {
          objectType: 'blob',
          objectUuid: blob(),
          namespace: one.namespace,
          type: 'usage',
          message: 'used by the first life',
        })
        return added.artifact.uuid
      })
      await setMetadata(parts, one, { type: 'blob', ref: blob() }, 'note', 'of the first life')
      await deleteNamespace(parts, system, one.namespace)
    })

    test('leaves nothing to log in with, and no upload', async () => {
      await expect(
        authenticate(parts, { namespace: one.namespace, key: 'secret' }, '192.0.2.1'),
      ).rejects.toEqual(refused('namespace_not_found'))
      expect(await parts.db.read.selectFrom('uploads').selectAll().execute()).toEqual([])
      expect(await parts.uploadFiles.list()).toEqual([])
      expect(await findArtifact(parts.db.read, system, artifact, 'read')).toMatchObject({
        state: 'deleted',
      })
      expect((await showNamespace(parts, friend, friend.namespace)).trust.full).toEqual(['system'])
    })

    test('hides what it shared', async () => {
      await parts.db.write((trx) => trx.updateTable('artifacts').set({ shared: 1 }).execute())
      await expect(findArtifact(parts.db.read, friend, artifact, 'read')).rejects.toEqual(
        refused('artifact_not_found'),
      )
    })

    test('inherits nothing, even when the clock has not moved', async () => {
      await createNamespace(parts, system, one.namespace)
      expect(await showNamespace(parts, one, one.namespace)).toEqual({
        name: one.namespace,
        state: 'created',
        metadata: {},
        version: 5,
        keys: [],
        trust: { full: ['system'] },
      })
      expect(await namesFor(one)).toEqual([one.namespace])
      expect(await namesFor(friend)).toEqual([friend.namespace])
      expect(await listUploads(parts, one)).toEqual([])
      for (const ref of [artifact, 'disk'])
        await expect(findArtifact(parts.db.read, one, ref, 'read')).rejects.toEqual(
          refused('artifact_not_found'),
        )
      await expect(showBlob(parts, one, blob())).rejects.toEqual(refused('blob_not_found'))
    })

    test('shows nothing of what the first life did with a blob that both have', async () => {
      await createNamespace(parts, system, one.namespace)
      parts.clock.advance(1)
      await parts.db.write((trx) => leaseBlob(trx, parts, blob(), one.namespace))
      expect(await showMetadata(parts, one, { type: 'blob', ref: blob() })).toEqual({})
      expect((await listBlobEvents(parts, one, blob(), { limit: 10 })).items).toEqual([])
      await setMetadata(parts, one, { type: 'blob', ref: blob() }, 'note', 'of the second life')
      expect((await showBlob(parts, one, blob())).metadata).toEqual({ note: 'of the second life' })
      expect((await listBlobEvents(parts, one, blob(), { limit: 10 })).items).toHaveLength(1)
      expect((await listBlobEvents(parts, system, blob(), { limit: 10 })).items.length).toBeGreaterThan(2)
    })

    test('shows what the second life deletes until it ends', async () => {
      await createNamespace(parts, system, one.namespace)
      parts.clock.advance(1)
      const uuid = await parts.db.write(async (trx) => {
        const identity = { namespace: one.namespace, type: 'image', sourceUrl: 'u', name: 'disk' } as const
        return (await addVersion(trx, parts, one, { identity, blobUuid: blob() })).artifact.uuid
      })
      await deleteArtifact(parts, one, uuid)
      expect(await findArtifact(parts.db.read, one, uuid, 'read')).toMatchObject({ state: 'deleted' })
      await deleteNamespace(parts, system, one.namespace)
      await expect(findArtifact(parts.db.read, one, uuid, 'read')).rejects.toEqual(
        refused('artifact_not_found'),
      )
    })
  })
})

describe('the namespace system at the start', () => {
  test('gets a key of its own making, the same at every start, and its tokens live on', async () => {
    await using own = await createTestParts()
    const key = await ensureSystem(own)
    expect((await readFile(join(own.config.dataDir, 'system.key'), 'utf8')).trim()).toBe(key)
    const token = await authenticate(own, { namespace: 'system', key }, '192.0.2.1')
    expect(await ensureSystem(own)).toBe(key)
    expect(await verifyToken(own, `Bearer ${token}`, 'r')).toMatchObject({
      namespace: 'system',
      keyName: 'bootstrap',
    })
  })

  test('takes the key of the settings, and replaces it when they change', async () => {
    await using own = await createTestParts()
    const start = (systemKey: string) => ensureSystem({ ...own, config: { ...own.config, systemKey } })
    const login = (key: string) => authenticate(own, { namespace: 'system', key }, '192.0.2.1')
    expect(await start('chosen one')).toBe('chosen one')
    await setKey(own, system, 'system', { keyName: 'mine', key: 'my own' }, 'add or replace')
    const token = await login('chosen one')
    expect(await start('chosen two')).toBe('chosen two')
    await expect(login('chosen one')).rejects.toEqual(refused('wrong_key'))
    await expect(verifyToken(own, `Bearer ${token}`, 'r')).rejects.toEqual(refused('token_revoked'))
    await login('chosen two')
    await login('my own')
    expect(await listKeys(own, system, 'system')).toEqual(['bootstrap', 'mine'])
    await rm(join(own.config.dataDir, 'system.key'), { force: true })
  })
})
