/**
 * The client library over lines that fail. Between it and a real server stands a proxy that cuts connections at random
 * bytes of requests and replies, stalls, delays, answers 500, 502 and 503, and loses replies after the server has acted;
 * a third of the clients is killed (`kill -9`) at random points and run again; a third of the servers has none of the
 * extensions. Whatever happens, a file ends as exactly one version with the right bytes and comes back whole, or the
 * client says clearly why not; and what goes over the line twice is bounded by the number of faults and kills.
 *
 * `--runs` is the number of files, of 0 bytes to 64 MiB; in the long form, from 100 on, one more has 2 GiB. The seed repeats
 * the choices; what meets what at which moment is up to the machine.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, isHoldfastError, type NodeClient } from '@holdfast/client/node'
import { startProxy } from '../support/faulty-proxy.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import { Line } from './client-line.ts'
import { type Job, Runner, type Way, writeRandomFile } from './client-run.ts'
import { Random, Report, readOptions, within, wordsOf } from './harness.ts'

const options = readOptions(40)
const report = new Report('client', options)
const KiB = 1024
const MiB = 1024 * KiB
const lanes = 4
const runTimeoutMs = 180_000
const largeRuns = 100
const largeSize = 2048 * MiB

/** What a fault may cost: bytes that were on their way, mostly in the buffers of sockets, and came to nothing. */
const lostPerFault = 6 * MiB
/** What a kill may cost besides: bytes that had arrived since the client last wrote down how far it was. */
const lostPerKill = 10 * MiB

interface Target {
  readonly server: RunningServer
  /** Straight to the server, for looking at what is there. */
  readonly direct: NodeClient
}

const startTarget = async (settings: Readonly<Record<string, string>>): Promise<Target> => {
  const server = await startServer({
    settings: {
      HOLDFAST_LOG_LEVEL: 'warn',
      // Clients log in again and again
      HOLDFAST_TOKEN_LIFETIME: '8',
      HOLDFAST_UPLOAD_STALL: '1',
      HOLDFAST_COLLECT_GRACE: '1',
      HOLDFAST_LEASE_LIFETIME: '5',
      HOLDFAST_JOB_INTERVAL: '1',
      ...settings,
    },
  })
  const direct = createClient({
    url: server.url,
    namespace: 'system',
    key: server.systemKey,
    stateStore: null,
  })
  return { server, direct }
}

const directory = await mkdtemp(join(tmpdir(), 'holdfast-client-faults-'))
const holdfast = await startTarget({})
const plain = await startTarget({ HOLDFAST_EXTENSIONS: 'off' })

/** A file's size: every order of magnitude as often as any other, and now and then nothing at all. */
const sizeOf = (random: Random): number =>
  random.chance(0.04) ? 0 : Math.floor(2 ** (random.next() * Math.log2(64 * MiB)))

/** Exactly one version, with these bytes; none at all of an empty file. */
const checkVersion = async (
  direct: NodeClient,
  name: string,
  size: number,
  sha512: string,
): Promise<void> => {
  const versions = await direct.artifacts.versions(name).catch((error: unknown) => {
    if (isHoldfastError(error, 'artifact_not_found')) return []
    throw error
  })
  const found = versions.map((version) => `${version.index}: ${version.size} ${version.sha512}`).join('; ')
  const expected = size === 0 ? '' : `1: ${size} ${sha512}`
  report.check(found === expected, `${name}: versions "${found}" instead of "${expected}"`)
}

/** Holds what went over the line beyond the content against what broke. */
const worst = { sent: 0, fetched: 0 }
const checkBound = (
  name: string,
  what: keyof typeof worst,
  extra: number,
  faults: number,
  kills: number,
): void => {
  report.count(`MiB ${what} again`, Math.max(0, extra) / MiB)
  worst[what] = Math.max(worst[what], extra / Math.max(1, faults + kills))
  const bound = faults * lostPerFault + kills * (lostPerFault + lostPerKill)
  report.check(
    extra <= bound,
    `${name}: ${extra} bytes ${what} again in ${faults} faults and ${kills} kills, more than ${bound}`,
  )
}

