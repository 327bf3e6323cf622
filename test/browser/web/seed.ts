/**
 * A store that looks like one that has been in use for a year: a hundred artifacts of many sizes and dates, three
 * namespaces, labels, metadata, an upload that waits, a damaged blob, failures, and the figures of the past.
 *
 * Nothing here sends hundreds of GiB: sizes and dates are put into the SQLite file of a store at rest. The page shows what
 * the store says of itself; downloads would not work.
 */
import { createHash, randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createClient } from '@holdfast/client'
import { login, upload } from '../../support/api.ts'
import { type RunningServer, startServer } from '../../support/server.ts'

const KiB = 1024
const MiB = 1024 * KiB
const GiB = 1024 * MiB
const dayMs = 86_400_000

/** What files of a kind are called, and how large they are. */
const kinds: readonly { names: readonly string[]; least: number; most: number }[] = [
  {
    names: ['debian-12', 'debian-13', 'ubuntu-24.04', 'rocky-9', 'fedora-43', 'alpine-3.22'].flatMap(
      (system) => [`${system}-generic-amd64.qcow2`, `${system}-generic-arm64.qcow2`],
    ),
    least: 300 * MiB,
    most: 3 * GiB,
  },
  {
    names: ['debian-12', 'debian-13', 'ubuntu-24.04', 'rocky-9', 'fedora-43'].map(
      (system) => `${system}-netinst.iso`,
    ),
    least: 400 * MiB,
    most: 900 * MiB,
  },
  {
    names: ['frontend', 'billing', 'gateway', 'search', 'mailer', 'ledger'].flatMap((service) => [
      `${service}-build.tar.gz`,
      `${service}-debug-symbols.tar.xz`,
      `${service}-nightly.oci`,
    ]),
    least: 3 * MiB,
    most: 180 * MiB,
  },
  {
    names: ['7b-instruct', '13b-chat', '70b-base'].map((model) => `weights-${model}.safetensors`),
    least: 13 * GiB,
    most: 131 * GiB,
  },
  {
    names: ['mon', 'tue', 'wed', 'thu', 'fri'].map((day) => `backup-postgres-${day}.dump`),
    least: 4 * GiB,
    most: 9 * GiB,
  },
  { names: ['notes.txt', 'SHA512SUMS', 'packages.list', 'sbom.json'], least: 80, most: 300 * KiB },
]

/** A number between two, the same for the same text; small ones as often as large ones. */
const between = (text: string, least: number, most: number): number => {
  const part = createHash('sha512').update(text).digest().readUInt32BE() / 2 ** 32
  return Math.round(least * (most / least) ** part)
}

const sizeOf = (name: string): number => {
  const kind = kinds.find(({ names }) => names.includes(name))
  return kind ? between(name, kind.least, kind.most) : between(name, 500 * MiB, 2 * GiB)
}

export interface UsedStore {
  readonly server: RunningServer
  /** The UUID of an artifact with three versions, labels and metadata. */
  readonly artifact: string
}

const settings = {
  HOLDFAST_LOG_LEVEL: 'error',
  HOLDFAST_VERIFY_INTERVAL: '0',
  HOLDFAST_NODE_NAME: 'store-1.example.com',
}

/** Makes such a store, and starts it. */
export const openUsedStore = async (): Promise<UsedStore> => {
  const first = await startServer({ settings })
  const artifact = await fill(first)
  await first.stop()
  makeOld(first.dataDir)
  const server = await startServer({ settings, dataDir: first.dataDir })
  await cause(server)
  return { server, artifact }
}

const systemOf = ({ url, systemKey }: RunningServer) =>
  createClient({ url, namespace: 'system', key: systemKey })

