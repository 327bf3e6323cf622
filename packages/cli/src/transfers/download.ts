/** One download as commands run it: with progress, and with words for what is kept when it ends early. */
import { access, realpath, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { DownloadRef, DownloadResult } from '@holdfast/client'
import type { Context } from '../context.ts'
import { AdvisedError, UserError } from '../failures.ts'
import { size } from '../output/units.ts'

export interface DownloadOrder {
  readonly ref: DownloadRef
  /** A path, a directory, or `-` for standard output. */
  readonly destination: string
  /** What the file is called in a directory. */
  readonly name: string
  readonly connections?: number | undefined
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** A path in a directory when the destination is one. Names with odd characters are not made into paths. */
const pathFor = async ({ destination, name }: DownloadOrder): Promise<string> => {
  const found = await stat(destination).catch(() => undefined)
  if (found?.isFile()) return await realpath(destination)
  if (!found && !(await exists(dirname(destination)))) {
    throw new UserError(`the directory ${dirname(destination)} does not exist`)
  }
  if (!found?.isDirectory()) return destination
  if (name === '.' || name === '..' || name.includes('/')) {
    throw new UserError(`${destination} is a directory`, 'Give the name of a file in it.')
  }
  return join(destination, name)
}

/** Downloads one blob; the bytes under the final name are always the right ones. */
export const download = async (context: Context, order: DownloadOrder): Promise<DownloadResult> => {
  const client = await context.client()
  const toStdout = order.destination === '-'
  const path = toStdout ? '' : await pathFor(order)
  // The library means something of its own by this word
  const to = toStdout ? context.host.stdout : path === 'blob' ? './blob' : path
  const display = await context.display()
  let received = 0
  try {
    return await client.download({
      ...order.ref,
      to,
      ...(order.connections === undefined ? {} : { connections: order.connections }),
      onProgress: (progress) => {
        received = progress.done
        display.update('', progress)
      },
    })
  } catch (error) {
    throw new AdvisedError(
      error,
      received === 0 ? [] : await advice(toStdout ? 'standard output' : path, received),
    )
  } finally {
    display.finish('')
  }
}

const advice = async (target: string, received: number): Promise<string[]> => {
  if (await exists(`${target}.part`)) {
    return [
      `Up to ${size(received)} are kept in ${target}.part.`,
      'To continue, run the same command again; to give up, delete that file and the .part.json beside it.',
    ]
  }
  const isStream = await stat(target).then(
    (found) => !found.isFile(),
    () => target === 'standard output',
  )
  return isStream ? [`What went to ${target} is incomplete: throw it away.`] : []
}
