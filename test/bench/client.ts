/**
 * Our command line against the official client: the same server, the same file, the same run.
 *
 * Each figure is the time of a whole process, its start included, with default settings. Before each upload of new
 * content the file is stamped, so that the server cannot have it; the clients take turns, and who begins changes with
 * each round. Between two measurements dirty pages are written to disk, the server finishes its digests, and memory for the
 * file is fetched, so that nobody pays for what the other left. Every download is compared with the file.
 *
 * Content that the server has is uploaded in two states of our client: with a digest remembered from the upload before,
 * and as if this machine had never hashed the file (`--rehash`). The official client remembers nothing, so both
 * are compared with the same run of it.
 *
 * The floors are measured beside them, with the same server: what it costs to move the bytes and hash them with the
 * plainest tools. No client that hashes can be quicker than `openssl dgst`, nor one that sends all than `curl`, nor one
 * whose download is durable in the end, as ours is, than `curl` and a flush. The last tool of a task does at once all
 * that ours does: `curl`, with its flush, while `openssl dgst` hashes the file on another core.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type FileHandle, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { login } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import { type Bench, describeSize, MiB, parseSize } from './bench.ts'
import { fetchFreeMemory } from './free-memory.ts'
import { runCommand } from './load.ts'
import { findOfficialClient } from './official-client.ts'
import { type Options, parseOptions, withDirectory } from './part.ts'
import { type Cost, watchCost } from './process-cost.ts'
import { type Figure, memoryOutcome, type Report, speedRatio } from './report.ts'
import { makeFile, sha512Of, stamp } from './source-file.ts'

const options: Options = {
  size: ['1GiB', 'size of the file'],
  rounds: ['5', 'measurements of each figure, of which the median counts'],
  delay: ['0,20', 'added round trips to measure, in ms'],
}
const short = { size: '8MiB', rounds: '1', delay: '0' }

const ours = fileURLToPath(new URL('../../packages/cli/bin/holdfast', import.meta.url))
const proxy = fileURLToPath(new URL('./delay-proxy.ts', import.meta.url))
const tasks = [
  'upload of new content',
  'upload, content known, hashed before',
  'upload, content known, never hashed here',
  'download',
] as const
type Task = (typeof tasks)[number]

interface Contestant {
  readonly name: string
  readonly program: string
}

/** The tools that show what a task costs at least; the last of them does all of it and is the floor. */
const floors: Readonly<Record<Task, readonly Tool[]>> = {
  'upload of new content': ['openssl dgst', 'curl', 'curl beside openssl dgst'],
  'upload, content known, hashed before': [],
  'upload, content known, never hashed here': ['openssl dgst'],
  download: ['openssl dgst', 'curl', 'curl, sync FILE', 'curl, sync FILE beside openssl dgst'],
}
type Tool =
  | 'openssl dgst'
  | 'curl'
  | 'curl beside openssl dgst'
  | 'curl, sync FILE'
  | 'curl, sync FILE beside openssl dgst'
const targets: Readonly<Record<Task, number>> = {
  'upload of new content': 2,
  'upload, content known, hashed before': 1.5,
  'upload, content known, never hashed here': 1.5,
  download: 3,
}

/** Everything that stays the same in a run. */
interface Setting {
  readonly directory: string
  readonly file: FileHandle
  readonly path: string
  readonly size: number
  readonly contestants: readonly [Contestant, Contestant]
}

const run = (words: readonly string[]): Promise<Report> => {
  const values = parseOptions(options, short, words)
  const size = parseSize(values.size!)
  const delays = values.delay!.split(',').map(Number)
  if (!delays.every((ms) => ms >= 0)) throw new Error(`not a list of milliseconds: ${values.delay}`)
  return withDirectory(async (directory) => {
    const official = findOfficialClient(directory)
    const version = execFileSync(ours, ['--version'], { encoding: 'utf8' }).trim()
    console.log(`holdfast ${version}; ${official.description}; ${describeSize(size)}`)
    const path = join(directory, 'source')
    const file = await makeFile(path, size)
    const contestants = [
      { name: 'holdfast', program: ours },
      { name: 'sf-client', program: official.program },
    ] as const
    const found = []
    const costs: Cost[] = []
    for (const delay of delays) {
      const setting = { directory, file, path, size, contestants }
      const { times, cost } = await measure(setting, delay, Number(values.rounds))
      costs.push(cost)
      found.push(...tasks.map((task) => resultOf(task, delay, size, times)))
    }
    await file.close()
    return {
      figures: found.flatMap(({ figures }) => figures),
      outcomes: [
        ...found.flatMap(({ outcomes }) => outcomes),
        memoryOutcome('peak RSS of the server', costs, { atMost: 250 }),
      ],
    }
  })
}

export const bench: Bench = {
  summary: 'the command line against the official client on one server: uploads, hits, downloads',
  options,
  run,
}

/** Seconds by contestant, a number a round. */
type Times = ReadonlyMap<string, readonly number[]>

const resultOf = (task: Task, delay: number, bytes: number, times: Times): Report => {
  const samples = (contestant: string) =>
    times.get(keyOf(contestant, task))!.map((seconds) => ({ seconds, bytes }))
  const words = `${task}, ${delay} ms`
  const contestants = ['holdfast', 'sf-client', ...floors[task]]
  const figures: Figure[] = contestants.map((contestant) => ({
    task: words,
    contestant,
    samples: samples(contestant),
  }))
  const theirs = samples('sf-client')
  const target = { atLeast: targets[task] }
  const outcomes = [speedRatio(`${words}, holdfast / sf-client`, samples('holdfast'), theirs, target)]
  const floor = floors[task].at(-1)
  if (floor !== undefined) {
    outcomes.push(speedRatio(`${words}, ${floor} / sf-client`, samples(floor), theirs))
    outcomes.push(speedRatio(`${words}, holdfast / ${floor}`, samples('holdfast'), samples(floor)))
  }
  return { figures, outcomes }
}

