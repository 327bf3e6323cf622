/**
 * One client of the kill suite. It works on uploads and artifacts that nobody else touches and keeps books of what
 * it was promised, so that what it must find after a kill is exact: everything that was acknowledged, plus at most
 * the one request whose reply it did not get, whole or not at all.
 *
 * What is shared between clients is what the server shares: namespaces, and blobs of equal content.
 */
import { type ArtifactBook, type LeaseBook, Lost } from './kill-books.ts'
import { KillUploads } from './kill-uploads.ts'

const maxUploads = 4

export class KillClient extends KillUploads {
  /** Works until the server goes away or `stopped` says so. */
  async work(stopped: () => boolean): Promise<void> {
    try {
      await this.settle()
      while (!stopped()) await this.step()
    } catch (error) {
      if (!(error instanceof Lost)) throw error
    }
  }

  /** One random operation. */
  protected async step(): Promise<unknown> {
    const weights = {
      create: this.uploads.length < maxUploads ? 8 : 0,
      append: this.uploads.length > 0 ? 22 : 0,
      cut: this.uploads.length > 0 ? 3 : 0,
      truncate: this.uploads.length > 0 ? 4 : 0,
      abandon: this.uploads.length > 0 ? 0.5 : 0,
      giveUp: this.uploads.length > 0 ? 1 : 0,
      convert: this.uploads.length > 0 ? 10 : 0,
      wrongDigest: this.uploads.length > 0 ? 1 : 0,
      common: 4,
      reuse: this.artifacts.length > 0 ? 4 : 0,
      leased: this.leases.length > 0 ? 4 : 0,
      label: this.artifacts.length > 0 ? 3 : 0,
      download: this.artifacts.length > 0 ? 6 : 0,
      list: 1,
      metadata: this.artifacts.length > 0 ? 3 : 0,
      maxVersions: this.artifacts.length > 0 ? 2 : 0,
      deleteVersion: this.artifacts.length > 0 ? 2 : 0,
      deleteArtifact: this.artifacts.length > 0 ? (this.artifacts.length > 6 ? 8 : 1) : 0,
    }
    const kind = this.random.weighted(weights)
    this.report.count(`did ${kind}`)
    const upload = () => this.random.pick(this.uploads)
    const artifact = () => this.random.pick(this.artifacts)
    switch (kind) {
      case 'create':
        return this.create()
      case 'append':
        return this.appendOrConvert(upload())
      case 'cut':
        return this.cutAppend(upload())
      case 'truncate':
        return this.truncate(upload())
      case 'abandon':
        // Left to expiry.
        return this.forget(upload())
      case 'giveUp':
        return this.giveUp(upload())
      case 'convert':
        return this.convert(upload())
      case 'wrongDigest':
        return this.convertWithWrongDigest(upload())
      case 'common':
        return this.storeCommon()
      case 'reuse':
        return this.lookUp(artifact())
      case 'leased':
        return this.convertLeased(this.random.pick(this.leases))
      case 'label':
        return this.setLabel(artifact())
      case 'download':
        return this.download(artifact())
      case 'list':
        return this.list()
      case 'metadata':
        return this.setMetadata(artifact())
      case 'maxVersions':
        return this.setMaxVersions(artifact())
      case 'deleteVersion':
        return this.deleteVersion(artifact())
      case 'deleteArtifact':
        return this.deleteArtifact(artifact())
    }
  }

  /** Content of a live version must be found; the answer leases the blob. */
  protected async lookUp(artifact: ArtifactBook): Promise<void> {
    const version = this.random.pick([...artifact.versions.values()])
    const answer = await this.ask(undefined, () =>
      this.current.get(`/blob_checksums/sha512/${version.sha512}`),
    )
    if (!this.expect(answer, 200, 'look a checksum up')) return
    this.report.check(
      answer.json?.size === version.content.length,
      () => `${this.label}: content of a live version of "${artifact.name}" was not found: ${answer.bytes}`,
    )
    if (!answer.json) return
    const until = (answer.json.expires_at as number) * 1000
    this.leases.push({ ...version, blobUuid: answer.json.uuid, until })
    if (this.leases.length > 5) this.leases.shift()
  }

  /** A leased blob can be used although nothing may refer to it any more. */
  protected async convertLeased(lease: LeaseBook): Promise<void> {
    const { name, type } = this.pickTarget()
    const use = async (): Promise<void> => {
      const answer = await this.ask(use, () =>
        this.current.post(`/artifacts/upload/${encodeURIComponent(name)}`, {
          blob_uuid: lease.blobUuid,
          artifact_type: type,
        }),
      )
      if (answer.status === 404) {
        this.report.check(
          Date.now() >= lease.until,
          () =>
            `${this.label}: leased blob ${lease.blobUuid} vanished ${lease.until - Date.now()} ms too early`,
        )
        this.report.count('leases that ran out')
        const at = this.leases.indexOf(lease)
        if (at >= 0) this.leases.splice(at, 1)
        return
      }
      if (!this.expect(answer, 200, 'convert a leased blob')) return
      this.book({ name, type }, lease.content, answer.json)
      this.report.count('leases used')
    }
    await use()
  }

