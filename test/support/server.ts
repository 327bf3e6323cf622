/**
 * Starts the real server as a user would: a process of its own, configured by environment variables, looked at over
 * HTTP only. With TEST_NODES=3 "the server" of a test is three nodes behind nginx (cluster.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { endsWithUs } from './ends-with-us.ts'
import type { Jump } from './fake-clock.ts'
import { freePort } from './ports.ts'
import { databaseSettings, dropDatabaseOf } from './postgres.ts'
import { blobSettings } from './s3.ts'

const mainFile = fileURLToPath(new URL('../../packages/server/src/main.js', import.meta.url))
const fakeClockFile = new URL('fake-clock.ts', import.meta.url)
const startTimeoutMs = 60_000
/** Longer than a server waits for requests in flight (HOLDFAST_SHUTDOWN_TIMEOUT), and for its parts after that. */
const stopTimeoutMs = 60_000

export interface RunningServer {
  readonly url: string
  /** Where it is several: see cluster.ts. */
  readonly nodes?: readonly RunningServer[]
  readonly dataDir: string
  readonly pid: number
  readonly process: ChildProcess
  /** The key of the namespace `system`, from the client configuration file that the server wrote. */
  readonly systemKey: string
  /** What the process has printed so far. */
  output(): string
  /** Sends a signal and waits for the end; answers the exit code, or the signal that ended the process. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals>
  /**
   * With a fake clock: lets so many ms pass, and waits for the jobs that are due then. `isSteadyToo` is for one of several
   * nodes, and does not wait: see cluster.ts.
   */
  jump(ms: number, isSteadyToo?: boolean): Promise<void>
  /** Stops the process and removes its data directory. */
  remove(): Promise<void>
}

export interface StartOptions {
  /** An existing data directory; a fresh one is made when absent. */
  readonly dataDir?: string
  /** `HOLDFAST_*` settings. */
  readonly settings?: Readonly<Record<string, string>>
  readonly port?: number
  /** Where it listens; 127.0.0.1 when absent. */
  readonly host?: string
  /** What the command begins with, to run it somewhere else. */
  readonly through?: readonly string[]
  /** Node of its name, of a store that has more; `node-1`, alone, when absent. */
  readonly node?: { readonly name: string; readonly store: string }
  /**
   * Leave nginx out where there are several nodes: for tests of what the server makes of connections that nginx would not
   * pass on as they are.
   */
  readonly isDirect?: boolean | undefined
  /** Told of the process before it is ready. */
  readonly onSpawn?: ((child: ChildProcess) => void) | undefined
  /** Start it with a clock that `jump` moves. */
  readonly hasFakeClock?: boolean
  /** A module that is loaded into the process before its own, with a channel to it; instead of the fake clock. */
  readonly preload?: URL
}

/** The process itself, not waited for: for tests of what a start says and refuses. */
export const spawnServer = (
  settings: Readonly<Record<string, string>>,
  hasFakeClock = false,
  preload: URL | undefined = hasFakeClock ? fakeClockFile : undefined,
  through: readonly string[] = [],
): { child: ChildProcess; output(): string } => {
  const environment = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('HOLDFAST_')),
  )
  const [command, ...words] = [
    ...through,
    process.execPath,
    ...(preload ? ['--import', preload.href] : []),
    mainFile,
  ]
  const child = spawn(command!, words, {
    env: { ...environment, NODE_ENV: 'production', ...settings },
    stdio: ['ignore', 'pipe', 'pipe', ...(preload ? (['ipc'] as const) : [])],
  })
  endsWithUs(child)
  let text = ''
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', (part: string) => (text += part))
  return { child, output: () => text }
}

/** Starts a server, or as many nodes as TEST_NODES says, and waits until it is ready. */
export const startServer = async (options: StartOptions = {}): Promise<RunningServer> => {
  const count = Number(process.env.TEST_NODES ?? 1)
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'holdfast-test-')))
  // With both services even one node goes by the clock of the database.
  const goesByDatabase = options.hasFakeClock && process.env.TEST_POSTGRES_URL && process.env.TEST_S3_URL
  if (count === 1 && !goesByDatabase) return startNode({ ...options, dataDir })
  const { startCluster } = await import('./cluster.ts')
  return startCluster(count, { ...options, dataDir, isDirect: options.isDirect || count === 1 })
}

/** Past nginx, to one of the nodes, where there are several: for what nginx would answer itself. */
export const directUrlOf = ({ nodes, url }: RunningServer): string => nodes?.[0]?.url ?? url

/** Where the store of this data directory has its metadata and its blobs, when the tests are told of services. */
export const storeSettings = async (dataDir: string): Promise<Record<string, string>> => ({
  ...(await databaseSettings(dataDir)),
  ...blobSettings(dataDir),
})

/** Starts one process and waits until it is ready. */
export const startNode = async ({
  dataDir: directory,
  settings = {},
  node: { name, store } = { name: 'node-1', store: directory },
  port,
  host = '127.0.0.1',
  through,
  onSpawn,
  hasFakeClock,
  preload,
}: StartOptions & { readonly dataDir: string }): Promise<RunningServer> => {
  const address = `${host}:${port ?? (await freePort())}`
  const url = `http://${address}`
  const { child, output } = spawnServer(
    {
      HOLDFAST_LISTEN: address,
      HOLDFAST_DATA_DIR: directory,
      HOLDFAST_NODE_NAME: name,
      HOLDFAST_LOG_LEVEL: 'info',
      ...(await storeSettings(store)),
      ...settings,
    },
    hasFakeClock,
    preload,
    through,
  )
  onSpawn?.(child)
  const ended = once(child, 'exit')
  const deadline = Date.now() + startTimeoutMs
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`the server ended at its start:\n${output()}`)
    const ready = await fetch(`${url}/readyz`).then(
      (reply) => reply.ok,
      () => false,
    )
    if (ready) break
    if (Date.now() > deadline) {
      child.kill('SIGKILL')
      throw new Error(`the server was not ready in ${startTimeoutMs} ms:\n${output()}`)
    }
    await sleep(50)
  }
  const { key } = JSON.parse(await readFile(join(directory, 'client.json'), 'utf8')) as { key: string }
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals> => {
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
    const [code, endedBy] = (await ended) as [number | null, NodeJS.Signals | null]
    clearTimeout(timer)
    return code ?? endedBy!
  }
  return {
    url,
    dataDir: directory,
    pid: child.pid!,
    process: child,
    systemKey: key,
    output,
    stop,
    jump: async (jumpMs, isSteadyToo = false) => {
      const done = once(child, 'message', { signal: AbortSignal.timeout(stopTimeoutMs) })
      child.send({ jumpMs, isSteadyToo } satisfies Jump)
      await done
    },
    remove: async () => {
      await stop()
      await rm(directory, { recursive: true, force: true })
      await dropDatabaseOf(directory)
    },
  }
}
