/**
 * The steps of the model suite: each sends one request, compares the reply with what the world says, and changes the
 * world. A step is plain data; its numbers pick among what there is, so that a shrunk sequence still makes sense.
 */
import type { Agent } from 'node:http'
import { isDeepStrictEqual } from 'node:util'
import { type Answer, login, type Session } from '../support/api.ts'
import type { RunningServer } from '../support/server.ts'
import {
  type Artifact,
  digestOf,
  type Identity,
  type Refusal,
  shownArtifact,
  system,
  type Upload,
  viewOf,
  type World,
} from './model-world.ts'

export interface Step {
  readonly kind: keyof typeof steps
  /** Who does it: one of the namespaces. */
  readonly actor: number
  readonly a: number
  readonly b: number
  readonly c: number
  readonly d: number
}

/** A server, and who is logged in there. */
export interface Place {
  readonly server: RunningServer
  readonly sessions: Map<string, Session>
  readonly agent: Agent
}

/** A world beside the server it describes. */
export class Stage {
  readonly world: World
  readonly #place: Place
  /** Contents and names of this sequence only. */
  readonly contents: readonly string[]
  readonly names = ['disk', 'häuser und gärten', 'x']
  /** What was done, for people. */
  readonly log: string[] = []
  /** What ended because its time had come. */
  readonly gone: string[] = []

  constructor(world: World, place: Place, contents: readonly string[]) {
    this.world = world
    this.#place = place
    this.contents = contents
  }

  /** Lets time pass for both; the jobs of the server have run then. */
  async pass(minutes: number): Promise<void> {
    this.log.push(`${minutes} minutes pass`)
    this.world.noteReferences()
    await this.#place.server.jump(minutes * 60_000)
    this.gone.push(...this.world.pass(minutes * 60_000))
  }

  get namespaces(): string[] {
    return [...this.world.namespaces.keys()]
  }

  /** Sends a request in the name of a namespace; a dead one is refused whatever it asks. */
  async ask(actor: string, method: string, target: string, more: object = {}): Promise<Answer> {
    const answer = await this.#place.sessions.get(actor)!.send(method, target, more)
    const text = answer.bytes.toString()
    this.log.push(
      `${actor}: ${method} ${target} ${JSON.stringify(more)} -> ${answer.status} ${text.slice(0, 600)}`,
    )
    return answer
  }

  async renew(namespace: string): Promise<void> {
    const { server, sessions, agent } = this.#place
    sessions.set(namespace, await login(server.url, namespace, keyOf(namespace), agent))
  }
}

export const keyOf = (namespace: string): string => `key of ${namespace}`

/** Throws, with both sides, unless they are equal. */
export const expectEqual = (what: string, found: unknown, wanted: unknown): void => {
  // Through JSON, where a missing field and an undefined one are the same.
  const plain = (value: unknown) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)))
  if (!isDeepStrictEqual(plain(found), plain(wanted)))
    throw new Error(`${what}:\n  found  ${JSON.stringify(found)}\n  wanted ${JSON.stringify(wanted)}`)
}

/** Compares a reply with a refusal or with success; true when it was a success. */
const settled = (what: string, answer: Answer, refusal: Refusal): boolean => {
  const found = answer.status === 200 ? undefined : (answer.json?.code ?? answer.status)
  expectEqual(what, found, refusal)
  return answer.status === 200
}

const at = <T>(list: readonly T[], pick: number): T | undefined => list[pick % Math.max(1, list.length)]
const nowhere = '00000000-0000-4000-8000-000000000000'

/** A UUID or a name: of an artifact, or of nothing. */
const refOf = ({ world, names }: Stage, pick: number, by: number): string => {
  if (by % 3 === 0) return at(names, pick)!
  if (by % 17 === 1) return nowhere
  return at(world.artifacts, pick)?.uuid ?? nowhere
}

const metadataKeys = ['colour', '__proto__', 'ein schlüssel']

type Do = (stage: Stage, actor: string, step: Step) => Promise<void>

