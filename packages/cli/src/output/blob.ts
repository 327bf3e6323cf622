/** Blobs in the three shapes of the official client. */
import type { BlobView } from '@holdfast/client'
import { json } from './json.ts'
import { factLines, metadataLines } from './metadata.ts'
import { fixed } from './python.ts'
import type { Shape } from './shape.ts'
import { simpleRows, table } from './table.ts'

const GiB = 1024 * 1024 * 1024

/**
 * The official client looks for the MIME type under a name that no server sends, so that its column is always empty. It
 * is filled here: an empty column helps nobody.
 */
const rowOf = (blob: BlobView, separator: string, audit?: Audit): unknown[] => [
  blob.uuid,
  blob.state,
  fixed(blob.size, GiB, 2),
  fixed(Math.trunc(Number(blob['virtual size'] ?? 0)), GiB, 2),
  blob['file format'] ?? '',
  blob['mime-type'] ?? '',
  blob.modified ?? 0,
  blob.fetched_at ?? 0,
  [...blob.locations].sort().join(' '),
  audit === undefined ? blob.reference_count : audited(blob, audit.get(blob.uuid) ?? 0),
  blob.instances.join(separator),
]

/** How often each blob is referred to, counted by this side. */
export type Audit = ReadonlyMap<string, number>

const audited = ({ reference_count: said }: BlobView, counted: number): string =>
  `${said} (audit ${counted}) ${said === counted ? '' : ' !!!'}`

/** The missing comma is the official client's, and scripts that take the head apart know it. */
const simpleHead =
  'uuid,state,size,virtual size,file format,mime type,modifiedfetched at,locations,reference count,instances'

/** `blob list`. */
export const blobList = (blobs: readonly BlobView[], shape: Shape, audit?: Audit): string => {
  if (shape === 'json') return json(blobs)
  if (shape === 'simple')
    return simpleRows(
      simpleHead,
      blobs.map((blob) => rowOf(blob, ' ', audit)),
    )
  const names = [
    'uuid',
    'state',
    'size',
    'virtual size',
    'file format',
    'mime type',
    'modified',
    'fetched at',
    'locations',
    'reference count',
    'instances',
  ]
  return table(
    names,
    blobs.map((blob) => rowOf(blob, '\n', audit)),
  )
}

/** `blob show` and `blob sha512`. */
export const blobDetails = (
  blob: BlobView,
  metadata: Readonly<Record<string, unknown>>,
  shape: Shape,
): string => {
  if (shape === 'json') return json(blob)
  const simple = shape === 'simple'
  const facts: [string, unknown][] = [
    ['uuid', blob.uuid],
    ['state', blob.state],
    ['actual size', blob.size],
    ['virtual size', blob['virtual size'] ?? '0'],
    ['sha512', blob.sha512],
    ['format', blob['file format']],
    ['fetched at', blob.fetched_at],
    ['last used', blob.last_used],
    ['reference count', blob.reference_count],
    ['locations', blob.locations.join(' ')],
  ]
  return [
    ...factLines(facts, simple, 16),
    '',
    ...metadataLines(metadata, simple),
    '',
    ...Object.entries(blob.transcodes ?? {}).map(([name, uuid]) => `Transcoded as ${name} at ${uuid}`),
    '',
    ...blob.instances.map((instance) => `Used by instance ${instance}`),
  ].join('\n')
}
