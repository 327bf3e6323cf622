/**
 * The rules of the store in a few plain data structures: what the server must answer, without bytes on disks, SQL or
 * time. Deletion by collection and expiry is out of its sight: the suite's server keeps everything for hours.
 */
import { createHash } from 'node:crypto'

export const system = 'system'

export interface Upload {
  readonly uuid: string
  readonly namespace: string
  readonly declared: number | undefined
  data: string
  state: 'open' | 'gone'
  /** What it was converted into. */
  conversion?:
    | { readonly identity: Identity; readonly artifact: Artifact; readonly index: number }
    | undefined
}

export interface Identity {
  readonly namespace: string
  readonly type: string
  readonly sourceUrl: string
  readonly name: string
}

export interface Artifact extends Identity {
  readonly uuid: string
  /** Which life of its namespace it belongs to. */
  readonly life: number
  /** Content by version number. Those of a deleted artifact stay to be shown, and are no references. */
  readonly versions: Map<number, string>
  readonly metadata: Map<string, unknown>
  state: 'created' | 'deleted'
  shared: boolean
  maxVersions: number
  nextIndex: number
}

export interface Namespace {
  readonly name: string
  life: number
  isLive: boolean
  readonly trusts: Set<string>
  readonly metadata: Map<string, unknown>
  /** Contents it was told of, and may therefore use. */
  readonly leases: Set<string>
  /** What it noted about blobs: by content, by key. */
  readonly blobMetadata: Map<string, Map<string, unknown>>
}

export interface Blob {
  readonly uuid: string
  readonly content: string
}

/** A refusal by its code, or undefined. */
export type Refusal = string | undefined

export const digestOf = (content: string): string => createHash('sha512').update(content).digest('hex')

export class World {
  readonly namespaces = new Map<string, Namespace>()
  readonly uploads: Upload[] = []
  readonly artifacts: Artifact[] = []
  readonly blobs = new Map<string, Blob>()

  constructor(names: readonly string[]) {
    for (const name of names)
      this.namespaces.set(name, {
        name,
        life: 1,
        isLive: true,
        trusts: new Set(),
        metadata: new Map(),
        leases: new Set(),
        blobMetadata: new Map(),
      })
  }

  /** May `actor` act on what belongs to `namespace`? */
  mayAct(actor: string, namespace: string): boolean {
    return actor === system || actor === namespace || !!this.namespaces.get(namespace)?.trusts.has(actor)
  }

  reachesNamespace(actor: string, namespace: string): boolean {
    return this.mayAct(actor, namespace) && !!this.namespaces.get(namespace)?.isLive
  }

  ownsUpload(actor: string, upload: Upload): boolean {
    return actor === system || actor === upload.namespace
  }

  isReadable(actor: string, artifact: Artifact): boolean {
    if (actor === system) return true
    if (!artifact.shared && !this.mayAct(actor, artifact.namespace)) return false
    // What was deleted in an earlier life of a namespace is not the business of its new owner.
    const namespace = this.namespaces.get(artifact.namespace)!
    return artifact.state !== 'deleted' || (artifact.life === namespace.life && namespace.isLive)
  }

  live(): Artifact[] {
    return this.artifacts.filter((artifact) => artifact.state !== 'deleted')
  }

  /** What a UUID or a name means to `actor`. */
  find(actor: string, ref: string, access: 'read' | 'write' | 'change'): Artifact | { refusal: string } {
    let found = this.artifacts.find((one) => one.uuid === ref && this.isReadable(actor, one))
    if (!found) {
      const named = this.live().filter((one) => one.name === ref)
      let matches = named.filter((one) => one.namespace === actor)
      if (matches.length === 0) matches = named.filter((one) => this.isReadable(actor, one))
      if (matches.length > 1) return { refusal: 'artifact_ambiguous' }
      found = matches[0]
    }
    if (!found || (access !== 'read' && !this.mayAct(actor, found.namespace)))
      return { refusal: 'artifact_not_found' }
    if (access === 'change' && found.state === 'deleted') return { refusal: 'artifact_not_found' }
    return found
  }

  findIdentity({ namespace, type, sourceUrl }: Omit<Identity, 'name'>): Artifact | undefined {
    return this.live().find(
      (one) => one.namespace === namespace && one.type === type && one.sourceUrl === sourceUrl,
    )
  }

  /** Live versions with this content that `actor` may see. */
  countReferences(actor: string, content: string): number {
    return this.live()
      .filter((one) => this.isReadable(actor, one))
      .reduce((sum, one) => sum + [...one.versions.values()].filter((other) => other === content).length, 0)
  }