  protected async setLabel(artifact: ArtifactBook): Promise<void> {
    const version = this.random.pick([...artifact.versions.values()])
    const name = `${this.label} label ${this.random.between(1, 2)}`
    const maxVersions = this.random.between(1, 4)
    // A label is made anew under the same name after its deletion: another artifact.
    const update = async (): Promise<void> => {
      const answer = await this.ask(update, () =>
        this.current.post(`/label/${encodeURIComponent(name)}`, {
          blob_uuid: version.blobUuid,
          max_versions: maxVersions,
        }),
      )
      if (this.expect(answer, 200, 'update a label'))
        this.book({ name, type: 'label' }, version.content, answer.json, maxVersions)
    }
    await update()
  }

  protected async download(artifact: ArtifactBook): Promise<void> {
    const [index, version] = this.random.pick([...artifact.versions])
    const size = version.content.length
    const isWhole = this.random.chance(0.5)
    const from = isWhole ? 0 : this.random.between(0, size)
    const limit = isWhole ? 0 : this.random.between(0, size)
    const answer = await this.ask(undefined, () =>
      this.current.get(`/blobs/${version.blobUuid}/data?offset=${from}&limit=${limit}`),
    )
    const wanted = version.content.subarray(from, limit === 0 ? size : from + limit)
    this.report.check(
      answer.status === 200 && answer.bytes.equals(wanted),
      () =>
        `${this.label}: version ${index} of "${artifact.name}" from ${from}, limit ${limit}: ${answer.status}`,
    )
    this.report.count('MiB downloaded', answer.bytes.length / 1024 / 1024)
  }

  protected async list(): Promise<void> {
    const answer = await this.ask(undefined, () => this.current.get('/artifacts'))
    if (!this.expect(answer, 200, 'list artifacts')) return
    const listed = new Map<string, { index: number }>(
      (answer.json as { uuid: string; index: number }[]).map((view) => [view.uuid, view]),
    )
    for (const artifact of this.artifacts)
      this.report.check(
        listed.get(artifact.uuid)?.index === [...artifact.versions.keys()].at(-1),
        () => `${this.label}: "${artifact.name}" is missing in the list or has another newest version`,
      )
    for (const uuid of this.deletedArtifacts)
      this.report.check(!listed.has(uuid), () => `${this.label}: deleted artifact ${uuid} is listed`)
  }

  protected async setMetadata(artifact: ArtifactBook): Promise<void> {
    const key = `key ${this.random.between(1, 3)}`
    const value = this.random.between(0, 1e9)
    const set = async (): Promise<void> => {
      const answer = await this.ask(set, () =>
        this.current.post(`/artifacts/${artifact.uuid}/metadata`, { key, value }),
      )
      if (this.expect(answer, 200, 'set metadata')) artifact.metadata.set(key, value)
    }
    await set()
  }

  protected async setMaxVersions(artifact: ArtifactBook): Promise<void> {
    const maxVersions = this.random.between(1, 5)
    const set = async (): Promise<void> => {
      const answer = await this.ask(set, () =>
        this.current.post(`/artifacts/${artifact.uuid}/versions`, { max_versions: maxVersions }),
      )
      if (!this.expect(answer, 200, 'set max_versions')) return
      artifact.maxVersions = maxVersions
      this.prune(artifact)
    }
    await set()
  }

  protected async deleteVersion(artifact: ArtifactBook): Promise<void> {
    const index = this.random.pick([...artifact.versions.keys()])
    const remove = async (isRepeated: boolean): Promise<void> => {
      const answer = await this.ask(
        () => remove(true),
        () => this.current.delete(`/artifacts/${artifact.uuid}/versions/${index}`),
      )
      if (!(isRepeated && answer.status === 404)) this.expect(answer, 200, 'delete a version')
      artifact.versions.delete(index)
      if (artifact.versions.size === 0) this.bury(artifact)
    }
    await remove(false)
  }

  protected async deleteArtifact(artifact: ArtifactBook): Promise<void> {
    const remove = async (): Promise<void> => {
      const answer = await this.ask(remove, () => this.current.delete(`/artifacts/${artifact.uuid}`))
      if (this.expect(answer, 200, 'delete an artifact')) this.bury(artifact)
    }
    await remove()
  }
}
