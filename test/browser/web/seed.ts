/** A store that looks like one in use: many artifacts with names, versions, labels, metadata, and a second namespace. */
import { randomBytes } from 'node:crypto'
import { createClient } from '@holdfast/client'
import type { RunningServer } from '../../support/server.ts'

const names = [
  ...['debian-12', 'debian-13', 'ubuntu-24.04', 'rocky-9', 'fedora-43', 'alpine-3.22'].flatMap((system) => [
    `${system}-generic-amd64.qcow2`,
    `${system}-generic-arm64.qcow2`,
    `${system}-netinst.iso`,
    `${system}-rootfs.tar.zst`,
  ]),
  ...['frontend', 'billing', 'gateway', 'search', 'mailer'].flatMap((service) => [
    `${service}-build.tar.gz`,
    `${service}-debug-symbols.tar.xz`,
    `${service}-nightly.oci`,
  ]),
  ...['7b-instruct', '13b-chat', '70b-base'].map((model) => `weights-${model}.safetensors`),
  ...['mon', 'tue', 'wed', 'thu', 'fri'].map((day) => `backup-postgres-${day}.dump`),
]

/** Makes about a hundred artifacts; answers the UUID of one with three versions, and the key of `builds`. */
export const seed = async (server: RunningServer): Promise<{ artifact: string; buildsKey: string }> => {
  const system = createClient({ url: server.url, namespace: 'system', key: server.systemKey })
  const buildsKey = 'a key of the namespace builds'
  for (const namespace of ['builds', 'research']) await system.namespaces.create({ namespace })
  await system.namespaces.addKey('builds', 'first', buildsKey)
  await system.namespaces.addTrust('builds', 'research')
  const put = (name: string, namespace?: string) =>
    system.upload({
      source: new Blob([randomBytes(1000 + Math.floor(Math.random() * 300_000))]),
      name,
      ...(namespace === undefined ? {} : { namespace }),
      artifactType: name.includes('backup') ? 'other' : 'image',
    })
  for (const namespace of [undefined, 'builds']) for (const name of names) await put(name, namespace)
  let artifact = ''
  for (let version = 0; version < 3; version++) {
    const result = await put('golden-image.qcow2')
    artifact = result.artifact.uuid
    if (version < 2)
      await system.labels.update(version === 0 ? 'previous' : 'stable', { blob_uuid: result.blobUuid })
  }
  await system.artifacts.metadata.set(artifact, 'commit', 'f3a91c07')
  await system.artifacts.metadata.set(artifact, 'pipeline', 'https://ci.example.com/golden/1841')
  await system.artifacts.share(artifact)
  return { artifact, buildsKey }
}