const fill = async (server: RunningServer): Promise<string> => {
  const system = systemOf(server)
  for (const namespace of ['builds', 'research']) {
    await system.namespaces.create({ namespace })
    await system.namespaces.addKey(namespace, 'first', `a key of the namespace ${namespace}`)
  }
  await system.namespaces.addKey('builds', 'pipeline', 'another key of the namespace builds')
  await system.namespaces.addTrust('builds', 'research')
  await system.call('setLimits', { params: { namespace: 'builds' }, body: { max_bytes: 400 * GiB } })
  await system.call('setLimits', { params: { namespace: 'research' }, body: { max_bytes: 20 * GiB } })
  const put = (name: string, namespace: string, content: string | Uint8Array<ArrayBuffer>) =>
    system.upload({
      source: new Blob([content]),
      name,
      namespace,
      artifactType: /qcow2|iso/.test(name) ? 'image' : 'other',
    })
  for (const { names } of kinds)
    for (const name of names) {
      // Most of what one namespace has another has, too: that is what deduplication is for
      await put(name, 'system', `content of ${name}`)
      await put(name, 'builds', `content of ${name}`)
    }
  await put('weights-13b-chat.safetensors', 'research', 'content of weights-13b-chat.safetensors')
  let artifact = ''
  for (const label of ['previous', 'stable', undefined]) {
    const result = await put('golden-image.qcow2', 'system', randomBytes(2000))
    artifact = result.artifact.uuid
    if (label) await system.labels.update(label, { blob_uuid: result.blobUuid })
  }
  await system.artifacts.metadata.set(artifact, 'commit', 'f3a91c07')
  await system.artifacts.metadata.set(artifact, 'pipeline', 'https://ci.example.com/golden/1841')
  await system.artifacts.share(artifact)
  const damaged = await put('damaged-in-transit.img', 'research', randomBytes(3000))
  await rm(join(server.dataDir, 'blobs', damaged.blobUuid.slice(0, 2), damaged.blobUuid))
  const params = { blob_uuid: damaged.blobUuid }
  await system.call('verifyBlob', { params, body: { wait: 10 } })
  // Until their digests are made, blobs would be read once more, and found to have another size
  for (;;) {
    const job = await system.call('runJob', { params: { job: 'digest-blobs' }, body: { wait: 10 } })
    if (Object.values(job.last_run?.report ?? {}).every((figure) => figure === 0)) return artifact
  }
}

interface ArtifactRow {
  uuid: string
  name: string
  type: string
}

/** Gives everything a size and a date. */
const makeOld = (dataDir: string): void => {
  const db = new DatabaseSync(join(dataDir, 'holdfast.db'))
  const now = Date.now()
  db.exec('BEGIN')
  const artifacts = db.prepare('SELECT uuid, name, type FROM artifacts').all() as unknown as ArtifactRow[]
  for (const { uuid, name, type } of artifacts) {
    const age = between(`${uuid} age`, 5 * 3_600_000, 380 * dayMs)
    const versions = db
      .prepare('SELECT idx, blob_uuid FROM versions WHERE artifact_uuid = ? ORDER BY idx')
      .all(uuid) as { idx: number; blob_uuid: string }[]
    for (const { idx, blob_uuid } of versions) {
      const at = now - Math.round(age / 1.7 ** (idx - 1))
      // A label's blob has its size from the artifact that it points at
      if (type !== 'label')
        db.prepare('UPDATE blobs SET size = ?, created_at = ?, verified_at = ? WHERE uuid = ?').run(
          sizeOf(name) + (versions.length > 1 ? idx * 37 * MiB : 0),
          at,
          now - between(blob_uuid, 60_000, dayMs),
          blob_uuid,
        )
      db.prepare('UPDATE versions SET created_at = ? WHERE artifact_uuid = ? AND idx = ?').run(at, uuid, idx)
      db.prepare(`UPDATE events SET at = ? WHERE object_uuid = ? AND message = ?`).run(
        at,
        uuid,
        `added version ${idx}`,
      )
      db.prepare('UPDATE artifacts SET created_at = ?, updated_at = ? WHERE uuid = ?').run(
        now - age,
        at,
        uuid,
      )
    }
    // It was created before its first version, and all else came after its last
    db.prepare(
      `UPDATE events SET at = CASE message WHEN 'created' THEN ? ELSE (SELECT updated_at + 90000 FROM artifacts
       WHERE uuid = object_uuid) END WHERE object_uuid = ? AND message NOT LIKE 'added version %'`,
    ).run(now - age, uuid)
    db.prepare(
      `UPDATE artifacts SET size = coalesce((SELECT blobs.size FROM versions JOIN blobs ON blobs.uuid = blob_uuid
       WHERE artifact_uuid = artifacts.uuid ORDER BY idx DESC LIMIT 1), 0) WHERE uuid = ?`,
    ).run(uuid)
  }
  db.exec(`UPDATE metadata_values SET
    size = (SELECT size FROM artifacts WHERE uuid = object_uuid),
    created_at = (SELECT created_at FROM artifacts WHERE uuid = object_uuid),
    updated_at = (SELECT updated_at FROM artifacts WHERE uuid = object_uuid)
    WHERE object_type = 'artifact'`)
  addSamples(db, now)
  db.exec('COMMIT')
  db.close()
}

