/** Artifacts in the three shapes of the official client. */
import type { ArtifactView, VersionView } from '@holdfast/client'
import { json } from './json.ts'
import { factLines, metadataLines } from './metadata.ts'
import { fixed, str } from './python.ts'
import type { Shape } from './shape.ts'
import { simpleRows, table } from './table.ts'

const MiB = 1024 * 1024

const rowOf = (artifact: ArtifactView): unknown[] => [
  artifact.uuid,
  artifact.namespace,
  artifact.artifact_type,
  artifact.source_url,
  `${Object.keys(artifact.blobs).length} of ${artifact.index}`,
  artifact.state,
  artifact.shared,
]

/** `artifact list`. */
export const artifactList = (artifacts: readonly ArtifactView[], shape: Shape): string => {
  if (shape === 'json') return json(artifacts)
  const rows = artifacts.map(rowOf)
  return shape === 'simple'
    ? simpleRows('uuid,namespace,type,source_url,versions,state,shared', rows)
    : table(['uuid', 'namespace', 'type', 'source url', 'versions', 'state', 'shared'], rows)
}

const shown = [
  'uuid',
  'namespace',
  'artifact_type',
  'state',
  'source_url',
  'blob_uuid',
  'index',
  'blobs',
  'max_versions',
  'shared',
] as const

const versionLine = (index: string, version: ArtifactView['blobs'][string], simple: boolean): string => {
  const size = `${fixed(version.size, MiB, 1)}MB`
  const instances = version.instances ?? []
  if (simple) return `${index}:${size},${instances.join(',')}`
  const use = instances.length > 0 ? 'in use by instances' : ''
  return `    ${index.padEnd(2)} : blob ${version.uuid} is ${size} ${use} ${instances.join(', ')}`
}

/** `artifact show` and `label show`. */
export const artifactDetails = (
  artifact: ArtifactView,
  metadata: Readonly<Record<string, unknown>>,
  shape: Shape,
): string => {
  if (shape === 'json') {
    const facts = Object.fromEntries(
      shown.filter((name) => artifact[name] !== undefined).map((name) => [name, artifact[name]]),
    )
    return json({ ...facts, metadata })
  }
  const simple = shape === 'simple'
  const facts: [string, unknown][] = [
    ['uuid', artifact.uuid],
    ['namespace', artifact.namespace],
    ['type', artifact.artifact_type],
    ['state', artifact.state],
    ['source url', artifact.source_url],
    ['current version blob uuid', artifact.blob_uuid],
    ['number of versions', Object.keys(artifact.blobs).length],
    ['maximum versions', artifact.max_versions],
    ['shared', artifact.shared],
  ]
  return [
    ...factLines(facts, simple, 25),
    '',
    ...metadataLines(metadata, simple),
    ...(simple ? ['version,size,instance'] : ['', 'Versions:']),
    ...Object.entries(artifact.blobs).map(([index, version]) => versionLine(index, version, simple)),
  ].join('\n')
}

/** `artifact versions`: JSON in every shape, as the official client has it. */
export const versionList = (versions: readonly VersionView[]): string => json(versions)

/** `label list`. */
export const labelList = (labels: readonly ArtifactView[], shape: Shape): string => {
  if (shape === 'json') return json(labels)
  const rows = labels.map((label) => [
    label.uuid,
    label.namespace,
    label.name ?? str(label.source_url).split('/').at(-1),
    label.blob_uuid,
    `${Object.keys(label.blobs).length} of ${label.index}`,
    label.shared,
  ])
  return shape === 'simple'
    ? simpleRows('uuid,namespace,label,blob_uuid,versions,shared', rows)
    : table(['uuid', 'namespace', 'label', 'blob uuid', 'versions', 'shared'], rows)
}
