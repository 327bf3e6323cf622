/**
 * The independent half of the kill suite: compares what clients were promised with what is there, over HTTP, and with
 * the server stopped in the data directory itself.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Answer, Session } from '../support/api.ts'
import { patiently, type Report, sha512 } from './harness.ts'
import type { ArtifactBook, UploadBook, VersionBook } from './kill-books.ts'
import type { KillClient } from './kill-client.ts'
import { type Engine, embedded } from './kill-engine.ts'

/** All bytes of all versions, or of those that have not been read since they were acknowledged, and one more. */
export type Depth = 'fresh' | 'full'

/** Versions of which every byte has been found right once. */
const hashed = new WeakSet<VersionBook>()

const get = (session: Session, target: string): Promise<Answer> => patiently(() => session.get(target))

/** Holds what a client's books say against what the server shows. */
export const checkClient = async (client: KillClient, depth: Depth, report: Report): Promise<void> => {
  for (const upload of client.uploads) await checkUpload(client, upload, report)
  const again = Math.floor(Math.random() * client.artifacts.length)
  for (const [at, artifact] of client.artifacts.entries())
    await checkArtifact(client, artifact, at === again ? 'full' : depth, report)
  for (const uuid of client.deletedArtifacts.slice(depth === 'full' ? -20 : -3)) {
    const { status, json } = await get(client.session, `/artifacts/${uuid}`)
    report.check(
      status === 200 && json.state === 'deleted',
      () => `${client.label}: artifact ${uuid} was deleted and is ${status} ${json?.state}`,
    )
  }
}

const checkUpload = async (client: KillClient, upload: UploadBook, report: Report): Promise<void> => {
  const { status, json } = await get(client.session, `/upload/${upload.uuid}`)
  const isRight =
    (status === 200 && json.size === upload.content.length) ||
    (status === 404 && client.mayHaveExpired(upload))
  report.check(
    isRight,
    () =>
      `${client.label}: upload ${upload.uuid} had ${upload.content.length} acknowledged bytes and is now ` +
      `${status} ${JSON.stringify(json)}`,
  )
  report.count('uploads checked')
}

const checkArtifact = async (
  client: KillClient,
  artifact: ArtifactBook,
  depth: Depth,
  report: Report,
): Promise<void> => {
  const { status, json } = await get(client.session, `/artifacts/${artifact.uuid}`)
  const promised = {
    state: 'created',
    max_versions: artifact.maxVersions,
    index: [...artifact.versions.keys()].at(-1),
    blobs: [...artifact.versions].map(([index, { blobUuid, content }]) => [index, blobUuid, content.length]),
    metadata: [...artifact.metadata].sort(),
  }
  const found = status === 200 && {
    state: json.state,
    max_versions: json.max_versions,
    index: json.index,
    blobs: Object.entries<{ uuid: string; size: number }>(json.blobs)
      .sort(([a], [b]) => Number(a) - Number(b))
      .map(([index, { uuid, size }]) => [Number(index), uuid, size]),
    metadata: Object.entries(json.metadata).sort(([a], [b]) => (a < b ? -1 : 1)),
  }
  report.check(
    JSON.stringify(found) === JSON.stringify(promised),
    () =>
      `${client.label}: "${artifact.name}" (${artifact.uuid}) was promised as ${JSON.stringify(promised)} ` +
      `and is ${status} ${JSON.stringify(found)}`,
  )
  report.count('artifacts checked')
  for (const [index, version] of artifact.versions) {
    if (depth === 'fresh' && hashed.has(version)) continue
    const data = await get(client.session, `/blobs/${version.blobUuid}/data`)
    report.check(
      data.status === 200 && sha512(data.bytes) === version.sha512,
      () =>
        `${client.label}: version ${index} of "${artifact.name}" (blob ${version.blobUuid}) is lost or altered: ` +
        `${data.status}, ${data.bytes.length} of ${version.content.length} bytes`,
    )
    hashed.add(version)
    report.count('versions re-hashed')
  }
}

/** Every blob that `system` can list has the bytes it claims to have. */
export const checkAllBlobs = async (system: Session, report: Report): Promise<void> => {
  const { json } = await get(system, '/blobs')
  for (const blob of json as { uuid: string; sha512: string; size: number; state: string }[]) {
    const { status, bytes } = await get(system, `/blobs/${blob.uuid}/data`)
    // Collection may take an unreferenced one meanwhile.
    if (status === 404) continue
    report.check(
      blob.state === 'created' && status === 200 && sha512(bytes) === blob.sha512,
      () => `blob ${blob.uuid} in state ${blob.state} has not its bytes: ${status}`,
    )
    report.count('listed blobs re-hashed')
  }
}

/** What belongs at the top of a data directory, and nothing else does. */
const known =
  /^(holdfast\.db(-wal|-shm)?|lock\.db(-journal|-wal|-shm)?|system\.key|token\.key|client\.json|directory\.id|uploads|blobs|quarantine)$/

/** Those of all nodes, or of the only one. */
const directoriesOf = (dataDir: string, { nodes = [''] }: Engine): string[] =>
  nodes.map((node) => join(dataDir, node))

