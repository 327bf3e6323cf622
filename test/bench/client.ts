/**
 * Our command line against the official client: the same server, the same file, the same run.
 *
 * Each figure is the time of a whole process, its start included, with default settings. Before each upload of new
 * content the file is stamped, so that the server cannot have it; the clients take turns, and who begins changes with
 * each round. Between two measurements dirty pages are written to disk and the server finishes its digests, so that
 * nobody pays for what the other left. Every download is compared with the file.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { login } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import {
  type Bench,
  describeMachine,
  describeSize,
  describeSource,
  formatTable,
  MiB,
  median,
  parseSize,
} from './bench.ts'
import { findOfficialClient } from './official-client.ts'

const options = {
  '--size SIZE': 'size of the file, such as 256MiB (default: 1GiB)',
  '--rounds N': 'measurements of each figure, of which the median counts (default: 3)',
  '--delay MS,MS': 'added round trips to measure (default: 0,20)',
}

const ours = fileURLToPath(new URL('../../packages/cli/bin/holdfast', import.meta.url))
const proxy = fileURLToPath(new URL('./delay-proxy.ts', import.meta.url))
const tasks = ['upload of new content', 'upload, content known', 'download'] as const
type Task = (typeof tasks)[number]

interface Contestant {
  readonly name: string
  readonly program: string
}

/** Everything that stays the same in a run. */
interface Setting {
  readonly directory: string
  readonly file: FileHandle
  readonly path: string
  readonly size: number
  readonly contestants: readonly [Contestant, Contestant]
}

