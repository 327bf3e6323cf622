/**
 * The rules of the store in a few plain data structures: what the server must answer, without bytes on disks, SQL or
 * waiting. Time stands still but for `pass`, which also does at once what the jobs of the server do.
 */
import { createHash } from 'node:crypto'

export const system = 'system'

const hour = 3_600_000

/** How long things are kept, in ms. No two alike, so that they end apart. */
export const lifetimes = {
  upload: 24 * hour,
  lease: 2 * hour,
  grace: hour,
  tombstone: 60 * hour,
  /** Not a setting of the server. */
  conversion: 72 * hour,
} as const

export interface Upload {
  readonly uuid: string
  readonly namespace: string
  readonly declared: number | undefined
  data: string
  state: 'open' | 'gone'
  lastDataAt: number
  /** What it was converted into. */
  conversion?:
    | {
        readonly identity: Identity
        readonly artifact: Artifact
        readonly index: number
        readonly at: number
      }
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
  /** By version number. Those of a deleted artifact stay to be shown, and are no references. */
  readonly versions: Map<number, Blob>
  readonly metadata: Map<string, unknown>
  state: 'created' | 'deleted'
  deletedAt?: number
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
  /** Blobs it was told of, and may therefore use, and until when. */
  readonly leases: Map<Blob, number>
  /** What it noted about blobs, by key. */
  readonly blobMetadata: Map<Blob, Map<string, unknown>>
}

export interface Blob {
  readonly uuid: string
  readonly content: string
  /** Since when nothing refers to it. */
  unreferencedAt?: number | undefined
}

/** A refusal by its code, or undefined. */
export type Refusal = string | undefined

export const digestOf = (content: string): string => createHash('sha512').update(content).digest('hex')

export class World {
  readonly namespaces = new Map<string, Namespace>()
  readonly uploads: Upload[] = []
  artifacts: Artifact[] = []
  /** Those that are stored, by content. */
  readonly blobs = new Map<string, Blob>()
  /** The newest blob of each content, be it gone: to ask for it again. */
  readonly uuids = new Map<string, string>()
  now = 0

  constructor(names: readonly string[]) {
    for (const name of names)
      this.namespaces.set(name, {
        name,
        life: 1,
        isLive: true,
        trusts: new Set(),
        metadata: new Map(),
        leases: new Map(),
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
  countReferences(actor: string, blob: Blob): number {
    return this.live()
      .filter((one) => this.isReadable(actor, one))
      .reduce((sum, one) => sum + [...one.versions.values()].filter((other) => other === blob).length, 0)
  }

  /** The stored blob with this content, if `actor` may see it. */
  findBlob(actor: string, content: string): Blob | undefined {
    const blob = this.blobs.get(content)
    if (!blob) return undefined
    const isVisible = actor === system || this.countReferences(actor, blob) > 0 || this.isLeased(actor, blob)
    return isVisible ? blob : undefined
  }

  isLeased(namespace: string, blob: Blob): boolean {
    return (this.namespaces.get(namespace)!.leases.get(blob) ?? 0) > this.now
  }

  lease(namespace: string, blob: Blob): void {
    this.namespaces.get(namespace)!.leases.set(blob, this.now + lifetimes.lease)
  }

  /** Every value that may be shown for a key; only to `system` it is open which of several wins. */
  blobMetadata(actor: string, blob: Blob): Map<string, unknown[]> {
    const reach = [...this.namespaces.keys()]
      .filter((name) => name !== actor && this.mayAct(actor, name))
      .sort()
    const shown = new Map<string, unknown[]>()
    for (const name of [actor, ...reach])
      for (const [key, value] of this.namespaces.get(name)!.blobMetadata.get(blob) ?? []) {
        if (!shown.has(key)) shown.set(key, [value])
        else if (actor === system && !this.namespaces.get(system)!.blobMetadata.get(blob)?.has(key))
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
    const blob = this.blobs.get(content) ?? { uuid: given.blobUuid, content }
    this.blobs.set(content, blob)
    this.uuids.set(content, blob.uuid)
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
    if (newest?.[1].content !== content) {
      index = artifact.nextIndex++
      artifact.versions.set(index, blob)
    }
    this.prune(artifact)
    return { artifact, index }
  }

  prune(artifact: Artifact): void {
    for (const index of [...artifact.versions.keys()].slice(0, -artifact.maxVersions))
      artifact.versions.delete(index)
  }

  retire(artifact: Artifact): void {
    artifact.state = 'deleted'
    artifact.deletedAt = this.now
  }

  /** Which blobs have lost their last reference, or have one again. To be called after each change. */
  noteReferences(): void {
    for (const blob of this.blobs.values())
      if (this.countReferences(system, blob) > 0) blob.unreferencedAt = undefined
      else blob.unreferencedAt ??= this.now
  }

  /** Lets time pass; then all that has run out goes. Answers what went. */
  pass(ms: number): string[] {
    this.now += ms
    const gone: string[] = []
    const isOver = (at: number | undefined, lifetime: number) => at !== undefined && at + lifetime <= this.now
    for (const upload of this.uploads) {
      if (upload.state === 'open' && isOver(upload.lastDataAt, lifetimes.upload)) {
        upload.state = 'gone'
        gone.push('uploads expired')
      }
      const { conversion } = upload
      if (!conversion) continue
      const isForgotten = isOver(conversion.artifact.deletedAt, lifetimes.tombstone)
      if (isForgotten || isOver(conversion.at, lifetimes.conversion)) upload.conversion = undefined
    }
    this.artifacts = this.artifacts.filter(({ deletedAt }) => {
      if (!isOver(deletedAt, lifetimes.tombstone)) return true
      gone.push('deleted artifacts forgotten')
      return false
    })
    const namespaces = [...this.namespaces.values()]
    for (const blob of this.blobs.values()) {
      if (!isOver(blob.unreferencedAt, lifetimes.grace)) continue
      if (namespaces.some(({ name }) => this.isLeased(name, blob))) {
        gone.push('blobs kept by a lease alone')
        continue
      }
      this.blobs.delete(blob.content)
      gone.push('blobs collected')
      for (const { leases, blobMetadata } of namespaces)
        for (const notes of [leases, blobMetadata]) notes.delete(blob)
    }
    return gone
  }

  deleteNamespace(name: string): void {
    const namespace = this.namespaces.get(name)!
    for (const artifact of this.live()) if (artifact.namespace === name) this.retire(artifact)
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
    blob_uuid: newest?.[1].uuid,
    blobs: Object.fromEntries(
      [...artifact.versions].map(([index, blob]) => [
        index,
        {
          uuid: blob.uuid,
          size: Buffer.byteLength(blob.content),
          reference_count: world.countReferences(actor, blob),
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
