/** Conversions of uploads of growing size: only the request that makes a version of what was sent is timed. */
import { join } from 'node:path'
import { type Bench, describeSize, MiB, parseSize } from './bench.ts'
import { sendLoad } from './load.ts'
import { measured, type Options, parseOptions, withDirectory } from './part.ts'
import { startHoldfast } from './peers/holdfast.ts'
import { memoryOutcome, type Report, timeRatio } from './report.ts'
import { playRounds, samplesOf } from './rounds.ts'
import { makeFile, stamp } from './source-file.ts'

/** The source is sent again from its beginning where an upload is longer. */
const sourceSize = 256 * MiB
const smallest = 16 * MiB
const step = 32

const options: Options = {
  largest: ['16GiB', 'size of the largest upload; there must be space for two'],
  rounds: ['5', 'measurements of each figure, of which the median counts'],
}
const short = { largest: '64MiB', rounds: '1' }

const run = (words: readonly string[]): Promise<Report> => {
  const values = parseOptions(options, short, words)
  return withDirectory(async (directory, closing) => {
    const largest = parseSize(values.largest!)
    const sizes = [smallest]
    while (sizes.at(-1)! < largest) sizes.push(Math.min(largest, sizes.at(-1)! * step))
    const holdfast = closing(await startHoldfast(directory))
    console.log(holdfast.description)
    const path = join(directory, 'source')
    const file = await makeFile(path, Math.min(largest, sourceSize))
    let counter = 0
    const convert = async (size: number) => {
      await stamp(file)
      const name = `convert-${++counter}`
      const requests = holdfast.requests({ path, offset: 0, length: size, piece: 512 * MiB, name })
      const sample = await measured(holdfast, async () => {
        const [client] = (await sendLoad(holdfast.port, [requests])).clients
        return { seconds: client!.requests.at(-1)!.seconds }
      })
      await holdfast.clean()
      return sample
    }
    const task = 'conversion'
    const figures = await playRounds(
      task,
      Number(values.rounds),
      sizes.map((size) => ({ name: describeSize(size), run: () => convert(size) })),
    )
    await file.close()
    const of = (size: number) => samplesOf(figures, task, describeSize(size))
    const rest = sizes.slice(1)
    return {
      figures,
      outcomes: [
        ...rest.map((size) =>
          timeRatio(
            `conversion of ${describeSize(size)} / ${describeSize(smallest)}, time`,
            of(size),
            of(smallest),
            size === largest ? { atMost: 1.5 } : undefined,
          ),
        ),
        memoryOutcome(
          'peak RSS in uploads and conversions',
          sizes.flatMap((size) => of(size)),
          { atMost: 250 },
        ),
      ],
    }
  })
}

export const bench: Bench = {
  summary: 'the conversion of an upload into a version, from 16 MiB on',
  options,
  run,
}