const run = async (words: readonly string[]): Promise<void> => {
  const { values } = parseArgs({
    args: [...words],
    options: {
      size: { type: 'string', default: '1GiB' },
      rounds: { type: 'string', default: '3' },
      delay: { type: 'string', default: '0,20' },
    },
  })
  const size = parseSize(values.size)
  const rounds = Number(values.rounds)
  const delays = values.delay.split(',').map(Number)
  if (!(Number.isInteger(rounds) && rounds > 0)) throw new Error(`not a number of rounds: ${values.rounds}`)
  if (!delays.every((ms) => ms >= 0)) throw new Error(`not a list of milliseconds: ${values.delay}`)

  const directory = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  try {
    const official = findOfficialClient(directory)
    const version = execFileSync(ours, ['--version'], { encoding: 'utf8' }).trim()
    console.log(describeMachine())
    console.log(`holdfast ${version} (${describeSource()}); ${official.description}`)
    console.log(`${describeSize(size)}, median of ${rounds}\n`)
    const path = join(directory, 'source')
    const file = await makeFile(path, size)
    const contestants = [
      { name: 'holdfast', program: ours },
      { name: 'sf-client', program: official.program },
    ] as const
    const rows: string[][] = []
    for (const delay of delays) {
      const times = await measure({ directory, file, path, size, contestants }, delay, rounds)
      rows.push(...tasks.map((task) => rowOf(`${task}, ${delay} ms`, size, times[task])))
    }
    await file.close()
    console.log()
    console.log(formatTable(['', 'holdfast', 'MiB/s', 'sf-client', 'MiB/s', 'ratio', 'from', 'to'], rows))
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

export const bench: Bench = {
  summary: 'the command line against the official client on one server: uploads, hits, downloads',
  options,
  run,
}

/** Seconds of each round: ours and theirs. */
type Times = Readonly<Record<Task, [number, number][]>>

const rowOf = (what: string, size: number, rounds: readonly (readonly [number, number])[]): string[] => {
  const [mine, theirs] = [median(rounds.map(([time]) => time)), median(rounds.map(([, time]) => time))]
  const ratios = rounds.map(([a, b]) => b / a)
  const cells = [mine, theirs].flatMap((time) => [`${time.toFixed(2)} s`, (size / MiB / time).toFixed(0)])
  const spread = [theirs / mine, Math.min(...ratios), Math.max(...ratios)]
  return [what, ...cells, ...spread.map((ratio) => `${ratio.toFixed(2)}x`)]
}

/** All rounds at one delay, on a fresh server. */
const measure = async (setting: Setting, delay: number, rounds: number): Promise<Times> => {
  const server = await startServer({
    dataDir: join(setting.directory, `data-${delay}`),
    settings: { HOLDFAST_LOG_LEVEL: 'warn' },
  })
  const line = delay === 0 ? undefined : await startProxy(server.url, delay)
  try {
    const place: Place = { ...setting, server, url: line?.url ?? server.url }
    // Compiled code, of either language, is in its cache from here on
    const small = { path: join(setting.directory, `warm-up-${delay}`), size: MiB }
    const file = await makeFile(small.path, small.size)
    await playRound({ ...place, ...small, file }, 'warm-up', setting.contestants)
    await file.close()
    const times: Times = { 'upload of new content': [], 'upload, content known': [], download: [] }
    for (let round = 0; round < rounds; round++) {
      const [first, second] = setting.contestants
      const turns = round % 2 === 0 ? [first, second] : [second, first]
      const found = await playRound(place, `round-${round}`, turns)
      for (const task of tasks) {
        const pair = setting.contestants.map(({ name }) => found.get(`${name} ${task}`)!) as [number, number]
        times[task].push(pair)
        const [mine, theirs] = pair.map((time) => time.toFixed(2))
        console.log(`${delay} ms, round ${round + 1}, ${task}: holdfast ${mine} s, sf-client ${theirs} s`)
      }
    }
    return times
  } finally {
    line?.stop()
    await server.remove()
  }
}

interface Place extends Setting {
  readonly server: RunningServer
  readonly url: string
}

/** Each contestant does each task once; answers seconds by contestant and task. */
const playRound = async (
  place: Place,
  label: string,
  turns: readonly Contestant[],
): Promise<Map<string, number>> => {
  const times = new Map<string, number>()
  const back = join(place.directory, 'back')
  for (const contestant of turns) {
    const name = `${contestant.name}-${label}`
    const timed = async (task: Task, words: readonly string[]) => {
      times.set(`${contestant.name} ${task}`, await timeOf(place, contestant, words))
    }
    await stamp(place)
    await timed('upload of new content', ['artifact', 'upload', name, place.path])
    await digested(place, name)
    await timed('upload, content known', ['artifact', 'upload', `${name}-again`, place.path])
    await timed('download', ['artifact', 'download', name, back])
    const [sent, got] = [await sha512Of(place.path), await sha512Of(back)]
    if (sent !== got) throw new Error(`${contestant.name} downloaded other bytes than it uploaded`)
    await rm(back)
  }
  return times
}

/** Runs a command to its end; seconds. */
const timeOf = async (place: Place, contestant: Contestant, words: readonly string[]): Promise<number> => {
  execFileSync('sync')
  // Some releases of the official client never stop writing a large download: better an error than a full disk
  const blocks = Math.ceil((4 * place.size) / 512) + 65_536
  const startedAt = performance.now()
  const child = spawn('sh', ['-c', `ulimit -f ${blocks}; exec "$0" "$@"`, contestant.program, ...words], {
    cwd: place.directory,
    env: {
      PATH: process.env.PATH,
      HOME: place.directory,
      LANG: 'C.UTF-8',
      SHAKENFIST_API_URL: place.url,
      SHAKENFIST_NAMESPACE: 'system',
      SHAKENFIST_KEY: place.server.systemKey,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-2000)
    })
  }
  const [code, signal] = await once(child, 'exit')
  const seconds = (performance.now() - startedAt) / 1000
  if (code !== 0) {
    const advice = signal === 'SIGXFSZ' ? '; this release cannot: try --size 500MiB' : ''
    throw new Error(`${contestant.name} ${words.join(' ')} ended with ${code ?? signal}${advice}\n${output}`)
  }
  return seconds
}

/** Waits until the server has computed the other digests of an artifact's blob, which it does after an upload. */
const digested = async ({ server }: Place, name: string): Promise<void> => {
  const system = await login(server.url, 'system', server.systemKey)
  const { blob_uuid: blob } = (await system.get(`/artifacts/${name}`)).json
  while ((await system.get(`/blobs/${blob}/checksum/sha256`)).json === null) await sleep(100)
}

/** A file of bytes that do not repeat within any chunk. */
const makeFile = async (path: string, size: number): Promise<FileHandle> => {
  const file = await open(path, 'wx+')
  const block = randomBytes(MiB)
  for (let at = 0; at < size; at += MiB) {
    block.writeBigUInt64LE(BigInt(at))
    await file.write(block, 0, Math.min(MiB, size - at), at)
  }
  return file
}

const stampBytes = 64

/** Makes the file's content new to the server. */
const stamp = async ({ file }: Setting): Promise<void> => {
  await file.write(randomBytes(stampBytes), 0, stampBytes, 0)
}

const sha512Of = async (path: string): Promise<string> => {
  const hash = createHash('sha512')
  for await (const bytes of createReadStream(path, { highWaterMark: MiB })) hash.update(bytes)
  return hash.digest('hex')
}

interface Line {
  readonly url: string
  stop(): void
}

const startProxy = async (url: string, delay: number): Promise<Line> => {
  const { hostname, port } = new URL(url)
  const child: ChildProcess = spawn(process.execPath, [proxy, hostname, port, String(delay)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [bytes] = await once(child.stdout!, 'data')
  return { url: `http://127.0.0.1:${String(bytes).trim()}`, stop: () => child.kill() }
}
