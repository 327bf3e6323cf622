/** `holdfast artifact`: the official commands; uploads and downloads are in files of their own. */
import type { Command } from 'commander'
import { action, addShared, define, explainGroup, wholeNumber } from '../command.ts'
import { artifactDetails, artifactList, versionList } from '../output/artifact.ts'
import { json } from '../output/json.ts'
import { addArtifactDownload } from './artifact-download.ts'
import { addArtifactUpload } from './artifact-upload.ts'
import { addEvents } from './events.ts'
import { addListOptions, addMetadataOption, type ListOptions, readList } from './list-options.ts'
import { addMetadataCommands, metadataOf } from './metadata.ts'

interface CacheOptions {
  readonly shared?: boolean
  readonly namespace?: string
}

export const fillArtifact = (artifact: Command): void => {
  explainGroup(artifact, 'artifact upload debian debian-12.qcow2')
  const cache = define(artifact, 'cache <image_url>', {
    description: 'Let the server fetch an image from a URL, in the background.',
    examples: [
      'artifact cache https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-generic-amd64.qcow2',
    ],
    more: '`holdfast artifact show NAME` tells how far it is; `holdfast publish URL` waits for it.',
  })
  addShared(cache)
    .option('--namespace <namespace>', 'make it in another namespace')
    .action(
      action(async (context, url: string, { shared = false, namespace }: CacheOptions) => {
        const client = await context.client()
        await client.artifacts.fetch({ url, shared, ...(namespace === undefined ? {} : { namespace }) })
        if (context.shape === 'json') context.print('{}')
      }),
    )
  addArtifactUpload(artifact)
  addArtifactDownload(artifact)
  addReading(artifact)
  addChanging(artifact)
  addEvents(artifact, 'artifact_ref', 'debian', (client, ref, filter) => client.artifacts.events(ref, filter))
  addMetadataCommands(artifact, {
    argument: 'artifact_ref',
    example: 'debian',
    capability: 'artifact-metadata',
    routes: (client) => client.artifacts.metadata,
  })
}

const addReading = (artifact: Command): void => {
  const list = define(artifact, 'list', {
    description: 'List the artifacts you may see.',
    examples: [
      'artifact list',
      'artifact list --name debian- --type image --sort -created_at --limit 10',
      '--json artifact list --metadata os=linux',
    ],
  })
  addMetadataOption(addListOptions(list, ['name', 'created_at', 'updated_at', 'size']))
    .option('--name <prefix>', 'whose names begin so')
    .addOption(
      list.createOption('--type <type>', 'of this type').choices(['image', 'snapshot', 'label', 'other']),
    )
    .addOption(list.createOption('--state <state>', 'in this state').choices(['initial', 'created', 'error']))
    .option('--namespace <namespace>', 'of this namespace')
    .option('--blob <uuid>', 'that hold this blob; with --type label those that point at it')
    .action(
      action(async (context, options: ListOptions) => {
        const client = await context.client()
        context.print(artifactList(await readList(client, 'listArtifacts', {}, options), context.shape))
      }),
    )
  define(artifact, 'show <artifact_ref>', {
    description: 'Show an artifact and its versions, by name or UUID.',
    examples: ['artifact show debian'],
  }).action(
    action(async (context, ref: string) => {
      const client = await context.client()
      const view = await client.artifacts.show(ref)
      const metadata = await metadataOf(client, 'artifact-metadata', () =>
        client.artifacts.metadata.show(view.uuid),
      )
      context.print(artifactDetails(view, metadata, context.shape))
    }),
  )
  const versions = define(artifact, 'versions <artifact_ref>', {
    description: 'Show the versions of an artifact and their blobs, as JSON.',
    examples: ['artifact versions debian', 'artifact versions debian --sort -index --limit 1'],
  })
  addListOptions(versions, ['index', 'created_at']).action(
    action(async (context, ref: string, options: ListOptions) => {
      const client = await context.client()
      const input = { params: { artifact_ref: ref } }
      context.print(versionList(await readList(client, 'listVersions', input, options)))
    }),
  )
}

const addChanging = (artifact: Command): void => {
  define(artifact, 'delete <artifact_ref>', {
    description: 'Delete an artifact with all its versions.',
    examples: ['artifact delete debian'],
  }).action(
    action(async (context, ref: string) => {
      const client = await context.client()
      const view = await client.artifacts.delete(ref)
      if (context.shape === 'json') context.print(json(view))
    }),
  )
  define(artifact, 'delete-version <artifact_ref>', {
    description: 'Delete one version; with the last one goes the artifact.',
    examples: ['artifact delete-version debian 3'],
  })
    .argument('<version_id>', 'number of the version', wholeNumber())
    .action(
      action(async (context, ref: string, index: number) => {
        const client = await context.client()
        await client.artifacts.deleteVersion(ref, index)
      }),
    )
  define(artifact, 'max-versions <artifact_ref>', {
    description: 'Set how many versions an artifact keeps; older ones go at once.',
    examples: ['artifact max-versions debian 5'],
  })
    .argument('<max_versions>', 'how many, 1 or more', wholeNumber(1))
    .action(
      action(async (context, ref: string, max: number) => {
        const client = await context.client()
        await client.artifacts.setMaxVersions(ref, max)
      }),
    )
  define(artifact, 'share <artifact_ref>', {
    description: 'Let every namespace read an artifact of the namespace system.',
    examples: ['artifact share debian'],
  }).action(
    action(async (context, ref: string) => {
      const client = await context.client()
      await client.artifacts.share(ref)
    }),
  )
  define(artifact, 'unshare <artifact_ref>', {
    description: 'Take sharing back.',
    examples: ['artifact unshare debian'],
  }).action(
    action(async (context, ref: string) => {
      const client = await context.client()
      await client.artifacts.unshare(ref)
    }),
  )
}
