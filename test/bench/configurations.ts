/** What an append and a conversion cost with metadata in PostgreSQL and blobs in S3, against the embedded store. */
import { join } from 'node:path'
import { type Bench, describeSize, MiB } from './bench.ts'
import { sendLoad } from './load.ts'
import { measured, type Options, parseOptions, withDirectory } from './part.ts'
import { type Holdfast, startHoldfast } from './peers/holdfast.ts'
import { startServices } from './peers/services.ts'
import { type Figure, type Report, timeRatio } from './report.ts'
import { playRounds, samplesOf } from './rounds.ts'
import { makeFile, stamp } from './source-file.ts'

const options: Options = {
  appends: ['32', 'appends in an upload'],
  rounds: ['5', 'measurements of each figure, of which the median counts'],
}
const short = { appends: '4', rounds: '1' }
const appendSizes = [4096, MiB]
const embedded = 'SQLite, disk'

const run = (words: readonly string[]): Promise<Report> => {
  const values = parseOptions(options, short, words)
  return withDirectory(async (directory, closing) => {
    const appends = Number(values.appends)
    const services = closing(await startServices(directory))
    const start = async (name: string, hasDatabase: boolean, hasS3: boolean) => {
      const dataDir = join(directory, name.replaceAll(/\W+/g, '-'))
      const settings = {
        ...(hasDatabase && (await services.database(dataDir))),
        ...(hasS3 && services.blobs(dataDir)),
      }
      return closing(await startHoldfast(directory, { name, dataDir, settings }))
    }
    const peers = [
      await start(embedded, false, false),
      await start('PostgreSQL, disk', true, false),
      await start('SQLite, S3', false, true),
      await start('PostgreSQL, S3', true, true),
    ]
    const path = join(directory, 'source')
    const file = await makeFile(path, appends * MiB)
    let counter = 0
    /** Stores a file, and takes the time of some of its requests: from, to (negative: counted from the end). */
    const store = async (holdfast: Holdfast, piece: number, from: number, to?: number) => {
      await stamp(file)
      const upload = { path, offset: 0, length: appends * piece, piece, name: `cost-${++counter}` }
      const sample = await measured(holdfast, async () => {
        const [client] = (await sendLoad(holdfast.port, [holdfast.requests(upload)])).clients
        const timed = client!.requests.slice(from, to)
        return { seconds: timed.reduce((sum, { seconds }) => sum + seconds, 0), count: timed.length }
      })
      await holdfast.clean()
      return sample
    }
    const tasks = [
      ...appendSizes.map((size) => ({
        task: `append of ${describeSize(size)}`,
        run: (peer: Holdfast) => store(peer, size, 1, -1),
      })),
      {
        task: `conversion of ${describeSize(appends * MiB)}`,
        run: (peer: Holdfast) => store(peer, MiB, -1),
      },
    ]
    const figures: Figure[] = []
    for (const { task, run } of tasks)
      figures.push(
        ...(await playRounds(
          task,
          Number(values.rounds),
          peers.map((peer) => ({ name: peer.name, run: () => run(peer) })),
        )),
      )
    await file.close()
    return {
      figures,
      outcomes: tasks.flatMap(({ task }) =>
        peers
          .slice(1)
          .map(({ name }) =>
            timeRatio(
              `${task}, ${name} / embedded, time`,
              samplesOf(figures, task, name),
              samplesOf(figures, task, embedded),
            ),
          ),
      ),
    }
  })
}

export const bench: Bench = {
  summary: 'an append and a conversion over {SQLite, PostgreSQL} x {disk, S3}',
  options,
  run,
}
