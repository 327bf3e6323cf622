/**
 * Starts the real server as a user would: a process of its own, configured by environment variables, looked at over
 * HTTP only.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Jump } from './fake-clock.ts'
import { databaseSettings, dropDatabaseOf } from './postgres.ts'
import { blobSettings } from './s3.ts'

const mainFile = fileURLToPath(new URL('../../packages/server/src/main.ts', import.meta.url))
const fakeClockFile = new URL('fake-clock.ts', import.meta.url)
const startTimeoutMs = 30_000
const stopTimeoutMs = 20_000

export interface RunningServer {
  readonly url: string
  readonly dataDir: string
  readonly pid: number
  readonly process: ChildProcess
  /** The key of the namespace `system`, from the client configuration file that the server wrote. */
  readonly systemKey: string
  /** What the process has printed so far. */
  output(): string
  /** Sends a signal and waits for the end; answers the exit code, or the signal that ended the process. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals>
  /** With a fake clock: lets so many ms pass, and waits for the jobs that are due then. */
  jump(ms: number): Promise<void>
  /** Stops the process and removes its data directory. */
  remove(): Promise<void>
}

export interface StartOptions {
  /** An existing data directory; a fresh one is made when absent. */
  readonly dataDir?: string
  /** `HOLDFAST_*` settings. */
  readonly settings?: Readonly<Record<string, string>>
  readonly port?: number
  /** Start it with a clock that `jump` moves. */
  readonly hasFakeClock?: boolean
  /** A module that is loaded into the process before its own, with a channel to it; instead of the fake clock. */
  readonly preload?: URL
}

/** A port nobody listened on a moment ago. */
export const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** The process itself, not waited for: for tests of what a start says and refuses. */
export const spawnServer = (
  settings: Readonly<Record<string, string>>,
  hasFakeClock = false,
  preload: URL | undefined = hasFakeClock ? fakeClockFile : undefined,
): { child: ChildProcess; output(): string } => {
  const environment = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('HOLDFAST_')),
  )
  const child = spawn(process.execPath, [...(preload ? ['--import', preload.href] : []), mainFile], {
    env: { ...environment, NODE_ENV: 'production', ...settings },
    stdio: ['ignore', 'pipe', 'pipe', ...(preload ? (['ipc'] as const) : [])],
  })
  let text = ''
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', (part: string) => (text += part))
  return { child, output: () => text }
}

/** Starts a server and waits until it is ready. */
export const startServer = async ({
  dataDir,
  settings = {},
  port,
  hasFakeClock,
  preload,
}: StartOptions = {}): Promise<RunningServer> => {
  const directory = dataDir ?? (await mkdtemp(join(tmpdir(), 'holdfast-test-')))
  const address = `127.0.0.1:${port ?? (await freePort())}`
  const url = `http://${address}`
  const { child, output } = spawnServer(
    {
      HOLDFAST_LISTEN: address,
      HOLDFAST_DATA_DIR: directory,
      HOLDFAST_NODE_NAME: 'node-1',
      HOLDFAST_LOG_LEVEL: 'info',
      ...(await databaseSettings(directory)),
      ...blobSettings(directory),
      ...settings,
    },
    hasFakeClock,
    preload,
  )
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
    jump: async (jumpMs) => {
      const done = once(child, 'message', { signal: AbortSignal.timeout(stopTimeoutMs) })
      child.send({ jumpMs } satisfies Jump)
      await done
    },
    remove: async () => {
      await stop()
      await rm(directory, { recursive: true, force: true })
      await dropDatabaseOf(directory)
    },
  }
}
