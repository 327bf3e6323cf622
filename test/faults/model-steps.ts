/**
 * The steps of the model suite: each sends one request, compares the reply with what the world says, and changes the
 * world.
 */
import { artifactSteps } from './model-artifact-steps.ts'
import { at, type Do, expectEqual, keyOf, metadataKeys, nowhere, type Step, settled } from './model-stage.ts'
import { uploadSteps } from './model-upload-steps.ts'
import { expectBlob, expectLists, expectNamespace } from './model-views.ts'
import { digestOf, type Refusal, system } from './model-world.ts'

const otherSteps = {
  showBlob: async (stage, actor, { a }) => {
    const content = at(stage.contents, a)!
    await expectBlob(stage, actor, content)
  },

  readBlob: async (stage, actor, { a, b, c }) => {
    const content = at(stage.contents, a)!
    const [offset, limit] = [b % (content.length + 3), c % 4]
    const uuid = stage.world.uuids.get(content) ?? nowhere
    const answer = await stage.ask(actor, 'GET', `/blobs/${uuid}/data?offset=${offset}&limit=${limit}`)
    const sees = stage.world.findBlob(actor, content)
    if (!settled('read a blob', answer, sees ? undefined : 'blob_not_found')) return
    const wanted = content.slice(offset, limit === 0 ? undefined : offset + limit)
    expectEqual('bytes', answer.bytes.toString(), wanted)
  },

  lookUp: async (stage, actor, { a, b }) => {
    const content = at(stage.contents, a)!
    const digest = digestOf(content)
    const answer = await stage.ask(
      actor,
      'GET',
      `/blob_checksums/sha512/${b % 2 === 0 ? digest : digest.toUpperCase()}`,
    )
    settled('look a digest up', answer, undefined)
    const blob = stage.world.findBlob(actor, content)
    expectEqual(`what ${actor} finds by digest`, answer.json?.uuid, blob?.uuid)
    if (blob) stage.world.lease(actor, blob)
  },

  setBlobMetadata: async (stage, actor, { a, c, d }) => {
    const { world } = stage
    const content = at(stage.contents, a)!
    const key = at(metadataKeys, c)!
    const uuid = world.uuids.get(content) ?? nowhere
    const isDeletion = d % 4 === 0
    const answer = isDeletion
      ? await stage.ask(actor, 'DELETE', `/blobs/${uuid}/metadata/${encodeURIComponent(key)}`)
      : await stage.ask(actor, 'POST', `/blobs/${uuid}/metadata`, { json: { key, value: d } })
    const blob = world.findBlob(actor, content)
    if (!settled("change a blob's metadata", answer, blob ? undefined : 'blob_not_found') || !blob) return
    for (const [name, namespace] of world.namespaces) {
      const notes = namespace.blobMetadata.get(blob) ?? new Map<string, unknown>()
      if (isDeletion && world.mayAct(actor, name)) notes.delete(key)
      if (!isDeletion && name === actor) notes.set(key, d)
      namespace.blobMetadata.set(blob, notes)
    }
  },

  changeTrust: async (stage, actor, { a, b, c }) => {
    const { world } = stage
    const namespace = at(stage.namespaces, a)!
    const external = b % 7 === 0 ? 'nobody at all' : at(stage.namespaces, b)!
    const isRemoval = c % 3 === 0
    const path = `/auth/namespaces/${encodeURIComponent(namespace)}/trust`
    const answer = isRemoval
      ? await stage.ask(actor, 'DELETE', `${path}/${encodeURIComponent(external)}`)
      : await stage.ask(actor, 'POST', path, { json: { external_namespace: external } })
    const reaches = world.reachesNamespace(actor, namespace)
    if (!settled('change a trust', answer, reaches ? undefined : 'namespace_not_found')) return
    const { trusts } = world.namespaces.get(namespace)!
    if (isRemoval) trusts.delete(external)
    else if (external !== namespace && external !== system) trusts.add(external)
    expectNamespace(stage, namespace, answer)
  },

  showNamespace: async (stage, actor, { a }) => {
    const namespace = at(stage.namespaces, a)!
    const answer = await stage.ask(actor, 'GET', `/auth/namespaces/${encodeURIComponent(namespace)}`)
    const reaches = stage.world.reachesNamespace(actor, namespace)
    if (settled('show a namespace', answer, reaches ? undefined : 'namespace_not_found'))
      expectNamespace(stage, namespace, answer)
  },

  setNamespaceMetadata: async (stage, actor, { a, c, d }) => {
    const namespace = at(stage.namespaces, a)!
    const key = at(metadataKeys, c)!
    const answer = await stage.ask(
      actor,
      'PUT',
      `/auth/namespaces/${encodeURIComponent(namespace)}/metadata/${encodeURIComponent(key)}`,
      { json: { value: d } },
    )
    const reaches = stage.world.reachesNamespace(actor, namespace)
    if (settled("set a namespace's metadata", answer, reaches ? undefined : 'namespace_not_found'))
      stage.world.namespaces.get(namespace)!.metadata.set(key, d)
  },

  deleteNamespace: async (stage, actor, { a, b }) => {
    const { world } = stage
    const namespace = at(stage.namespaces, a)!
    const by = b % 2 === 0 ? system : actor
    const answer = await stage.ask(by, 'DELETE', `/auth/namespaces/${encodeURIComponent(namespace)}`)
    let refusal: Refusal
    if (by !== system) refusal = 'system_only'
    else if (namespace === system) refusal = 'namespace_protected'
    else if (!world.namespaces.get(namespace)!.isLive) refusal = 'namespace_not_found'
    if (settled('delete a namespace', answer, refusal)) world.deleteNamespace(namespace)
  },

  createNamespace: async (stage, actor, { a, b }) => {
    const { world } = stage
    const dead = stage.namespaces.filter((name) => !world.namespaces.get(name)!.isLive)
    const namespace = at(dead, a) ?? at(stage.namespaces, a)!
    const by = b % 4 === 0 ? actor : system
    const answer = await stage.ask(by, 'POST', '/auth/namespaces', {
      json: { namespace, key_name: 'first', key: keyOf(namespace) },
    })
    let refusal: Refusal
    if (by !== system) refusal = 'system_only'
    else if (world.namespaces.get(namespace)!.isLive) refusal = 'namespace_exists'
    if (!settled('create a namespace', answer, refusal)) return
    world.createNamespace(namespace)
    await stage.renew(namespace)
  },

  lists: async (stage, actor) => expectLists(stage, actor),

  /** Time passes: sometimes only a little, sometimes beyond a lifetime or all of them. */
  pass: async (stage, _, { a }) => {
    await stage.pass(at([10, 50, 70, 70, 130, 600, 1500, 3700], a)!)
  },
} satisfies Record<string, Do>

export const steps = { ...uploadSteps, ...artifactSteps, ...otherSteps } satisfies Record<string, Do>

export type PlannedStep = Step & { readonly kind: keyof typeof steps }
