/**
 * Three nodes of one store over PostgreSQL and S3, behind nginx, and what is done to them: see nodes.ts. Each node has a
 * network of its own, so that it can be cut off from the others, from one of the services, or from everything.
 */
import type { ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { login } from '../support/api.ts'
import { asideMs } from '../support/balancer.ts'
import { nodeName, type RunningCluster, startCluster } from '../support/cluster.ts'
import type { Fault, FaultyProxy } from '../support/faulty-proxy.ts'
import { askPostgres, databaseSettings, databaseUrlOf } from '../support/postgres.ts'
import { blobSettings } from '../support/s3.ts'
import type { RunningServer } from '../support/server.ts'
import { bytesOf, comesTrue, isConnectionError, type Random, type Report, wordsOf } from './harness.ts'
import { type Engine, postgresEngine } from './kill-engine.ts'
import { type NodeNetwork, nodeAddress, type Service } from './node-network.ts'
import type { PostgresServer } from './postgres-server.ts'
import { listStored, pickFault } from './s3-engine.ts'
import type { S3Server } from './s3-server.ts'

export const nodeCount = 3
const MiB = 1024 * 1024
const seconds = { nodeTimeout: 4, databasePatience: 2, s3Patience: 3, s3Timeout: 2 }
/** Longer than a node may be silent before it is taken for gone. */
const longMs = { least: seconds.nodeTimeout * 1000 + 500, most: seconds.nodeTimeout * 1000 + 3000 }
const readyTimeoutMs = 60_000
/**
 * Within this time the nodes that are left have to store something: the locks of a node that froze in the middle of a transaction are
 * theirs after 15 s, when PostgreSQL ends its session, and uploads of its own are begun again when it is taken for gone.
 */
const serveTimeoutMs = 30_000
/**
 * A request to a node that is frozen or cut off waits for as long as that lasts, which is until the others have served; what is sent again
 * after a cut goes out after up to as long once more; then the node has its patience with the services, and with a lock for 10 s.
 */
const answerWithinMs = 2 * serveTimeoutMs + 20_000
/** Exchanges with the S3 service that go wrong in quiet times. */
const usualFaults = 0.02

export interface NodesWorld {
  readonly network: NodeNetwork
  readonly postgres: PostgresServer
  readonly s3: S3Server
  readonly proxy: FaultyProxy
}

/** How often each strike comes. */
const weights = {
  'kill -9 of a node': 5,
  'kill -9 of a node, gone for long': 4,
  'kill -9 of two nodes': 2,
  'kill -9 of all nodes': 2,
  'kill -9 of a node that starts': 2,
  'a node frozen for a moment': 1,
  'a node frozen past its lease': 4,
  'a node frozen in the middle of a job': 4,
  'a node cut off for a moment': 2,
  'a node cut off past its lease': 4,
  'nodes cut off from each other': 3,
  'a node without the database': 2,
  'a node without the S3 service': 2,
  'all collect at once': 3,
  'restart of one node after the other': 3,
  'PostgreSQL restarted': 2,
  'PostgreSQL killed': 3,
  'PostgreSQL and a node killed': 2,
  'S3 killed': 2,
  'S3 answers with errors': 2,
  'S3 loses replies': 2,
  'S3 is slow': 1,
} as const
type Strike = keyof typeof weights

export const nodesEngine = (world: NodesWorld, random: Random, report: Report): Engine => {
  const { network, postgres, s3, proxy } = world
  let running: RunningCluster
  let databaseUrl = ''
  const usual = (): Fault | undefined => {
    const fault = random.chance(usualFaults) ? pickFault(random) : undefined
    if (fault) report.count(`exchanges with ${fault.kind}`)
    return fault
  }
  proxy.options.fault = usual

  /** The latest of what was done, and since when the suite has been running. */
  const done: string[] = []
  const began = performance.now()
  const note = (words: string): void => {
    done.push(`${((performance.now() - began) / 1000).toFixed(1)} s: ${words}`)
    if (done.length > 12) done.shift()
  }

  const anyNode = () => random.between(0, nodeCount - 1)
  const moment = () => sleep(random.chance(0.4) ? 0 : random.between(0, 800))
  const long = () => sleep(random.between(longMs.least, longMs.most))
  const kill = (at: number) => running.nodes[at]!.stop('SIGKILL')
  const signal = (at: number, name: NodeJS.Signals) => void process.kill(running.nodes[at]!.pid, name)
  const during = async (fault: () => Fault | undefined): Promise<void> => {
    proxy.options.fault = fault
    await sleep(random.between(500, 2000))
    proxy.options.fault = usual
  }
  /** While something is amiss with some nodes, the others have to serve. */
  const others = async (struck: readonly number[], wait: () => Promise<unknown>): Promise<void> => {
    const left = running.nodes.filter((_, at) => !struck.includes(at))
    await Promise.all([wait(), expectService(left, random, report)])
  }
  const frozen = async (at: number, wait: () => Promise<unknown>): Promise<void> => {
    note(`${nodeName(at)} freezes`)
    signal(at, 'SIGSTOP')
    await wait()
    signal(at, 'SIGCONT')
    note(`${nodeName(at)} goes on`)
  }
  const cut = async (at: number, wait: () => Promise<unknown>): Promise<void> => {
    note(`${nodeName(at)} is cut off`)
    await network.setCut(at, true)
    await wait()
    await network.setCut(at, false)
    note(`${nodeName(at)} is joined again`)
  }
  const without = async (service: Service): Promise<void> => {
    const at = anyNode()
    await network.setWithout(at, service, true)
    await (random.chance(0.5) ? moment() : long())
    await network.setWithout(at, service, false)
  }
  const collectAtAll = async (): Promise<void> => {
    for (let times = random.between(2, 6); times > 0; times -= 1)
      await Promise.all(
        running.nodes.map(async ({ url, systemKey }) => {
          const system = await login(url, 'system', systemKey)
          const jobs = ['collect-blobs', 'expire-uploads', 'verify-blobs']
          await Promise.all(jobs.map((job) => system.post(`/admin/jobs/${job}`, { wait: 10 })))
        }),
      ).catch(passOver)
  }

  const strikes: Record<Strike, () => Promise<unknown>> = {
    'kill -9 of a node': async () => {
      const at = anyNode()
      await kill(at)
      await moment()
      await running.restart(at)
    },
    'kill -9 of a node, gone for long': async () => {
      const at = anyNode()
      await kill(at)
      await others([at], long)
      await running.restart(at)
    },
    'kill -9 of two nodes': async () => {
      const spared = anyNode()
      const gone = [...running.nodes.keys()].filter((at) => at !== spared)
      await Promise.all(gone.map(kill))
      await (random.chance(0.5) ? others(gone, long) : moment())
      await Promise.all(gone.map((at) => running.restart(at)))
    },
    'kill -9 of all nodes': async () => {
      const all = [...running.nodes.keys()]
      await Promise.all(all.map(kill))
      await moment()
      await Promise.all(all.map((at) => running.restart(at)))
    },
    'kill -9 of a node that starts': async () => {
      const at = anyNode()
      await kill(at)
      const after = random.between(100, 1500)
      const killLater = (child: ChildProcess) => void setTimeout(() => child.kill('SIGKILL'), after)
      await running.restart(at, killLater).catch(() => {})
      await sleep(after)
      await running.restart(at)
    },
    'a node frozen for a moment': () => frozen(anyNode(), moment),
    'a node frozen past its lease': async () => {
      const at = anyNode()
      await frozen(at, () => others([at], long))
    },
    'a node frozen in the middle of a job': async () => {
      const at = (await findHolder(databaseUrl)) ?? anyNode()
      await frozen(at, () => others([at], long))
    },
    'a node cut off for a moment': () => cut(anyNode(), moment),
    'a node cut off past its lease': async () => {
      const at = anyNode()
      await cut(at, () => others([at], long))
    },
    'nodes cut off from each other': async () => {
      await network.setApart(true)
      await (random.chance(0.5) ? moment() : long())
      await network.setApart(false)
    },
    'a node without the database': () => without('database'),
    'a node without the S3 service': () => without('blobs'),
    'all collect at once': collectAtAll,
    'restart of one node after the other': async () => {
      for (const at of running.nodes.keys()) {
        const code = await running.nodes[at]!.stop('SIGTERM')
        report.check(code === 0, () => `${nodeName(at)} ended with ${code}: ${running.nodes[at]!.output()}`)
        await running.restart(at)
      }
    },
    'PostgreSQL restarted': async () => {
      await postgres.stop(random.pick(['fast', 'immediate']))
      await moment()
      await postgres.start()
    },
    'PostgreSQL killed': async () => {
      await postgres.kill()
      await (random.chance(0.3) ? long() : moment())
      await postgres.start()
    },
    'PostgreSQL and a node killed': async () => {
      const at = anyNode()
      await Promise.all([postgres.kill(), kill(at)])
      await moment()
      await postgres.start()
      await running.restart(at)
    },
    'S3 killed': async () => {
      await s3.kill()
      await (random.chance(0.3) ? long() : moment())
      await s3.start()
    },
    'S3 answers with errors': () => during(() => (random.chance(0.6) ? pickFault(random) : undefined)),
    'S3 loses replies': () =>
      during(() => (random.chance(0.6) ? { kind: 'cut-reply', after: -1 } : undefined)),
    'S3 is slow': () => during(() => ({ kind: 'delay', ms: random.between(200, 1500) })),
  }

  return {
    isAvailable: true,
    async look(requestId) {
      note('this is looked at')
      const said = running.nodes.flatMap((node, at) =>
        node
          .output()
          .split('\n')
          .filter((line) => line.includes(requestId))
          .map((line) => `${nodeName(at)}: ${line}`),
      )
      return [...done, ...said, ...(await sessionsOf(databaseUrl))].join('\n')
    },
    nodes: Array.from({ length: nodeCount }, (_, at) => nodeName(at)),
    largestFile: 30 * MiB,
    answerWithinMs,
    async settings(dataDir) {
      databaseUrl = databaseUrlOf(dataDir, postgres.url)!
      return {
        ...(await databaseSettings(dataDir, postgres.url)),
        ...blobSettings(dataDir, proxy.url),
        HOLDFAST_DATABASE_PATIENCE: `${seconds.databasePatience}`,
        HOLDFAST_S3_PATIENCE: `${seconds.s3Patience}`,
        HOLDFAST_S3_TIMEOUT: `${seconds.s3Timeout}`,
        HOLDFAST_NODE_TIMEOUT: `${seconds.nodeTimeout}`,
        HOLDFAST_LOG_LEVEL: 'info',
      }
    },
    async start(options) {
      const placeOf = (at: number) => ({ host: nodeAddress(at), through: network.within(at) })
      running = await startCluster(nodeCount, { ...options, placeOf })
      return running
    },
    async strike() {
      const kind = random.weighted<Strike>(weights)
      report.count(`strike: ${kind}`)
      note(kind)
      await strikes[kind]()
      note('the strike is over')
      await postgres.ready()
      for (const [at, node] of running.nodes.entries()) {
        const { exitCode, signalCode } = node.process
        report.check(
          exitCode === null && signalCode === null,
          () =>
            `after "${kind}" ${nodeName(at)} has ended by itself (${exitCode}): ${node.output().slice(-2000)}`,
        )
        if (exitCode !== null) await running.restart(at)
      }
      report.check(
        await comesTrue(knowEachOther(running), readyTimeoutMs),
        () => `after "${kind}" the nodes do not find each other`,
      )
      // nginx may have found one of them away a moment before it came.
      await sleep(asideMs + 200)
      return false
    },
    open: postgresEngine(postgres, random.fork(), report).open,
    stored: (dataDir) => listStored(s3.url, dataDir),
    forget: async () => {},
  }
}

const passOver = (error: unknown): void => {
  if (!isConnectionError(error)) throw error
}

/** Whether by now every node has been ready, and has taken each for up; not all at the same moment, on a machine with other work. */
const knowEachOther = (running: RunningCluster): (() => Promise<boolean>) => {
  const known = new Set<string>()
  const look = async ({ url, systemKey }: RunningServer): Promise<void> => {
    if (!(await fetch(`${url}/readyz`)).ok) return
    const { json } = await (await login(url, 'system', systemKey)).get('/nodes')
    for (const { name, state } of json as { name: string; state: string }[])
      if (state === 'up') known.add(`${url} knows ${name}`)
  }
  return async () => {
    const looks = await Promise.allSettled(running.nodes.map(look))
    const failed = looks.flatMap((look) => (look.status === 'rejected' ? [look.reason as unknown] : []))
    for (const error of failed) if (!isConnectionError(error) && !(error instanceof TypeError)) throw error
    return known.size === nodeCount ** 2
  }
}

/**
 * Something is stored at the nodes that are left and read again, whatever it takes, but not for ever: made at one, sent and
 * converted through another. Not through nginx, which would go on asking a node that takes connections and says nothing.
 */
const expectService = async (
  left: readonly RunningServer[],
  random: Random,
  report: Report,
): Promise<void> => {
  const content = bytesOf(`served ${random.next()}`, 100_000)
  const [one, other] = [random.pick(left), random.pick(left)]
  const began = performance.now()
  let last: unknown
  const serve = async (): Promise<boolean> => {
    const [first, second] = await Promise.all(
      [one, other].map(({ url }) => login(url, 'south', 'key of south')),
    )
    const { uuid: upload } = (await first!.post('/upload')).json
    await second!.send('POST', `/upload/${upload}`, { body: content })
    const { json } = await second!.post(`/artifacts/upload/served-${random.next()}`, { upload_uuid: upload })
    const { bytes } = await first!.get(`/blobs/${json.blob_uuid}/data`)
    await first!.delete(`/artifacts/${json.uuid}`)
    return bytes.equals(content)
  }
  const isServed = await comesTrue(async () => {
    try {
      return await serve()
    } catch (error) {
      last = error
      if (!isConnectionError(error)) throw error
      return false
    }
  }, serveTimeoutMs)
  report.check(isServed, () => `the nodes that are left do not serve: ${wordsOf(last)}`)
  report.highest('ms until the others served', Math.round(performance.now() - began))
}

/** What the database is doing, and for whom. */
const sessionsOf = async (url: string): Promise<string[]> => {
  const rows = await askPostgres(
    url,
    `SELECT application_name, client_addr, state, wait_event_type, wait_event, now() - xact_start AS since,
            pg_blocking_pids(pid) AS behind, pid, left(query, 100) AS query
     FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()`,
  ).catch((error) => [{ error: wordsOf(error) }])
  return rows.map((row) => JSON.stringify(row))
}

/** Which node has a turn at some job just now; waits a while for one. */
const findHolder = async (url: string): Promise<number | undefined> => {
  for (let left = 100; left > 0; left -= 1) {
    const rows = await askPostgres(
      url,
      `SELECT nodes.name FROM turns JOIN nodes ON turns.holder LIKE nodes.run || ' %' WHERE turns.name LIKE 'job collect%'`,
    )
    if (rows.length > 0) return Number(String(rows[0]!.name).split('-')[1]) - 1
    await sleep(10)
  }
  return undefined
}
