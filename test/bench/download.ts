/**
 * Downloads of what lies in the page cache, beside nginx sending the same file by sendfile: the whole, from an offset,
 * 16 at once, and many small ones. The clients receive the bytes; the whole is also sent to one that lets the kernel throw them
 * away (docs/decisions/0090-clients-that-receive.md). Ours with block checks, as it comes, and without (`HOLDFAST_READ_VERIFY=off`). Beside each
 * stands a floor: the plainest program on Node that sends the file over a socket, with each block's CRC-32 (made by a thread
 * of its own) and without.
 */
import { copyFile, link, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Bench, describeSize, MiB, parseSize } from './bench.ts'
import { type LoadRequest, sendLoad } from './load.ts'
import { measured, type Options, parseOptions, withDirectory } from './part.ts'
import { startBareNode, startFloor } from './peers/bare-node.ts'
import { type Holdfast, startHoldfast } from './peers/holdfast.ts'
import { startNginx } from './peers/nginx.ts'
import type { Peer } from './peers/peer.ts'
import {
  cpuRatio,
  type Figure,
  memoryOutcome,
  type Outcome,
  type Report,
  type Sample,
  speedRatio,
} from './report.ts'
import { joinFigures, playRounds, samplesOf } from './rounds.ts'
import { copyAnew, makeFile, sha512Of } from './source-file.ts'
import { wrk } from './wrk.ts'

const clients = 16
/** Downloads of one client, one after the other: a single one is over in a third of a second, which is a matter of luck. */
const repeats = 4
const connections = 16
const smallSize = 4096

const options: Options = {
  size: ['1GiB', 'size of the file'],
  rounds: ['5', 'measurements of each figure after each start; the median of all counts'],
  starts: ['1', 'times that all servers are started'],
  tasks: ['whole,discarded,half,many,small', 'which of these'],
  seconds: ['3', 'length of a measurement of small downloads'],
}
const short = { size: '16MiB', rounds: '1', seconds: '1' }

/** How a server is asked for the two files. */
interface Source extends Peer {
  readonly whole: LoadRequest
  readonly small: LoadRequest
  /** The same as `whole`, without the bytes before `offset`. */
  from(offset: number): LoadRequest
}

type Task = 'whole' | 'discarded' | 'half' | 'many' | 'small'

/** What is measured, in words. */
const tasksOf = (size: number): Readonly<Record<Task, string>> => ({
  whole: `${repeats} downloads of ${describeSize(size)}`,
  discarded: `${repeats} of ${describeSize(size)}, thrown away`,
  half: `${repeats} of the second half`,
  many: `${clients} downloads of ${describeSize(size / 4)} at once`,
  small: `downloads of ${describeSize(smallSize)}`,
})

const run = async (words: readonly string[]): Promise<Report> => {
  const values = parseOptions(options, short, words)
  const size = parseSize(values.size!)
  const chosen = chosenTasks(values.tasks!, size)
  const sets: Figure[][] = []
  // Which memory a server has got for its buffers stays with it, so more rounds do not show what another would do.
  for (let start = 0; start < Number(values.starts); start++)
    sets.push(await measure(chosen, size, Number(values.rounds), Number(values.seconds)))
  const figures = joinFigures(sets)
  return { figures, outcomes: outcomesOf(chosen, figures, size) }
}

const chosenTasks = (list: string, size: number): Set<Task> => {
  const names = list.split(',')
  const unknown = names.find((name) => !Object.hasOwn(tasksOf(size), name))
  if (unknown !== undefined) throw new Error(`no such task: ${unknown}`)
  return new Set(names as Task[])
}