/** Steps on an artifact that are refused alike when it cannot be found. */
const onArtifact =
  (
    access: 'read' | 'write' | 'change',
    method: string,
    path: (step: Step) => string,
    body: (step: Step) => unknown,
    refuse: (artifact: Artifact, step: Step, stage: Stage) => Refusal,
    effect: (stage: Stage, actor: string, artifact: Artifact, step: Step, answer: Answer) => void,
  ): Do =>
  async (stage, actor, step) => {
    const ref = refOf(stage, step.a, step.b)
    const found = stage.world.find(actor, ref, access)
    const json = body(step)
    const answer = await stage.ask(
      actor,
      method,
      `/artifacts/${encodeURIComponent(ref)}${path(step)}`,
      json === undefined ? {} : { json },
    )
    const refusal = 'refusal' in found ? found.refusal : refuse(found, step, stage)
    if (!settled(`${method} ${path(step)} of ${ref} by ${actor}`, answer, refusal) || 'refusal' in found)
      return
    effect(stage, actor, found, step, answer)
  }

const no = (): Refusal => undefined
const nothing = (): undefined => undefined
const same = (stage: Stage, actor: string, artifact: Artifact, _: Step, answer: Answer): void =>
  expectEqual(
    `view of ${artifact.uuid} for ${actor}`,
    shownArtifact(answer.json),
    viewOf(stage.world, actor, artifact),
  )

const convertTo = (stage: Stage, actor: string, step: Step) => {
  const { world, names } = stage
  const name = at(names, step.b)!
  const wish = {
    name,
    // Mostly the own namespace, mostly an image.
    namespace: step.c % 4 === 0 ? at(stage.namespaces, step.c >> 2) : undefined,
    artifact_type: [undefined, 'other', 'image', 'label'][step.d % 7 === 0 ? 3 : step.d % 3],
    source_url: step.d % 5 === 0 ? `https://example.org/${name}` : undefined,
    shared: step.c % 5 === 0 ? true : undefined,
  }
  const identity: Identity = {
    namespace: wish.namespace ?? actor,
    type: wish.artifact_type ?? 'image',
    sourceUrl: wish.source_url ?? `sf://upload/${actor}/${name}`,
    name,
  }
  let refusal: Refusal
  if (identity.type === 'label') refusal = 'artifact_type_invalid'
  else if (wish.shared && actor !== system) refusal = 'share_system_only'
  else if (!world.reachesNamespace(actor, identity.namespace)) refusal = 'namespace_not_found'
  return { name, wish, identity, refusal }
}

/** What a client may expect of the content, right or wrong. */
const expectation = (content: string, pick: number): { fields: object; refusal: Refusal } => {
  if (pick % 11 === 0) return { fields: { size: Buffer.byteLength(content) + 1 }, refusal: 'size_mismatch' }
  if (pick % 11 === 1) return { fields: { sha512: digestOf('other') }, refusal: 'digest_mismatch' }
  if (pick % 11 < 5)
    return {
      fields: { sha512: digestOf(content).toUpperCase(), size: `${Buffer.byteLength(content)}` },
      refusal: undefined,
    }
  return { fields: {}, refusal: undefined }
}

const isSameIdentity = (a: Identity, b: Identity): boolean =>
  a.namespace === b.namespace && a.type === b.type && a.sourceUrl === b.sourceUrl && a.name === b.name

/** Refusals by what the upload is, in the order in which the server looks. */
const refuseConversion = (
  world: World,
  actor: string,
  upload: Upload | undefined,
  identity: Identity,
  expected: Refusal,
): Refusal => {
  if (!upload || !world.ownsUpload(actor, upload)) return 'upload_not_found'
  if (upload.state === 'open') return upload.data === '' ? 'upload_empty' : expected
  const { conversion } = upload
  if (!conversion || !isSameIdentity(conversion.identity, identity)) return 'upload_not_found'
  if (!world.isReadable(actor, conversion.artifact)) return 'upload_not_found'
  return conversion.artifact.versions.has(conversion.index) ? expected : undefined
}

const findUpload = (stage: Stage, actor: string, pick: number): Upload | undefined => {
  const upload = at(stage.world.uploads, pick)
  return upload && stage.world.ownsUpload(actor, upload) && upload.state === 'open' ? upload : undefined
}

