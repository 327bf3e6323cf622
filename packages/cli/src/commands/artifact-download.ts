/** `holdfast artifact download`. */
import type { Command } from 'commander'
import { action, define, wholeNumber } from '../command.ts'
import { NotFoundError } from '../failures.ts'
import { download } from '../transfers/download.ts'

interface DownloadCommandOptions {
  readonly version?: number
  readonly connections?: number
}

export const addArtifactDownload = (artifact: Command): void => {
  define(artifact, 'download <artifact_ref>', {
    description: 'Download the newest version of an artifact. An interrupted download is continued.',
    examples: [
      'artifact download debian debian.qcow2',
      'artifact download debian . --version 3',
      'artifact download nightly - | tar t',
    ],
    more: 'The bytes are compared with their SHA-512 before the file gets its name.',
  })
    .argument('<destination>', 'a file, a directory, or - for standard output')
    .option('--version <number>', 'another version than the newest', wholeNumber(1))
    .option(
      '--connections <number>',
      'how many parts are fetched at the same time (default: 4)',
      wholeNumber(1),
    )
    .action(
      action(async (context, ref: string, destination: string, options: DownloadCommandOptions) => {
        const client = await context.client()
        const artifact = await client.artifacts.show(ref)
        const index = options.version ?? artifact.index
        const version = artifact.blobs[index]
        if (version === undefined) {
          throw new NotFoundError(
            options.version === undefined ? 'the artifact has no versions' : `it has no version ${index}`,
            `It has these: ${Object.keys(artifact.blobs).join(', ') || 'none'}.`,
          )
        }
        // With the data on standard output, words about it must not be there
        const say = (text: string) => (destination === '-' ? context.note(text) : context.print(text))
        say(`${ref} -> ${version.uuid} of ${version.size} bytes`)
        await download(context, {
          ref: { blob: version.uuid },
          destination,
          name: artifact.name ?? ref,
          connections: options.connections,
        })
        say('Download complete')
      }),
    )
}
