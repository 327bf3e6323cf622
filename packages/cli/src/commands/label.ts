/** `holdfast label`. */
import type { Command } from 'commander'
import { action, define, explainGroup, wholeNumber } from '../command.ts'
import { artifactDetails, labelList } from '../output/artifact.ts'
import { json } from '../output/json.ts'
import { parseLabel, resolveBlob } from '../resolve.ts'
import { metadataOf } from './metadata.ts'

export const fillLabel = (label: Command): void => {
  explainGroup(label, 'label update stable debian@3')
  define(label, 'list', {
    description: 'List the labels you may see.',
    examples: ['label list'],
  }).action(
    action(async (context) => {
      const client = await context.client()
      const all = await client.artifacts.list({ type: 'label' })
      // Servers that know no filters answer everything
      const labels = all.filter((artifact) => artifact.artifact_type === 'label')
      context.print(labelList(labels, context.shape))
    }),
  )
  define(label, 'show <label>', {
    description: 'Show a label and what it pointed at.',
    examples: ['label show stable', 'label show other-namespace/stable'],
  }).action(
    action(async (context, text: string) => {
      const client = await context.client()
      const { name, namespace } = parseLabel(text)
      const view = await client.labels.show(name, namespace)
      const metadata = await metadataOf(client, 'artifact-metadata', () =>
        client.artifacts.metadata.show(view.uuid),
      )
      context.print(artifactDetails(view, metadata, context.shape))
    }),
  )
  define(label, 'update <label> <blob_uuid>', {
    description: 'Point a label at a blob, or at the newest or a given version of an artifact.',
    examples: [
      'label update stable debian',
      'label update stable debian@3',
      'label update other-namespace/stable debian',
    ],
    more: 'In place of the blob: its UUID, the name or UUID of an artifact, or one of these with @VERSION.',
  })
    .option('--max-versions <number>', 'how many earlier blobs the label remembers', wholeNumber(1))
    .action(
      action(async (context, text: string, target: string, { maxVersions }: { maxVersions?: number }) => {
        const client = await context.client()
        const { name, namespace } = parseLabel(text)
        const update = (blob_uuid: string) =>
          client.labels.update(
            name,
            { blob_uuid, ...(maxVersions === undefined ? {} : { max_versions: maxVersions }) },
            namespace,
          )
        // As the official client, in every format: nothing is printed
        await resolveBlob(client, target, update)
      }),
    )
  define(label, 'delete <label>', {
    description: 'Delete a label. What it pointed at stays as long as anything else refers to it.',
    examples: ['label delete stable'],
  }).action(
    action(async (context, text: string) => {
      const client = await context.client()
      const { name, namespace } = parseLabel(text)
      const view = await client.labels.delete(name, namespace)
      if (context.shape === 'json') context.print(json(view))
    }),
  )
}
