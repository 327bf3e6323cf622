/** The steps of the model suite on labels and artifacts. */
import {
  at,
  type Do,
  expectEqual,
  metadataKeys,
  no,
  nothing,
  nowhere,
  onArtifact,
  type Step,
  same,
  settled,
} from './model-stage.ts'
import { digestOf, type Refusal, system } from './model-world.ts'

export const artifactSteps = {
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
} satisfies Record<string, Do>