const uuidOf = (stage: Stage, pick: number): string => at(stage.world.uploads, pick)?.uuid ?? nowhere

export const steps = {
  createUpload: async (stage, actor, { a }) => {
    const declared = a % 4 === 0 ? a % 40 : undefined
    const answer = await stage.ask(actor, 'POST', '/upload', { json: { size: declared } })
    settled('create an upload', answer, undefined)
    stage.world.uploads.push({
      uuid: answer.json.uuid,
      namespace: actor,
      declared,
      data: '',
      state: 'open',
      lastDataAt: stage.world.now,
    })
  },

  append: async (stage, actor, { a, b, c }) => {
    const upload = findUpload(stage, actor, a)
    const part = at(stage.contents, b)!
    const offset = c % 2 === 0 ? undefined : (upload?.data.length ?? 0) + (c % 5 === 1 ? 1 : 0)
    const answer = await stage.ask(actor, 'POST', `/upload/${uuidOf(stage, a)}`, {
      body: part,
      headers: offset === undefined ? {} : { 'Upload-Offset': `${offset}` },
    })
    let refusal: Refusal
    if (!upload) refusal = 'upload_not_found'
    else if (offset !== undefined && offset !== upload.data.length) refusal = 'offset_mismatch'
    else if (upload.data.length + part.length > (upload.declared ?? Number.POSITIVE_INFINITY))
      refusal = 'size_exceeds_declared'
    if (!settled('append', answer, refusal)) {
      if (refusal === 'offset_mismatch')
        expectEqual('Upload-Offset', answer.headers['upload-offset'], `${upload!.data.length}`)
      return
    }
    upload!.data += part
    upload!.lastDataAt = stage.world.now
    expectEqual('size after an append', answer.json, upload!.data.length)
  },

  truncate: async (stage, actor, { a, b }) => {
    const upload = findUpload(stage, actor, a)
    const size = b % 60
    const answer = await stage.ask(actor, 'POST', `/upload/${uuidOf(stage, a)}/truncate/${size}`)
    let refusal: Refusal
    if (!upload) refusal = 'upload_not_found'
    else if (size > upload.data.length) refusal = 'truncate_out_of_range'
    if (settled('truncate', answer, refusal)) upload!.data = upload!.data.slice(0, size)
  },

  deleteUpload: async (stage, actor, { a }) => {
    const upload = findUpload(stage, actor, a)
    const answer = await stage.ask(actor, 'DELETE', `/upload/${uuidOf(stage, a)}`)
    if (settled('delete an upload', answer, upload ? undefined : 'upload_not_found')) upload!.state = 'gone'
  },

  /** The whole way in, as without it few sequences would come to a version. */
  publish: async (stage, actor, step) => {
    await steps.createUpload(stage, actor, { ...step, a: 1 })
    const last = stage.world.uploads.length - 1
    await steps.append(stage, actor, { ...step, a: last, b: step.a, c: 0 })
    await steps.convert(stage, actor, { ...step, a: last })
  },

  convert: async (stage, actor, step) => {
    const { world } = stage
    const upload = at(world.uploads, step.a)
    const { name, wish, identity, refusal } = convertTo(stage, actor, step)
    const { conversion } = upload ?? {}
    const content = conversion
      ? (conversion.artifact.versions.get(conversion.index)?.content ?? '')
      : (upload?.data ?? '')
    const expected = expectation(content, step.d)
    const answer = await stage.ask(actor, 'POST', `/artifacts/upload/${encodeURIComponent(name)}`, {
      json: { upload_uuid: uuidOf(stage, step.a), ...wish, name: undefined, ...expected.fields },
    })
    const why = refusal ?? refuseConversion(world, actor, upload, identity, expected.refusal)
    if (!settled('convert', answer, why)) return
    let artifact = conversion?.artifact
    if (!artifact) {
      const given = { uuid: answer.json.uuid, blobUuid: answer.json.blob_uuid }
      const made = world.addVersion(identity, upload!.data, given, { shared: wish.shared ?? false })
      upload!.state = 'gone'
      upload!.conversion = { identity, ...made, at: world.now }
      artifact = made.artifact
    }
    same(stage, actor, artifact, step, answer)
  },

  convertBlob: async (stage, actor, step) => {
    const { world } = stage
    const content = at(stage.contents, step.a)!
    const { name, wish, identity, refusal } = convertTo(stage, actor, step)
    const expected = expectation(content, step.d)
    const answer = await stage.ask(actor, 'POST', `/artifacts/upload/${encodeURIComponent(name)}`, {
      json: {
        blob_uuid: world.uuids.get(content) ?? nowhere,
        ...wish,
        name: undefined,
        ...expected.fields,
      },
    })
    const why = refusal ?? (world.findBlob(actor, content) ? expected.refusal : 'blob_not_found')
    if (!settled('convert a blob', answer, why)) return
    const given = { uuid: answer.json.uuid, blobUuid: answer.json.blob_uuid }
    const { artifact } = world.addVersion(identity, content, given, { shared: wish.shared ?? false })
    same(stage, actor, artifact, step, answer)
  },

  updateLabel: async (stage, actor, { a, b, c, d }) => {
    const { world } = stage
    const content = at(stage.contents, a)!
    const name = at(stage.names, b)!
    const namespace = c % 2 === 0 ? actor : at(stage.namespaces, c >> 1)!
    const maxVersions = d % 3 === 0 ? 1 + (d % 4) : undefined
    const path = c % 2 === 0 ? '' : `${encodeURIComponent(namespace)}/`
    const answer = await stage.ask(actor, 'POST', `/label/${path}${encodeURIComponent(name)}`, {
      json: { blob_uuid: world.uuids.get(content) ?? nowhere, max_versions: maxVersions },
    })
    let refusal: Refusal
    if (!world.reachesNamespace(actor, namespace)) refusal = 'namespace_not_found'
    else if (!world.findBlob(actor, content)) refusal = 'blob_not_found'
    if (!settled('update a label', answer, refusal)) return
    const identity = { namespace, type: 'label', sourceUrl: `sf://label/${namespace}/${name}`, name }
    const given = { uuid: answer.json.uuid, blobUuid: answer.json.blob_uuid }
    same(
      stage,
      actor,
      world.addVersion(identity, content, given, { maxVersions }).artifact,
      {} as Step,
      answer,
    )
  },

  showOrDeleteLabel: async (stage, actor, { a, b, c }) => {
    const { world } = stage
    const name = at(stage.names, a)!
    const namespace = at(stage.namespaces, b)!
    const method = c % 3 === 0 ? 'DELETE' : 'GET'
    const label = world.findIdentity({
      namespace,
      type: 'label',
      sourceUrl: `sf://label/${namespace}/${name}`,
    })
    const isAllowed =
      label && (method === 'GET' ? world.isReadable(actor, label) : world.mayAct(actor, namespace))
    const target = `/label/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`
    const answer = await stage.ask(actor, method, target)
    if (!settled(`${method} a label`, answer, isAllowed ? undefined : 'label_not_found')) return
    if (method === 'DELETE') world.retire(label!)
    same(stage, actor, label!, {} as Step, answer)
  },

  showArtifact: onArtifact('read', 'GET', () => '', nothing, no, same),

  listVersions: onArtifact(
    'read',
    'GET',
    () => '/versions',
    nothing,
    no,
    (stage, actor, artifact, _, answer) =>
      expectEqual(
        'versions',
        (answer.json as { index: number; sha512: string; reference_count: number }[]).map((one) => [
          one.index,
          one.sha512,
          one.reference_count,
        ]),
        [...artifact.versions].map(([index, blob]) => [
          index,
          digestOf(blob.content),
          stage.world.countReferences(actor, blob),
        ]),
      ),
  ),

  deleteArtifact: onArtifact(
    'write',
    'DELETE',
    () => '',
    nothing,
    no,
    (stage, actor, artifact, step, answer) => {
      if (artifact.state === 'deleted') return expectEqual('deleting again', answer.json, null)
      stage.world.retire(artifact)
      same(stage, actor, artifact, step, answer)
    },
  ),

  setMaxVersions: onArtifact(
    'change',
    'POST',
    () => '/versions',
    ({ c }) => (c % 4 === 0 ? undefined : { max_versions: c % 2 === 0 ? c % 4 : `${c % 4}` }),
    no,
    ({ world }, _, artifact, { c }) => {
      artifact.maxVersions = c % 4 === 0 ? 3 : c % 4
      world.prune(artifact)
    },
  ),

  deleteVersion: onArtifact(
    'change',
    'DELETE',
    ({ c }) => `/versions/${1 + (c % 6)}`,
    nothing,
    (artifact, { c }) => (artifact.versions.has(1 + (c % 6)) ? undefined : 'version_not_found'),
    (stage, actor, artifact, step, answer) => {
      artifact.versions.delete(1 + (step.c % 6))
      if (artifact.versions.size === 0) stage.world.retire(artifact)
      same(stage, actor, artifact, step, answer)
    },
  ),

  share: onArtifact(
    'change',
    'POST',
    () => '/share',
    nothing,
    (artifact) => (artifact.namespace === system ? undefined : 'not_shareable'),
    (stage, actor, artifact, step, answer) => {
      artifact.shared = true
      same(stage, actor, artifact, step, answer)
    },
  ),

  unshare: onArtifact(
    'change',
    'POST',
    () => '/unshare',
    nothing,
    (artifact) => (artifact.shared ? undefined : 'not_shared'),
    (stage, actor, artifact, step, answer) => {
      artifact.shared = false
      same(stage, actor, artifact, step, answer)
    },
  ),

  setArtifactMetadata: onArtifact(
    'write',
    'POST',
    () => '/metadata',
    ({ c, d }) => ({ key: at(metadataKeys, c), value: d % 5 === 0 ? { deep: [d] } : d }),
    no,
    (_, __, artifact, { c, d }) => {
      artifact.metadata.set(at(metadataKeys, c)!, d % 5 === 0 ? { deep: [d] } : d)
    },
  ),

  deleteArtifactMetadata: onArtifact(
    'write',
    'DELETE',
    ({ c }) => `/metadata/${encodeURIComponent(at(metadataKeys, c)!)}`,
    nothing,
    no,
    (_, __, artifact, { c }) => {
      artifact.metadata.delete(at(metadataKeys, c)!)
    },
  ),

  deleteArtifacts: async (stage, actor, { a, b }) => {
    const { world } = stage
    const named = a % 2 === 0 ? undefined : at(stage.namespaces, a >> 1)
    const confirm = b % 2 === 0
    const answer = await stage.ask(actor, 'DELETE', '/artifacts', { json: { confirm, namespace: named } })
    const namespace = named ?? actor
    let refusal: Refusal
    if (!confirm) refusal = 'confirm_missing'
    else if (actor === system && named === undefined) refusal = 'namespace_required'
    else if (actor !== system && namespace !== actor) refusal = 'foreign_namespace'
    else if (!world.namespaces.get(namespace)!.isLive) refusal = 'namespace_not_found'
    if (!settled('delete all artifacts', answer, refusal)) return
    const gone = world.live().filter((one) => one.namespace === namespace)
    expectEqual('deleted artifacts', [...answer.json].sort(), gone.map((one) => one.uuid).sort())
    for (const artifact of gone) world.retire(artifact)
  },

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

const expectNamespace = ({ world }: Stage, name: string, { json }: Answer): void => {
  const { trusts, metadata } = world.namespaces.get(name)!
  expectEqual(
    `namespace ${name}`,
    { trust: json.trust.full, metadata: Object.fromEntries(Object.entries(json.metadata).sort()) },
    {
      trust: [system, ...[...trusts].sort()],
      metadata: Object.fromEntries([...metadata].sort()),
    },
  )
}

/** What a blob's view must say to `actor`, or that there is none. */
export const expectBlob = async (stage: Stage, actor: string, content: string): Promise<void> => {
  const { world } = stage
  const uuid = world.uuids.get(content) ?? nowhere
  const answer = await stage.ask(actor, 'GET', `/blobs/${uuid}`)
  const blob = world.findBlob(actor, content)
  if (!settled(`blob ${uuid} for ${actor}`, answer, blob ? undefined : 'blob_not_found') || !blob) return
  expectEqual(
    `view of blob ${uuid} for ${actor}`,
    [answer.json.sha512, answer.json.size, answer.json.reference_count, answer.json.expires_at !== undefined],
    [
      digestOf(content),
      Buffer.byteLength(content),
      world.countReferences(actor, blob),
      world.isLeased(actor, blob),
    ],
  )
  const notes = world.blobMetadata(actor, blob)
  expectEqual(
    `metadata keys of blob ${uuid}`,
    Object.keys(answer.json.metadata).sort(),
    [...notes.keys()].sort(),
  )
  for (const [key, values] of notes)
    if (!values.includes(answer.json.metadata[key]))
      throw new Error(`metadata ${key} of blob ${uuid} for ${actor}: ${JSON.stringify(answer.json.metadata)}`)
}

/** Every list shows what may be seen, and nothing else. */
export const expectLists = async (stage: Stage, actor: string): Promise<void> => {
  const { world } = stage
  const byUuid = (list: readonly { uuid: string }[]) =>
    Object.fromEntries(list.map((one): [string, unknown] => [one.uuid, one]).sort())
  const artifacts = await stage.ask(actor, 'GET', '/artifacts')
  expectEqual(
    `artifacts listed for ${actor}`,
    byUuid(artifacts.json.map(shownArtifact)),
    byUuid(
      world
        .live()
        .filter((one) => world.isReadable(actor, one))
        .map((one) => viewOf(world, actor, one) as { uuid: string }),
    ),
  )
  const uploads = await stage.ask(actor, 'GET', '/upload')
  expectEqual(
    `uploads listed for ${actor}`,
    Object.fromEntries(
      uploads.json.map(({ uuid, size }: { uuid: string; size: number }) => [uuid, size]).sort(),
    ),
    Object.fromEntries(
      world.uploads
        .filter((one) => one.state === 'open' && world.ownsUpload(actor, one))
        .map((one): [string, number] => [one.uuid, one.data.length])
        .sort(),
    ),
  )
  const namespaces = await stage.ask(actor, 'GET', '/auth/namespaces')
  expectEqual(
    `namespaces listed for ${actor}`,
    // To `system` also those of former sequences.
    namespaces.json
      .map(({ name }: { name: string }) => name)
      .filter((name: string) => world.namespaces.has(name))
      .sort(),
    stage.namespaces.filter((name) => world.reachesNamespace(actor, name)).sort(),
  )
  const blobs = await stage.ask(actor, 'GET', '/blobs?limit=1')
  expectEqual(`blobs listed for ${actor}`, blobs.status, actor === system ? 200 : 401)
}

/** At the end of a sequence: everything, seen by everybody. */
export const sweep = async (stage: Stage): Promise<void> => {
  const { world } = stage
  for (const actor of stage.namespaces) {
    if (!world.namespaces.get(actor)!.isLive) {
      const { status } = await stage.ask(actor, 'GET', '/artifacts')
      expectEqual(`a request of the deleted namespace ${actor}`, status, 401)
      continue
    }
    const refs = [...world.artifacts.map((one) => one.uuid), ...stage.names]
    await Promise.all([
      expectLists(stage, actor),
      ...refs.map((ref) => expectArtifact(stage, actor, ref)),
      ...stage.contents.map((content) => expectBlob(stage, actor, content)),
    ])
  }
}

const expectArtifact = async (stage: Stage, actor: string, ref: string): Promise<void> => {
  const found = stage.world.find(actor, ref, 'read')
  const answer = await stage.ask(actor, 'GET', `/artifacts/${encodeURIComponent(ref)}`)
  const refusal = 'refusal' in found ? found.refusal : undefined
  if (settled(`artifact ${ref} for ${actor}`, answer, refusal) && !('refusal' in found))
    same(stage, actor, found, {} as Step, answer)
}
