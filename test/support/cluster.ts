/** Several nodes of one store behind nginx, as one server to look at. Needs PostgreSQL and S3: see postgres.ts, s3.ts. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { login, type Session } from './api.ts'
import { type Balancer, startBalancer } from './balancer.ts'
import { installDatabaseClock, moveDatabaseClock } from './fake-database-clock.ts'
import { freePort } from './ports.ts'
import { databaseSettings, databaseUrlOf, dropDatabaseOf } from './postgres.ts'
import { type RunningServer, type StartOptions, startNode } from './server.ts'

/** What all nodes are told. */
const sharedSettings: Readonly<Record<string, string>> = {
  HOLDFAST_SYSTEM_KEY: 'key of system',
  HOLDFAST_TRUSTED_PROXIES: '127.0.0.1',
}

/** Whenever time has passed, heartbeats are waited for. */
const fakeClockSettings = { HOLDFAST_NODE_TIMEOUT: '4' }

export interface RunningCluster extends RunningServer {
  /** As they were started last; one that has ended stays in its place until it is started again. */
  readonly nodes: readonly RunningServer[]
  /** Starts one again that has ended, with its directory and its address. */
  restart(at: number, onSpawn?: StartOptions['onSpawn']): Promise<RunningServer>
}

export interface ClusterOptions extends StartOptions {
  readonly dataDir: string
  /** Where a node runs: its address, and what its command begins with. */
  readonly placeOf?: (at: number) => Pick<StartOptions, 'host' | 'through'>
}

/** Starts `count` nodes, each with a directory of its own in `dataDir`, and nginx at `port`. */
export const startCluster = async (
  count: number,
  { dataDir, settings = {}, port, isDirect = false, placeOf, ...rest }: ClusterOptions,
): Promise<RunningCluster> => {
  if (!settings.HOLDFAST_DATABASE_URL && !(process.env.TEST_POSTGRES_URL && process.env.TEST_S3_URL))
    throw new Error('several nodes need TEST_POSTGRES_URL and TEST_S3_URL')
  const nodes: RunningServer[] = []
  const startOne = async (at: number, onSpawn?: StartOptions['onSpawn']): Promise<void> => {
    const name = nodeName(at)
    const before = nodes[at]
    nodes[at] = await startNode({
      ...rest,
      ...placeOf?.(at),
      onSpawn,
      dataDir: join(dataDir, name),
      node: { name, store: dataDir },
      port: before ? Number(new URL(before.url).port) : await freePort(),
      settings: { ...sharedSettings, ...(rest.hasFakeClock && fakeClockSettings), ...settings },
    })
  }
  if (rest.hasFakeClock) {
    await databaseSettings(dataDir)
    await installDatabaseClock(databaseUrlOf(dataDir)!)
  }
  let balancer: Balancer | undefined
  try {
    // The first one makes the tables, and the others find them.
    await startOne(0)
    await Promise.all(Array.from({ length: count - 1 }, (_, at) => startOne(at + 1)))
    if (!isDirect) {
      const addresses = nodes.map(({ url }) => new URL(url).host)
      const listen = `127.0.0.1:${port ?? (await freePort())}`
      balancer = await startBalancer(join(dataDir, 'nginx'), listen, addresses)
    }
  } catch (error) {
    // Nobody gets hold of those that have started.
    for (const node of nodes) node?.process.kill('SIGKILL')
    throw error
  }
  const [first] = nodes as [RunningServer]
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    const [code] = await Promise.all(nodes.map((node) => node.stop(signal)))
    await balancer?.stop()
    return code!
  }
  return {
    url: balancer?.url ?? first.url,
    dataDir,
    get pid() {
      return nodes[0]!.pid
    },
    get process() {
      return nodes[0]!.process
    },
    systemKey: first.systemKey,
    nodes,
    output: () => nodes.map((node) => node.output()).join(''),
    stop,
    restart: async (at, onSpawn) => {
      await startOne(at, onSpawn)
      return nodes[at]!
    },
    jump: (ms) => passTime(nodes, databaseUrlOf(dataDir)!, ms),
    remove: async () => {
      await stop()
      await rm(dataDir, { recursive: true, force: true })
      await dropDatabaseOf(dataDir)
    },
  }
}

/** Of the first, second, ... node, and of its directory. */
export const nodeName = (at: number): string => `node-${at + 1}`

/**
 * Lets time pass for all nodes and their database, and runs every job. The nodes go first: one that asks the database for its
 * time in between is behind for a moment, which is harmless, and not ahead.
 */
const passTime = async (nodes: readonly RunningServer[], databaseUrl: string, ms: number): Promise<void> => {
  await Promise.all(nodes.map((node) => node.jump(ms, true)))
  const now = await moveDatabaseClock(databaseUrl, ms)
  const [system] = await Promise.all(
    nodes.map(async ({ url, systemKey }) => {
      const session = await login(url, 'system', systemKey)
      await haveBeatenTwice(session, now)
      return session
    }),
  )
  const jobs = (await system!.get('/admin/jobs')).json as { name: string }[]
  await Promise.all(jobs.map(({ name }) => runJob(system!, name)))
}

/** Asks for a run, and waits for it however long it takes. */
const runJob = async (system: Session, name: string): Promise<void> => {
  for (let tries = 6; ; tries -= 1) {
    const { json } = await system.post(`/admin/jobs/${name}`, { wait: 10 })
    if (json.runs >= json.run && json.last_run?.outcome === 'done') return
    if (tries === 1) throw new Error(`the job ${name} did not run to its end: ${JSON.stringify(json)}`)
  }
}

/** Since that time of the database, in seconds, every node has asked for it once at least: the second heartbeat ended. */
const haveBeatenTwice = async (system: Session, now: number): Promise<void> => {
  const beats = new Map<string, Set<number>>()
  for (;;) {
    const listed = (await system.get('/nodes')).json as { name: string; state: string; seen_at: number }[]
    for (const { name, seen_at } of listed)
      if (seen_at >= now) beats.set(name, (beats.get(name) ?? new Set()).add(seen_at))
    const haveAll = listed.every(({ name, state }) => state === 'up' && (beats.get(name)?.size ?? 0) >= 2)
    if (haveAll) return
    await sleep(50)
  }
}