  seesBlob(actor: string, content: string): boolean {
    return (
      this.blobs.has(content) &&
      (actor === system ||
        this.countReferences(actor, content) > 0 ||
        this.namespaces.get(actor)!.leases.has(content))
    )
  }

  /** Every value that may be shown for a key; only to `system` it is open which of several wins. */
  blobMetadata(actor: string, content: string): Map<string, unknown[]> {
    const reach = [...this.namespaces.keys()]
      .filter((name) => name !== actor && this.mayAct(actor, name))
      .sort()
    const shown = new Map<string, unknown[]>()
    for (const name of [actor, ...reach])
      for (const [key, value] of this.namespaces.get(name)!.blobMetadata.get(content) ?? []) {
        if (!shown.has(key)) shown.set(key, [value])
        else if (actor === system && !this.namespaces.get(system)!.blobMetadata.get(content)?.has(key))
          shown.get(key)!.push(value)
      }
    return shown
  }

  /** Makes content the newest version; the reply tells which UUIDs were given. */
  addVersion(
    identity: Identity,
    content: string,
    given: { uuid: string; blobUuid: string },
    wish: { shared?: boolean; maxVersions?: number | undefined },
  ): { artifact: Artifact; index: number } {
    if (!this.blobs.has(content)) this.blobs.set(content, { uuid: given.blobUuid, content })
    let artifact = this.findIdentity(identity)
    if (!artifact) {
      artifact = {
        ...identity,
        uuid: given.uuid,
        life: this.namespaces.get(identity.namespace)!.life,
        versions: new Map(),
        metadata: new Map(),
        state: 'created',
        shared: false,
        maxVersions: 3,
        nextIndex: 1,
      }
      this.artifacts.push(artifact)
    }
    if (wish.shared) artifact.shared = true
    if (wish.maxVersions !== undefined) artifact.maxVersions = wish.maxVersions
    const newest = [...artifact.versions].at(-1)
    let index = newest?.[0] ?? 0
    if (newest?.[1] !== content) {
      index = artifact.nextIndex++
      artifact.versions.set(index, content)
    }
    this.prune(artifact)
    return { artifact, index }
  }

  prune(artifact: Artifact): void {
    for (const index of [...artifact.versions.keys()].slice(0, -artifact.maxVersions))
      artifact.versions.delete(index)
  }

  deleteNamespace(name: string): void {
    const namespace = this.namespaces.get(name)!
    for (const artifact of this.live()) if (artifact.namespace === name) artifact.state = 'deleted'
    for (const upload of this.uploads)
      if (upload.namespace === name) {
        upload.state = 'gone'
        upload.conversion = undefined
      }
    for (const other of this.namespaces.values()) other.trusts.delete(name)
    for (const belongings of [namespace.trusts, namespace.metadata, namespace.leases, namespace.blobMetadata])
      belongings.clear()
    namespace.isLive = false
  }

  createNamespace(name: string): void {
    const namespace = this.namespaces.get(name)!
    namespace.life += 1
    namespace.isLive = true
  }
}

/** The fields of an artifact's view that follow from the rules, as `actor` sees them. */
export const viewOf = (world: World, actor: string, artifact: Artifact): object => {
  const newest = [...artifact.versions].at(-1)
  return {
    uuid: artifact.uuid,
    name: artifact.name,
    state: artifact.state,
    metadata: Object.fromEntries([...artifact.metadata].sort()),
    artifact_type: artifact.type,
    source_url: artifact.sourceUrl,
    max_versions: artifact.maxVersions,
    namespace: artifact.namespace,
    shared: artifact.shared,
    index: newest?.[0] ?? 0,
    blob_uuid: newest && world.blobs.get(newest[1])!.uuid,
    blobs: Object.fromEntries(
      [...artifact.versions].map(([index, content]) => [
        index,
        {
          uuid: world.blobs.get(content)!.uuid,
          size: Buffer.byteLength(content),
          reference_count: world.countReferences(actor, content),
        },
      ]),
    ),
  }
}

/** The same fields of a view as it came. */
// biome-ignore lint/suspicious/noExplicitAny: whatever the server said
export const shownArtifact = (view: any): object => ({
  uuid: view.uuid,
  name: view.name,
  state: view.state,
  metadata: Object.fromEntries(Object.entries(view.metadata).sort()),
  artifact_type: view.artifact_type,
  source_url: view.source_url,
  max_versions: view.max_versions,
  namespace: view.namespace,
  shared: view.shared,
  index: view.index,
  blob_uuid: view.blob_uuid,
  blobs: Object.fromEntries(
    // biome-ignore lint/suspicious/noExplicitAny: whatever the server said
    Object.entries<any>(view.blobs).map(([index, { uuid, size, reference_count }]) => [
      index,
      { uuid, size, reference_count },
    ]),
  ),
})