/** Starts all servers and measures each of the tasks. */
const measure = (
  chosen: ReadonlySet<Task>,
  size: number,
  rounds: number,
  seconds: number,
): Promise<Figure[]> =>
  withDirectory(async (directory, closing) => {
    const paths = { whole: join(directory, 'source'), small: join(directory, 'small') }
    await (await makeFile(paths.whole, size)).close()
    await (await makeFile(paths.small, smallSize)).close()
    const checking = closing(await startHoldfast(directory, { name: 'holdfast' }))
    const trusting = closing(
      await startHoldfast(directory, {
        name: 'holdfast, no checks',
        settings: { HOLDFAST_READ_VERIFY: 'off' },
      }),
    )
    const nginx = closing(await startNginx(directory))
    const bare = closing(await startBareNode(directory))
    const floors = [
      closing(await startFloor(bare.root, 'floor, checks', 'check')),
      closing(await startFloor(bare.root, 'floor, no checks')),
    ]
    console.log([checking, nginx, bare].map(({ description }) => description).join('; '))
    const stored = [await store(checking, paths, size), await store(trusting, paths, size)] as const
    // The very same file for everybody, and another in each round: where its pages lie in memory decides as much as a fifth,
    // and for some more than for others.
    const places = [...stored.map(({ file }) => file), join(nginx.root, 'whole'), join(bare.root, 'whole')]
    const beforeRound = async () => {
      const fresh = join(directory, 'fresh')
      await copyAnew(paths.whole, fresh)
      for (const place of places) {
        await rm(place, { force: true })
        await link(fresh, place)
      }
      await rm(fresh)
    }
    await beforeRound()
    for (const { root } of [nginx, bare]) await copyFile(paths.small, join(root, 'small'))
    const bareNode = plain(bare)
    const sources: Source[] = [...stored, plain(nginx), bareNode, ...floors.map(plain)]
    // The bare server knows no ranges.
    const ranged = sources.filter((source) => source !== bareNode)
    const digest = await sha512Of(paths.whole)
    for (const { name, port, whole } of sources) {
      const [received] = (await sendLoad(port, [[{ ...whole, digest: true }]])).clients
      if (received!.requests[0]!.sha512 !== digest) throw new Error(`${name} sends other bytes`)
    }

    /** What each client asks for, one after the other. */
    const contest = (among: Source[], bytes: number, requestsOf: (source: Source) => LoadRequest[][]) =>
      among.map((source) => ({
        name: source.name,
        run: () =>
          measured(source, async () => {
            const { seconds } = await sendLoad(source.port, requestsOf(source))
            return { seconds, bytes }
          }),
      }))
    const inTurn = (request: LoadRequest): LoadRequest[][] => [Array.from({ length: repeats }, () => request)]
    const words = tasksOf(size)
    const plays: Readonly<Record<Task, () => Promise<Figure[]>>> = {
      whole: () =>
        playRounds(
          words.whole,
          rounds,
          contest(sources, size * repeats, ({ whole }) => inTurn(whole)),
          { beforeRound },
        ),
      discarded: () =>
        playRounds(
          words.discarded,
          rounds,
          contest(ranged, size * repeats, ({ whole }) => inTurn({ ...whole, discard: true })),
          { beforeRound },
        ),
      half: () =>
        playRounds(
          words.half,
          rounds,
          contest(ranged, (size / 2) * repeats, (source) => inTurn(source.from(size / 2))),
          { beforeRound },
        ),
      many: () =>
        playRounds(
          words.many,
          rounds,
          contest(ranged, (size / 4) * clients, (source) =>
            Array.from({ length: clients }, () => [source.from((size / 4) * 3)]),
          ),
          { beforeRound },
        ),
      small: () =>
        playRounds(
          words.small,
          rounds,
          sources.map((source) => ({
            name: source.name,
            run: () => measured(source, () => wrk(source.port, source.small, { connections, seconds })),
          })),
        ),
    }
    const figures: Figure[] = []
    for (const task of chosen) figures.push(...(await plays[task]()))
    return figures
  })

