/** `holdfast publish`: a file or URL becomes an artifact, and a label if wanted, in one step. */
import { basename } from 'node:path'
import type { ArtifactView } from '@holdfast/client'
import type { Command } from 'commander'
import { action, explainCommand, wholeNumber } from '../command.ts'
import type { Context } from '../context.ts'
import { AdvisedError, UsageError } from '../failures.ts'
import { json } from '../output/json.ts'
import { parseLabel } from '../resolve.ts'
import { fetchUrl } from '../transfers/fetch-url.ts'
import { announce, upload } from '../transfers/upload.ts'

interface PublishOptions {
  readonly name?: string
  readonly label?: string
  readonly share?: true
  readonly maxVersions?: number
  readonly namespace?: string
  readonly rehash?: boolean
}

const isUrl = (source: string): boolean => /^https?:\/\//i.test(source)

const nameFor = (source: string, { name }: PublishOptions): string => {
  if (name !== undefined) return name
  if (source === '-') throw new UsageError('standard input has no name: say one with --name')
  return isUrl(source)
    ? decodeURIComponent(basename(new URL(source).pathname)) || new URL(source).hostname
    : basename(source)
}

/** The bytes become a version of the artifact. */
const makeVersion = async (
  context: Context,
  source: string,
  name: string,
  options: PublishOptions,
): Promise<ArtifactView> => {
  const { namespace, share, rehash } = options
  const place = {
    ...(namespace === undefined ? {} : { namespace }),
    ...(share === undefined ? {} : { shared: share }),
  }
  if (isUrl(source)) {
    const client = await context.client()
    const blob = await fetchUrl(context, source, namespace)
    const artifact = await client.artifacts.convert(name, { blob_uuid: blob, ...place })
    if (context.shape !== 'json') context.print(`Created artifact ${artifact.uuid}`)
    return artifact
  }
  const result = await upload(context, {
    target: { name, ...place },
    source,
    label: '',
    ...(rehash === undefined ? {} : { rehash }),
  })
  if (context.shape !== 'json') announce(context, result)
  return result.artifact
}

/** What comes after the version: sharing, pruning, the label. Each step may be repeated. */
const finish = async (
  context: Context,
  made: ArtifactView,
  { share, maxVersions, label }: PublishOptions,
): Promise<{ artifact: ArtifactView; label?: ArtifactView }> => {
  const client = await context.client()
  try {
    // An artifact that existed before is not shared by adding a version
    if (share && !made.shared) await client.artifacts.share(made.uuid)
    if (maxVersions !== undefined) await client.artifacts.setMaxVersions(made.uuid, maxVersions)
    const artifact = await client.artifacts.show(made.uuid)
    if (label === undefined) return { artifact }
    const { name, namespace } = parseLabel(label)
    return { artifact, label: await client.labels.update(name, { blob_uuid: made.blob_uuid! }, namespace) }
  } catch (error) {
    throw new AdvisedError(error, [
      `Version ${made.index} of the artifact ${made.uuid} is there; only what comes after it is not done.`,
      'The same command again does the rest: nothing is sent or stored twice.',
    ])
  }
}

export const fillPublish = (command: Command): void => {
  explainCommand(command, {
    examples: [
      'publish build/app.img --name app --label stable --max-versions 10',
      'publish https://example.com/base.qcow2 --name base --share',
      'publish - --name nightly < nightly.tar',
    ],
    more: 'A URL is fetched by the server. An interrupted upload of a file is continued.',
  })
    .option('--name <name>', 'name of the artifact (default: that of the file)')
    .option('--label <label>', 'point this label (NAME or NAMESPACE/NAME) at the new version')
    .option('--rehash', 'hash the file even if it is unchanged since it was hashed last')
    .option('--share', 'share it with every namespace (only for the namespace system)')
    .option('--max-versions <number>', 'how many versions the artifact keeps', wholeNumber(1))
    .option('--namespace <namespace>', 'make it in another namespace')
    .action(
      action(async (context, source: string, options: PublishOptions) => {
        const name = nameFor(source, options)
        if (options.label !== undefined) parseLabel(options.label)
        const made = await makeVersion(context, source, name, options)
        const done = await finish(context, made, options)
        if (context.shape === 'json') context.print(json(done))
        else if (done.label) context.print(`Updated label ${done.label.uuid}`)
      }),
    )
}