const keyOf = (contestant: string, task: Task): string => `${contestant} ${task}`

/** All rounds at one delay, on a fresh server, and what they cost it. */
const measure = async (
  setting: Setting,
  delay: number,
  rounds: number,
): Promise<{ readonly times: Times; readonly cost: Cost }> => {
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
    const times = new Map<string, number[]>()
    const cost = watchCost(server.pid)
    for (let round = 0; round < rounds; round++) {
      const [first, second] = setting.contestants
      const turns = round % 2 === 0 ? [first, second] : [second, first]
      const found = await playRound(place, `round-${round}`, turns)
      for (const [key, seconds] of found) {
        times.set(key, [...(times.get(key) ?? []), seconds])
        console.log(`${delay} ms, round ${round + 1}, ${key}: ${seconds.toFixed(2)} s`)
      }
    }
    return { times, cost: cost() }
  } finally {
    line?.stop()
    await server.remove()
  }
}

interface Place extends Setting {
  readonly server: RunningServer
  readonly url: string
}

/** Each contestant does each task once, then the floors are measured; answers seconds by `keyOf`. */
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
      times.set(keyOf(contestant.name, task), await timeOf(place, contestant, words))
    }
    await stamp(place.file)
    await timed('upload of new content', ['artifact', 'upload', name, place.path])
    await digested(place, name)
    const again = ['artifact', 'upload', `${name}-again`, place.path]
    await timed('upload, content known, hashed before', again)
    if (contestant.name === 'holdfast') {
      await timed('upload, content known, never hashed here', [...again, '--rehash'])
    } else {
      const before = times.get(keyOf(contestant.name, 'upload, content known, hashed before'))!
      times.set(keyOf(contestant.name, 'upload, content known, never hashed here'), before)
    }
    await timed('download', ['artifact', 'download', name, back])
    const [sent, got] = [await sha512Of(place.path), await sha512Of(back)]
    if (sent !== got) throw new Error(`${contestant.name} downloaded other bytes than it uploaded`)
    await rm(back)
  }
  for (const [tool, task, seconds] of await playFloors(place, label, back))
    times.set(keyOf(tool, task), seconds)
  return times
}

/** What the plainest tools take. `curl` sends the file in one body, and by itself does not flush what it writes. */
const playFloors = async (
  place: Place,
  label: string,
  back: string,
): Promise<readonly (readonly [Tool, Task, number])[]> => {
  const { server, url, path } = place
  const system = await login(server.url, 'system', server.systemKey)
  const headers = join(place.directory, 'headers')
  await writeFile(headers, `Authorization: Bearer ${system.token}\nUpload-Offset: 0\nExpect:\n`, {
    mode: 0o600,
  })
  const curl = ['curl', '-sSf', '-H', `@${headers}`]
  /** Seconds for new content, and the blob. */
  const send = async (name: string, ...beside: readonly string[]) => {
    await stamp(place.file)
    const { uuid } = (await system.post('/upload', {})).json
    const words = ['-o', '/dev/null', '-X', 'POST', '-T', path, `${url}/upload/${uuid}`]
    const sent = await runTool(place, ...beside, ...curl, ...words)
    const convertedAt = performance.now()
    const converted = await system.post(`/artifacts/upload/${name}`, { upload_uuid: uuid })
    const conversion = (performance.now() - convertedAt) / 1000
    if (converted.status !== 200) throw new Error(`the upload of curl was not converted: ${converted.bytes}`)
    await digested(place, name)
    return { seconds: sent + conversion, blob: converted.json.blob_uuid as string }
  }
  const beside = ['sh', '-c', 'openssl dgst -sha512 "$0" & "$@" && wait $!', path]
  const thenSync = ['sh', '-c', '"$@" && sync "$0"', back]
  const hashed = await runTool(place, 'openssl', 'dgst', '-sha512', path)
  const { seconds: sent, blob } = await send(`curl-${label}`)
  const { seconds: sentAndHashed } = await send(`curl-beside-${label}`, ...beside)
  const received: number[] = []
  for (const around of [[], thenSync, [...beside, ...thenSync]]) {
    received.push(await runTool(place, ...around, ...curl, '-o', back, `${url}/blobs/${blob}/data`))
    await rm(back)
  }
  return [
    ['openssl dgst', 'upload of new content', hashed],
    ['curl', 'upload of new content', sent],
    ['curl beside openssl dgst', 'upload of new content', sentAndHashed],
    ['openssl dgst', 'upload, content known, never hashed here', hashed],
    ['openssl dgst', 'download', hashed],
    ['curl', 'download', received[0]!],
    ['curl, sync FILE', 'download', received[1]!],
    ['curl, sync FILE beside openssl dgst', 'download', received[2]!],
  ]
}

/** Everything dirty is written, and the memory that a file takes is there. */
const prepare = async ({ directory, size }: Setting): Promise<void> => {
  await runCommand('sync')
  await fetchFreeMemory(directory, size + 256 * MiB)
}

/** Seconds that a tool takes. */
const runTool = async (place: Place, ...command: readonly string[]): Promise<number> => {
  await prepare(place)
  return (await runCommand(...command)).seconds
}

/** Runs a command to its end; seconds. */
const timeOf = async (place: Place, contestant: Contestant, words: readonly string[]): Promise<number> => {
  await prepare(place)
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