/** The bytes of unfinished uploads, which nobody can download, as a stopped server has left them. */
export const checkUploadFiles = async (
  dataDir: string,
  clients: readonly KillClient[],
  report: Report,
  engine: Engine,
): Promise<void> => {
  const read = async (uuid: string): Promise<Buffer | undefined> => {
    for (const directory of directoriesOf(dataDir, engine)) {
      const bytes = await readFile(join(directory, 'uploads', `${uuid}.data`)).catch(() => undefined)
      if (bytes) return bytes
    }
    return undefined
  }
  for (const client of clients)
    for (const upload of client.uploads) {
      const bytes = await read(upload.uuid)
      report.check(
        bytes === undefined ? client.mayHaveExpired(upload) : bytes.equals(upload.content),
        () =>
          `${client.label}: upload ${upload.uuid} of ${upload.content.length} acknowledged bytes has ` +
          `${bytes ? `${bytes.length} bytes, or others` : 'no file'}`,
      )
      report.count('upload files compared')
    }
}

/**
 * Compares the database of a stopped store with its files, both ways. `isQuiet` says that nothing was in flight and
 * that every grace period has passed: then there are no uploads, and every blob has a reference.
 */
export const checkDataDirectory = async (
  dataDir: string,
  isQuiet: boolean,
  report: Report,
  engine: Engine = embedded,
): Promise<void> => {
  await using database = await engine.open(dataDir)
  const rows = (sql: string) => database.rows(sql)
  {
    const damage = await database.complaints()
    report.check(damage.length === 0, () => `the database is damaged: ${damage.join(', ')}`)

    const blobs = new Map((await rows('SELECT * FROM blobs')).map((row) => [row.uuid as string, row]))
    const stored = await engine.stored?.(dataDir)
    const files = stored?.blobs ?? (await listBlobFiles(dataDir, report))
    if (stored && isQuiet)
      report.check(stored.unfinished.length === 0, () => `left in parts: ${stored.unfinished.join(', ')}`)
    for (const [uuid, row] of blobs) {
      const size = files.get(uuid)
      if (row.state !== 'deleted')
        report.check(
          row.state === 'created' && size === row.size,
          () => `blob ${uuid} (${row.state}, ${row.size} bytes) has ${size ?? 'no'} bytes on disk`,
        )
      else if (row.files_removed_at !== null || isQuiet)
        report.check(size === undefined, () => `the file of the deleted blob ${uuid} is still there`)
    }
    for (const uuid of files.keys())
      report.check(blobs.has(uuid), () => `stray file: blob ${uuid} has no row`)

    const bad = await rows(
      `SELECT versions.artifact_uuid, versions.idx FROM versions LEFT JOIN blobs ON blobs.uuid = versions.blob_uuid
       WHERE versions.live = 1 AND (blobs.state IS NULL OR blobs.state <> 'created')`,
    )
    report.check(bad.length === 0, () => `references without bytes: ${JSON.stringify(bad)}`)
    if (isQuiet) {
      const orphans = await rows(
        `SELECT uuid FROM blobs WHERE state <> 'deleted'
         AND uuid NOT IN (SELECT blob_uuid FROM versions WHERE live = 1)`,
      )
      report.check(
        orphans.length === 0,
        () => `blobs without a reference after the grace: ${JSON.stringify(orphans)}`,
      )
    }

    const uploads = await rows('SELECT uuid, node FROM uploads')
    for (const directory of directoriesOf(dataDir, engine)) {
      const uploadFiles = (await readdir(join(directory, 'uploads'))).sort()
      const wanted = uploads
        .filter(({ node }) => !engine.nodes || node === basename(directory))
        .flatMap(({ uuid }) => [`${uuid}.data`, `${uuid}.state`])
        .sort()
      report.check(
        JSON.stringify(uploadFiles) === JSON.stringify(wanted),
        () =>
          `${directory}/uploads holds ${JSON.stringify(uploadFiles)}, rows ask for ${JSON.stringify(wanted)}`,
      )
      const strays = (await readdir(directory)).filter((name) => !known.test(name))
      report.check(strays.length === 0, () => `stray files in ${directory}: ${strays.join(', ')}`)
    }
    if (isQuiet)
      report.check(uploads.length === 0, () => `uploads that never expired: ${JSON.stringify(uploads)}`)
    const quarantined = stored?.quarantined ?? (await readdir(join(dataDir, 'quarantine')).catch(() => []))
    report.check(quarantined.length === 0, () => `blobs in quarantine: ${quarantined.join(', ')}`)
    report.count('data directories checked')
  }
}

const listBlobFiles = async (dataDir: string, report: Report): Promise<Map<string, number>> => {
  const files = new Map<string, number>()
  const root = join(dataDir, 'blobs')
  for (const directory of await readdir(root))
    for (const name of await readdir(join(root, directory))) {
      report.check(
        /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name) && name.startsWith(directory),
        () => `stray file blobs/${directory}/${name}`,
      )
      files.set(name, (await stat(join(root, directory, name))).size)
    }
  return files
}