/** One file up and down. */
const runOne = async (n: number, size: number, random: Random): Promise<void> => {
  const isPlain = random.chance(1 / 3)
  const { server, direct } = isPlain ? plain : holdfast
  const isLarge = size >= largeSize
  const way: Way =
    isLarge || random.chance(1 / 3) ? 'killed' : random.pick(['path', 'path', 'stream', 'blob'])
  const name = `run ${n}`
  const path = join(directory, `run-${n}`)
  const proxy = await startProxy(server.url)
  const line = new Line(proxy, random, report, size)
  const job: Job = { name, url: proxy.url, key: server.systemKey, state: `${path}.state`, path, size }
  const runner = new Runner(job, line, random, report)
  try {
    const sha512 = await writeRandomFile(path, size, `${options.seed} ${n}`)
    report.count('MiB of files', size / MiB)
    report.count(`runs: ${isPlain ? 'without' : 'with'} the extensions`)
    report.count(`runs: ${way}`)

    const up = await runner.upload(way, name)
    await checkVersion(direct, name, size, sha512)
    checkBound(name, 'sent', proxy.counts.appended - size, line.faults, up.kills)
    if (size > 0) {
      await down(runner, way, sha512)
      if (!isLarge && random.chance(0.2)) await sendAgain(runner, direct, sha512)
      const { uuid } = await direct.artifacts.show(name)
      await direct.artifacts.delete(uuid)
    }
    const left = await readdir(join(job.state, 'uploads')).catch(() => [])
    report.check(left.length === 0, `${name}: ${left.length} records of uploads are left`)
  } finally {
    await proxy.close()
    for (const suffix of ['', '.down', '.down.part', '.down.part.json', '.state'])
      await rm(`${path}${suffix}`, { recursive: true, force: true })
  }
}

const down = async (runner: Runner, way: Way, sha512: string): Promise<void> => {
  const { job, line } = runner
  const before = line.proxy.counts.downloaded
  const { digest, kills } = await runner.download(way, `${job.path}.down`)
  report.check(digest === sha512, `${job.name}: other bytes came back`)
  checkBound(job.name, 'fetched', line.proxy.counts.downloaded - before - job.size, line.faults, kills)
  const left = (await readdir(directory)).filter((file) => file.startsWith(`run-${job.name.slice(4)}.down.`))
  report.check(left.length === 0, `${job.name}: ${left.join(' and ')} left`)
}

/** The content is known now: it is found, and at most sent a second time. */
const sendAgain = async (runner: Runner, direct: NodeClient, sha512: string): Promise<void> => {
  const { job, line } = runner
  const name = `${job.name}, again`
  const before = line.proxy.counts.appended
  const { hit } = await runner.upload('path', name)
  await checkVersion(direct, name, job.size, sha512)
  report.count(`known content: ${hit ? 'found' : 'sent before it was found'}`)
  const extra = line.proxy.counts.appended - before - job.size
  report.check(extra <= line.faults * lostPerFault, `${name}: ${extra} bytes sent again`)
}

const began = performance.now()
const random = new Random(options.seed)
const runs = Array.from({ length: options.runs }, (_, n) => {
  const choices = random.fork()
  return { n, size: sizeOf(choices), choices }
})

const guarded = async (n: number, timeoutMs: number, run: Promise<void>): Promise<void> => {
  try {
    await within(timeoutMs, `run ${n}`, run)
  } catch (error) {
    report.fail(`run ${n}: ${wordsOf(error)}\n${error instanceof Error ? error.stack : ''}`)
  }
}

const lane = async (): Promise<void> => {
  for (let run = runs.shift(); run !== undefined; run = runs.shift())
    await guarded(run.n, runTimeoutMs, runOne(run.n, run.size, run.choices))
}
await Promise.all(Array.from({ length: lanes }, lane))
if (options.runs >= largeRuns)
  await guarded(options.runs, 15 * 60_000, runOne(options.runs, largeSize, random.fork()))

for (const { server, direct } of [holdfast, plain]) {
  direct.close()
  await server.remove()
}
await rm(directory, { recursive: true, force: true })
for (const [what, bytes] of Object.entries(worst))
  report.count(`worst run: KiB ${what} again per fault or kill`, bytes / KiB)
report.count('seconds', (performance.now() - began) / 1000)
report.finish()
process.exit()
