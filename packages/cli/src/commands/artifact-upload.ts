/** `holdfast artifact upload`. */
import { basename } from 'node:path'
import type { Command } from 'commander'
import { action, addShared, define, wholeNumber } from '../command.ts'
import { UsageError } from '../failures.ts'
import { runAll } from '../transfers/run-all.ts'
import { announce, upload } from '../transfers/upload.ts'

interface UploadCommandOptions {
  readonly source_url?: string
  readonly shared?: boolean
  readonly checksum: boolean
  readonly rehash?: boolean
  readonly namespace?: string
  readonly type?: 'image' | 'other'
  readonly each?: boolean
  readonly jobs: number
}

interface Item {
  readonly name: string
  readonly source: string
}

/** `NAME FILE`, or with `--each` files that give the artifacts their names. */
const itemsOf = (words: readonly string[], each: boolean): Item[] => {
  if (!each) {
    const [name, source, ...more] = words
    if (source === undefined) throw new UsageError("missing required argument 'source'")
    if (more.length > 0)
      throw new UsageError('too many arguments', 'For several files: holdfast artifact upload --each FILE...')
    return [{ name: name!, source }]
  }
  const items = words.map((source) => ({ name: basename(source), source }))
  const names = new Set(items.map(({ name }) => name))
  if (words.includes('-')) throw new UsageError('standard input has no name: upload it on its own, with one')
  if (names.size < items.length) throw new UsageError('two of these files have the same name')
  return items
}

export const addArtifactUpload = (artifact: Command): void => {
  const command = define(artifact, 'upload', {
    description: 'Upload a file as the newest version of an artifact. An interrupted upload is continued.',
    examples: [
      'artifact upload debian debian-12.qcow2',
      'artifact upload --each --jobs 4 build/*.img',
      'artifact upload nightly - < nightly.tar',
    ],
    more:
      'The file is hashed while it is sent; when the server has the content already, the rest is not sent. ' +
      'A file that has not changed since it was hashed last is not even read then.',
  })
    .usage('[options] <name> <source>\n       holdfast artifact upload [options] --each <source...>')
    .argument('<name>', 'name of the artifact')
    .argument('[source...]', 'the file; - is standard input')
    .option('--source_url <url>', 'act as if this artifact was downloaded from this URL')
    .option('--checksum', 'look for the content on the server first (default)')
    .option('--no-checksum', 'send the file even if the server has its content')
    .option('--rehash', 'hash the file even if it is unchanged since it was hashed last')
    .option('--namespace <namespace>', 'make it in another namespace')
    .addOption(
      artifact
        .createOption('--type <type>', 'type of the artifact')
        .choices(['image', 'other'])
        .default('image'),
    )
    .option('--each', 'each argument is a file, and its name that of the artifact')
    .option('-j, --jobs <number>', 'how many files of --each go at the same time', wholeNumber(1), 3)
  addShared(command).action(
    action(async (context, first: string, rest: string[], options: UploadCommandOptions) => {
      const { each = false, checksum, rehash, jobs, shared, namespace, source_url, type } = options
      const items = itemsOf([first, ...rest], each)
      const labelOf = ({ name }: Item) => name
      await runAll(items, jobs, context.signal, labelOf, async ({ name, source }) => {
        const label = items.length > 1 ? name : ''
        const target = {
          name,
          ...(shared === undefined ? {} : { shared }),
          ...(namespace === undefined ? {} : { namespace }),
          ...(source_url === undefined ? {} : { sourceUrl: source_url }),
          ...(type === 'other' ? { artifactType: type } : {}),
        }
        const order = { target, source, label, lookup: checksum, ...(rehash === undefined ? {} : { rehash }) }
        announce(context, await upload(context, order), label)
      })
    }),
  )
}
