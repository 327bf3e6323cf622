/** One upload as commands run it: with progress, and with words for what is kept when it ends early. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { UploadResult, UploadTarget } from '@holdfast/client'
import type { NodeSource } from '@holdfast/client/node'
import type { Context } from '../context.ts'
import { AdvisedError, Interrupted, UsageError } from '../failures.ts'
import { size } from '../output/units.ts'

export interface UploadOrder {
  readonly target: UploadTarget
  /** A path, or `-` for standard input. */
  readonly source: string
  /** Tells it from other transfers of the same run; empty when there is only one. */
  readonly label: string
  readonly lookup?: boolean
  /** Do not trust a digest from an earlier run, even if the file looks unchanged. */
  readonly rehash?: boolean
}

interface OpenSource {
  readonly source: NodeSource
  /** Whether an interrupted upload of it can go on later. */
  readonly continues: boolean
}

/** Files are read by path, everything else (pipes, terminals, devices) once, as a stream. */
const openSource = async (context: Context, path: string): Promise<OpenSource> => {
  if (path === '-') {
    if (context.keyIsOnStdin)
      throw new UsageError('the key and the data cannot both come from standard input')
    return { source: context.host.stdin, continues: false }
  }
  const { isFile, isDirectory } = await stat(path).then((found) => ({
    isFile: found.isFile(),
    isDirectory: found.isDirectory(),
  }))
  if (isDirectory) {
    throw new UsageError(`${path} is a directory`, 'Upload its files (--each), or an archive of it.')
  }
  return isFile ? { source: path, continues: true } : { source: createReadStream(path), continues: false }
}

/** Uploads one file. */
export const upload = async (context: Context, order: UploadOrder): Promise<UploadResult> => {
  const { target, label } = order
  const client = await context.client()
  const { source, continues } = await openSource(context, order.source)
  const display = await context.display()
  let uploadUuid: string | undefined
  let onServer = 0
  try {
    return await client.upload({
      ...target,
      source,
      ...(order.lookup === undefined ? {} : { lookup: order.lookup }),
      ...(order.rehash === undefined ? {} : { rehash: order.rehash }),
      onUpload: ({ uuid, node, resumed }) => {
        uploadUuid = uuid
        onServer = resumed
        const to = `upload ${uuid} to ${node}`
        const what = label === '' ? '' : `${label}: `
        if (resumed > 0) context.note(`${what}Continuing ${to} at ${size(resumed)}`)
        else if (context.options.verbose) context.note(`${what}New ${to}`)
      },
      onProgress: (progress) => {
        if (progress.phase === 'send') onServer = progress.done
        display.update(label, progress)
      },
    })
  } catch (error) {
    throw new AdvisedError(error, advice(order, { error, uploadUuid, onServer, continues }))
  } finally {
    display.finish(label)
  }
}

interface Ending {
  readonly error: unknown
  readonly uploadUuid: string | undefined
  readonly onServer: number
  readonly continues: boolean
}

const advice = (order: UploadOrder, { error, uploadUuid, onServer, continues }: Ending): string[] => {
  if (uploadUuid === undefined) return []
  if (!continues) return ['Standard input can be read only once, so nothing was kept: start again.']
  const mayGoOn = error instanceof Interrupted || !isFinal(error)
  if (!mayGoOn) return []
  return [
    `About ${size(onServer)} of ${order.source} are on the server, and are kept there for a day after the last byte.`,
    `To continue, run the same command again, or: holdfast upload resume ${uploadUuid}`,
  ]
}

/** Failures after which the client library has given the upload up. */
const isFinal = (error: unknown): boolean =>
  error instanceof Error && ['SourceChangedError', 'VerificationError'].includes(error.name)

/** What the official client prints when an upload is over. */
export const announce = (context: Context, { hit, artifact }: UploadResult, name = ''): void => {
  const suffix = name === '' ? '' : ` (${name})`
  context.print(`${hit ? 'Recycling existing blob' : 'Uploading new blob'}${suffix}`)
  context.print(`Created artifact ${artifact.uuid}${suffix}`)
}
