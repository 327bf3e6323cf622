/**
 * The same requests and list pages with few artifacts and with very many: two stores, filled without requests, and
 * the time of a request in the one as a multiple of that in the other.
 */
import { join } from 'node:path'
import type { Bench } from './bench.ts'
import { type Filled, fillStore } from './fill.ts'
import { measured, type Options, parseOptions, withDirectory } from './part.ts'
import { type Holdfast, type HoldfastOptions, startHoldfast } from './peers/holdfast.ts'
import { memoryOutcome, type Outcome, type Report, timeRatio } from './report.ts'
import { playRounds, samplesOf } from './rounds.ts'
import { wrk } from './wrk.ts'

const connections = 4

const options: Options = {
  few: ['1000', 'artifacts in the one store'],
  many: ['1000000', 'artifacts in the other'],
  rounds: ['5', 'measurements of each figure, of which the median counts'],
  seconds: ['1', 'length of a measurement'],
}
const short = { few: '500', many: '2000', rounds: '1', seconds: '1' }

/** What is asked for; pages are of 100. */
const targetsOf = async (
  { names, sha512 }: Filled,
  { session }: Holdfast,
): Promise<Record<string, string>> => {
  const pages: Record<string, string> = {
    'artifacts, first page': '/artifacts?limit=100',
    'artifacts, newest first': '/artifacts?limit=100&sort=-created_at',
    'artifacts, by name': '/artifacts?limit=100&sort=name',
    'artifacts, by name from the end': '/artifacts?limit=100&sort=-name',
    'artifacts of a prefix': `/artifacts?limit=100&name=${names[1]!.slice(0, -2)}`,
    'artifacts of a type': '/artifacts?limit=100&type=image',
    'blobs, first page': '/blobs?limit=100',
  }
  const second = async (label: string, target: string) => {
    const link = (await session.get(target)).headers.link
    const next = /<[^>?]*(\?[^>]*)>;\s*rel="?next/.exec(link ?? '')?.[1]
    if (next === undefined) throw new Error(`${target} has no next page: ${link}`)
    pages[label] = `${target.split('?')[0]}${next}`
  }
  await second('artifacts, second page', pages['artifacts, first page']!)
  await second('artifacts, by name from the end, second page', pages['artifacts, by name from the end']!)
  await second('blobs, second page', pages['blobs, first page']!)
  return {
    'show an artifact': `/artifacts/${names[1]}`,
    'look up a SHA-512': `/blob_checksums/sha512/${sha512}`,
    ...pages,
  }
}

const run = (words: readonly string[]): Promise<Report> => {
  const values = parseOptions(options, short, words)
  return withDirectory(async (directory, closing) => {
    const seconds = Number(values.seconds)
    const stores = []
    for (const count of [Number(values.few), Number(values.many)]) {
      const how = { name: `${count} artifacts`, dataDir: join(directory, `with-${count}`) }
      const filled = await fill(directory, how, count)
      const server = closing(await startHoldfast(directory, how))
      stores.push({ server, targets: await targetsOf(filled, server) })
    }
    const [few, many] = stores as [(typeof stores)[0], (typeof stores)[0]]
    console.log(few.server.description)
    const figures = []
    const outcomes: Outcome[] = []
    for (const what of Object.keys(few.targets)) {
      const found = await playRounds(
        what,
        Number(values.rounds),
        stores.map(({ server, targets }) => ({
          name: server.name,
          run: () => {
            const request = { method: 'GET', target: targets[what]!, headers: server.headers }
            return measured(server, () => wrk(server.port, request, { connections, seconds }))
          },
        })),
      )
      figures.push(...found)
      const [theirs, ours] = [few, many].map(({ server }) => samplesOf(found, what, server.name)) as [
        ReturnType<typeof samplesOf>,
        ReturnType<typeof samplesOf>,
      ]
      outcomes.push(
        timeRatio(`${what}: time with ${values.many} / ${values.few}`, ours, theirs, { atMost: 2 }),
      )
    }
    outcomes.push(
      memoryOutcome(
        'peak RSS in lists',
        figures.flatMap(({ samples }) => samples),
        { atMost: 250 },
      ),
    )
    return { figures, outcomes }
  })
}

export const bench: Bench = {
  summary: 'the same requests and pages with a thousand artifacts and with a million',
  options,
  run,
}

/** Makes a store by starting it once, and fills it. */
export const fill = async (directory: string, how: HoldfastOptions, count: number): Promise<Filled> => {
  const server = await startHoldfast(directory, how)
  await server.halt()
  console.log(`filling a store with ${count} artifacts`)
  return fillStore(how.dataDir!, count)
}