/** What the figures say: the targets, and how near the floors come to nginx. */
const outcomesOf = (chosen: ReadonlySet<Task>, figures: readonly Figure[], size: number): Outcome[] => {
  const words = tasksOf(size)
  const of = (task: Task, name: string) => samplesOf(figures, words[task], name)
  const ours = ['holdfast', 'holdfast, no checks']
  const outcomes: Readonly<Record<Task, () => Outcome[]>> = {
    whole: () => [
      speedRatio('whole, no checks / nginx', of('whole', ours[1]!), of('whole', 'nginx'), { atLeast: 1 }),
      cpuRatio('CPU, no checks / nginx', of('whole', ours[1]!), of('whole', 'nginx'), { atMost: 2 }),
      speedRatio('whole, checks / nginx', of('whole', ours[0]!), of('whole', 'nginx'), { atLeast: 0.8 }),
      cpuRatio('CPU, checks / nginx', of('whole', ours[0]!), of('whole', 'nginx'), { atMost: 3 }),
      ...floorRatios('whole', (name) => of('whole', name)),
      speedRatio('whole, checks / bare node', of('whole', ours[0]!), of('whole', 'bare node')),
    ],
    discarded: () => [
      speedRatio('thrown away, no checks / nginx', of('discarded', ours[1]!), of('discarded', 'nginx')),
      speedRatio('thrown away, checks / nginx', of('discarded', ours[0]!), of('discarded', 'nginx')),
      ...floorRatios('thrown away', (name) => of('discarded', name)),
    ],
    half: () => [speedRatio('second half, checks / nginx', of('half', ours[0]!), of('half', 'nginx'))],
    many: () => [
      speedRatio('16 at once, no checks / nginx', of('many', ours[1]!), of('many', 'nginx'), {
        atLeast: 0.8,
      }),
      speedRatio('16 at once, checks / nginx', of('many', ours[0]!), of('many', 'nginx'), { atLeast: 0.8 }),
      ...floorRatios('16 at once', (name) => of('many', name)),
    ],
    small: () => [
      speedRatio('small, checks / nginx', of('small', ours[0]!), of('small', 'nginx')),
      speedRatio('small, checks / bare node', of('small', ours[0]!), of('small', 'bare node')),
    ],
  }
  return [
    ...[...chosen].flatMap((task) => outcomes[task]()),
    memoryOutcome(
      'peak RSS in downloads',
      figures.filter(({ contestant }) => ours.includes(contestant)).flatMap(({ samples }) => samples),
      { atMost: 250 },
    ),
  ]
}

/** How near to nginx anybody comes on Node, and how near to that ours is. */
const floorRatios = (what: string, of: (name: string) => readonly Sample[]): Outcome[] =>
  [['no checks', 'holdfast, no checks'] as const, ['checks', 'holdfast'] as const].flatMap(
    ([checks, ours]) => {
      const floor = of(`floor, ${checks}`)
      return [
        speedRatio(`floor: ${what}, ${checks}, Node's sockets / nginx`, floor, of('nginx')),
        cpuRatio(`floor: CPU of ${what}, ${checks}, Node's sockets / nginx`, floor, of('nginx')),
        speedRatio(`${what}, ${checks} / that floor`, of(ours), floor),
        cpuRatio(`CPU of ${what}, ${checks} / that floor`, of(ours), floor),
      ]
    },
  )

export const bench: Bench = {
  summary: 'from the page cache: whole, from an offset, 16 at once, many small ones; nginx with sendfile',
  options,
  run,
}

const plain = (peer: Peer): Source => ({
  ...peer,
  whole: { method: 'GET', target: '/whole' },
  small: { method: 'GET', target: '/small' },
  from: (offset) => ({
    method: 'GET',
    target: '/whole',
    headers: { Range: `bytes=${offset}-` },
    expect: [206],
  }),
})

/** Puts both files into one of our servers; `file` is where it keeps the large one. */
const store = async (
  peer: Holdfast,
  paths: { whole: string; small: string },
  size: number,
): Promise<Source & Holdfast & { readonly file: string }> => {
  const put = async (name: string, path: string, length: number): Promise<string> => {
    await sendLoad(peer.port, [peer.requests({ path, offset: 0, length, piece: 64 * MiB, name })])
    await peer.digested(name)
    return (await peer.session.get(`/artifacts/${name}`)).json.blob_uuid as string
  }
  const whole = await put('whole', paths.whole, size)
  const small = await put('small', paths.small, smallSize)
  const get = (blob: string, query = ''): LoadRequest => ({
    method: 'GET',
    target: `/blobs/${blob}/data${query}`,
    headers: peer.headers,
  })
  return {
    ...peer,
    // docs/format.md
    file: join(peer.dataDir, 'blobs', whole.slice(0, 2), whole),
    whole: get(whole),
    small: get(small),
    from: (offset) => get(whole, `?offset=${offset}`),
  }
}
