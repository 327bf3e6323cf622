/** What everybody has to see at any time, by the rules. */
import type { Answer } from '../support/api.ts'
import { expectEqual, nowhere, type Stage, type Step, same, settled } from './model-stage.ts'
import { digestOf, shownArtifact, system, viewOf } from './model-world.ts'

export const expectNamespace = ({ world }: Stage, name: string, { json }: Answer): void => {
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
