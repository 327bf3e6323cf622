/** `holdfast blob`. */
import type { BlobView } from '@holdfast/client'
import type { NodeClient } from '@holdfast/client/node'
import type { Command } from 'commander'
import { action, define, explainGroup, wholeNumber } from '../command.ts'
import type { Context } from '../context.ts'
import { type Audit, blobDetails, blobList } from '../output/blob.ts'
import { json } from '../output/json.ts'
import { download } from '../transfers/download.ts'
import { addEvents } from './events.ts'
import { addListOptions, addMetadataOption, type ListOptions, readList } from './list-options.ts'
import { addMetadataCommands, metadataOf } from './metadata.ts'

const exampleUuid = 'b817115a-8186-4c80-9cf0-f1ae460880ce'

const print = async (context: Context, blob: BlobView | null): Promise<void> => {
  if (context.shape === 'json') return context.print(json(blob))
  if (blob === null) return context.print('No blob found')
  const client = await context.client()
  const metadata = await metadataOf(client, 'blob-metadata', () => client.blobs.metadata.show(blob.uuid))
  context.print(blobDetails(blob, metadata, context.shape))
}

/** Versions of artifacts, labels among them, and blobs that need other blobs. */
const countReferences = async (client: NodeClient, blobs: readonly BlobView[]): Promise<Audit> => {
  const counts = new Map<string, number>()
  const count = (uuid: string) => counts.set(uuid, (counts.get(uuid) ?? 0) + 1)
  for (const artifact of await client.artifacts.list())
    for (const { uuid } of Object.values(artifact.blobs)) count(uuid)
  for (const { depends_on, transcodes } of blobs) {
    if (typeof depends_on === 'string') count(depends_on)
    for (const uuid of Object.values(transcodes ?? {})) count(String(uuid))
  }
  return counts
}

export const fillBlob = (blob: Command): void => {
  explainGroup(blob, `blob show ${exampleUuid}`)
  const list = define(blob, 'list', {
    description: 'List all blobs (only for the namespace system).',
    examples: ['blob list', '--simple blob list', 'blob list --audit', 'blob list --sort -size --limit 20'],
    more: 'With --audit, the references are counted anew; a count that differs is marked with !!!.',
  })
  addMetadataOption(addListOptions(list, ['created_at', 'size']))
    .addOption(list.createOption('--state <state>', 'in this state').choices(['created', 'quarantined']))
    .option('--audit', 'count the references of artifacts and other blobs to each blob')
    .addOption(blob.createOption('--no-audit', 'do not count (default)').hideHelp())
    .action(
      action(async (context, { audit = false, ...options }: ListOptions & { audit?: boolean }) => {
        const client = await context.client()
        const blobs = await readList(client, 'listBlobs', {}, options)
        const counted = audit ? await countReferences(client, blobs) : undefined
        context.print(blobList(blobs, context.shape, counted))
      }),
    )
  define(blob, 'show <uuid>', {
    description: 'Show a blob.',
    examples: [`blob show ${exampleUuid}`],
  }).action(
    action(async (context, uuid: string) => {
      const client = await context.client()
      await print(context, await client.blobs.show(uuid))
    }),
  )
  define(blob, 'sha512 <hash>', {
    description: 'Find the blob with this SHA-512, if there is one that you may see.',
    examples: [`blob sha512 "$(sha512sum debian.qcow2 | cut -d' ' -f1)"`],
  }).action(
    action(async (context, hash: string) => {
      const client = await context.client()
      await print(context, await client.blobs.find({ algorithm: 'sha512', hash }))
    }),
  )
  define(blob, 'download <uuid> <destination>', {
    description: 'Download a blob. An interrupted download is continued.',
    examples: [`blob download ${exampleUuid} debian.qcow2`, `blob download ${exampleUuid} - | tar t`],
    more: 'The destination is a file, a directory, or - for standard output.',
  })
    .option(
      '--connections <number>',
      'how many parts are fetched at the same time (default: 4)',
      wholeNumber(1),
    )
    .action(
      action(async (context, uuid: string, destination: string, options: { connections?: number }) => {
        await download(context, { ref: { blob: uuid }, destination, name: uuid, ...options })
        const say = (text: string) => (destination === '-' ? context.note(text) : context.print(text))
        say('Download complete')
      }),
    )
  addEvents(blob, 'blob_uuid', exampleUuid, (client, uuid, filter) => client.blobs.events(uuid, filter))
  addMetadataCommands(blob, {
    argument: 'uuid',
    example: exampleUuid,
    capability: 'blob-metadata',
    routes: (client) => client.blobs.metadata,
  })
}
