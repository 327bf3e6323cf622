/** How long a server takes from the start of its process until it listens: empty, and with very many blobs. */
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../support/ports.ts'
import { spawnServer } from '../support/server.ts'
import type { Bench } from './bench.ts'
import { type Options, parseOptions, withDirectory } from './part.ts'
import { watchCost } from './process-cost.ts'
import { memoryOutcome, type Report, type Sample, timeRatio } from './report.ts'
import { playRounds, samplesOf } from './rounds.ts'
import { fill } from './scale.ts'

const options: Options = {
  many: ['1000000', 'artifacts and blobs in the store'],
  rounds: ['9', 'measurements of each figure, of which the median counts'],
}
const short = { many: '2000', rounds: '1' }
const timeoutMs = 120_000

const run = (words: readonly string[]): Promise<Report> => {
  const values = parseOptions(options, short, words)
  return withDirectory(async (directory) => {
    const stores = [0, Number(values.many)].map((count) => ({
      name: `${count} blobs`,
      dataDir: join(directory, `with-${count}`),
      count,
    }))
    for (const { dataDir, count } of stores) await fill(directory, { name: 'filled', dataDir }, count)
    const task = 'start'
    const figures = await playRounds(
      task,
      Number(values.rounds),
      stores.map(({ name, dataDir }) => ({ name, run: () => timeToListen(dataDir) })),
    )
    const [empty, full] = stores.map(({ name }) => samplesOf(figures, task, name))
    return {
      figures,
      outcomes: [
        timeRatio(`time to listen, ${stores[1]!.name} / none`, full!, empty!, { atMost: 2 }),
        memoryOutcome('peak RSS at a start', [...empty!, ...full!], { atMost: 250 }),
      ],
    }
  })
}

export const bench: Bench = {
  summary: 'time to listen with a million blobs and with none',
  options,
  run,
}

/** Starts a server, stops it when it says that it listens. */
const timeToListen = async (dataDir: string): Promise<Sample> => {
  const startedAt = performance.now()
  const { child, output } = spawnServer({
    HOLDFAST_LISTEN: `127.0.0.1:${await freePort()}`,
    HOLDFAST_DATA_DIR: dataDir,
    HOLDFAST_NODE_NAME: 'node-1',
    HOLDFAST_VERIFY_INTERVAL: '0',
  })
  const cost = watchCost(child.pid!)
  const ended = once(child, 'exit')
  try {
    while (!output().includes('listens at')) {
      if (child.exitCode !== null || performance.now() - startedAt > timeoutMs)
        throw new Error(`the server did not listen:\n${output()}`)
      await sleep(1)
    }
    const seconds = (performance.now() - startedAt) / 1000
    return { seconds, ...cost() }
  } finally {
    child.kill()
    await ended
  }
}