const logicalOf = `SELECT sum(blobs.size) AS bytes, count(*) AS versions FROM versions
  JOIN blobs ON blobs.uuid = blob_uuid WHERE live = 1 AND versions.created_at <= ?`
const storedOf = 'SELECT sum(size) AS bytes, count(*) AS blobs FROM blobs WHERE created_at <= ?'

/** What the job would have found in those days, as far as what is there still tells. */
const addSamples = (db: DatabaseSync, now: number): void => {
  db.exec('DELETE FROM usage_samples')
  const insert = db.prepare(
    `INSERT INTO usage_samples (span, at, stored_bytes, unreferenced_bytes, logical_bytes, blobs, versions, artifacts,
      uploads, upload_bytes, free_bytes, count_ms) VALUES (?, ?, ?, 0, ?, ?, ?, ?, 1, 0, ?, 0)`,
  )
  const sample = (span: number, at: number) => {
    const logical = db.prepare(logicalOf).get(at) as { bytes: number; versions: number }
    const stored = db.prepare(storedOf).get(at) as { bytes: number; blobs: number }
    const { versions } = logical
    insert.run(span, at, stored.bytes ?? 0, logical.bytes ?? 0, stored.blobs, versions, versions, 900 * GiB)
  }
  for (let days = 400; days > 90; days--) sample(86_400, now - days * dayMs)
  for (let hours = 90 * 24; hours > 48; hours -= 6)
    sample(hours % 24 === 0 ? 86_400 : 3600, now - hours * 3_600_000)
  for (let minutes = 48 * 60; minutes > 0; minutes -= 15)
    sample(minutes % 60 === 0 ? 3600 : 300, now - minutes * 60_000)
}

/** What went wrong of late, an upload that somebody has begun, and a blob that nothing refers to. */
const cause = async (server: RunningServer): Promise<void> => {
  const system = systemOf(server)
  await upload(await login(server.url, 'system', server.systemKey), randomBytes(120_000))
  const builds = await login(server.url, 'builds', 'a key of the namespace builds')
  const { uuid } = (await builds.post('/upload', { size: 12 * GiB })).json
  await builds.send('POST', `/upload/${uuid}`, { body: randomBytes(3_000_000) })
  const research = await login(server.url, 'research', 'a key of the namespace research')
  await research.post('/upload', { size: 30 * GiB })
  await createClient({ url: server.url, namespace: 'builds', key: 'an old key' })
    .token()
    .catch(() => {})
  const lost = await system.upload({ source: new Blob([randomBytes(70_000)]), name: 'thrown-away.bin' })
  await system.artifacts.delete(lost.artifact.uuid)
}
