/**
 * What one, two and three nodes do for many clients. All of it runs on one machine, and shares its processors and its disk: the
 * nodes, nginx, PostgreSQL, the S3 server, the clients. So this shows what several nodes cost, and what they gain only as far as
 * the machine has processors left.
 */
import { join } from 'node:path'
import { startCluster } from '../support/cluster.ts'
import type { RunningServer, StartOptions } from '../support/server.ts'
import { type Bench, describeSize, MiB, parseSize } from './bench.ts'
import { type LoadRequest, sendLoad } from './load.ts'
import { type Options, parseOptions, withDirectory } from './part.ts'
import { type Holdfast, startHoldfast } from './peers/holdfast.ts'
import { startServices } from './peers/services.ts'
import { type Cost, watchCost } from './process-cost.ts'
import { type Figure, type Report, type Sample, speedRatio } from './report.ts'
import { playRounds, samplesOf } from './rounds.ts'
import { makeFile, stamp } from './source-file.ts'
import { wrk } from './wrk.ts'

const counts = [1, 2, 3]

interface Store {
  readonly name: string
  readonly peer: Holdfast
  readonly nodes: readonly RunningServer[]
}

const options: Options = {
  clients: ['16', 'clients at the same time'],
  size: ['8MiB', 'what each of them sends and fetches'],
  seconds: ['3', 'length of a measurement of small requests'],
  rounds: ['5', 'measurements of each figure, of which the median counts'],
}
const short = { clients: '3', size: '1MiB', seconds: '1', rounds: '1' }

/** Adds what the nodes cost; nginx, the services and the clients come on top. */
const watched = async ({ nodes }: Store, work: () => Promise<Sample>): Promise<Sample> => {
  const watches = nodes.map(({ pid }) => watchCost(pid))
  const sample = await work()
  const costs = watches.map((watch) => watch())
  const sum = (of: keyof Cost) => costs.reduce((so, cost) => so + cost[of], 0)
  return { ...sample, cpuSeconds: sum('cpuSeconds'), peakRss: sum('peakRss') }
}

const run = (words: readonly string[]): Promise<Report> => {
  const values = parseOptions(options, short, words)
  return withDirectory(async (directory, closing) => {
    const [clients, size] = [Number(values.clients), parseSize(values.size!)]
    const services = closing(await startServices(directory))
    const path = join(directory, 'source')
    const file = await makeFile(path, clients * size)
    const open = async (count: number): Promise<Store> => {
      const name = `${count} ${count === 1 ? 'node' : 'nodes'}`
      const dataDir = join(directory, `nodes-${count}`)
      const settings = {
        ...(await services.database(dataDir)),
        ...services.blobs(dataDir),
        HOLDFAST_NAMESPACE_MAX_UPLOADS: '0',
      }
      let nodes: readonly RunningServer[] = []
      const start = async (how: StartOptions) => {
        const cluster = await startCluster(count, { ...how, dataDir })
        nodes = cluster.nodes
        return cluster
      }
      const peer = closing(await startHoldfast(directory, { name, dataDir, settings, start }))
      return { name, peer, nodes }
    }
    const stores: Store[] = []
    for (const count of counts) stores.push(await open(count))

    let counter = 0
    /** Each client stores a file; answers their names. */
    const storeAll = async ({ peer }: Store) => {
      await stamp(file)
      const names = Array.from({ length: clients }, () => `file-${++counter}`)
      const requests = names.map((name, n) =>
        peer.requests({ path, offset: n * size, length: size, piece: 2 * MiB, name }),
      )
      return { names, seconds: (await sendLoad(peer.port, requests)).seconds, bytes: clients * size }
    }
    const upload = async (store: Store): Promise<Sample> => {
      const sample = await watched(store, async () => {
        const { seconds, bytes } = await storeAll(store)
        return { seconds, bytes }
      })
      await store.peer.clean()
      return sample
    }
    const download = (names: ReadonlyMap<Store, readonly string[]>) => async (store: Store) => {
      const { session, headers, port } = store.peer
      const requests: LoadRequest[][] = []
      for (const name of names.get(store)!) {
        const { blob_uuid: blob } = (await session.get(`/artifacts/${name}`)).json
        requests.push([{ method: 'GET', target: `/blobs/${blob}/data`, headers }])
      }
      return watched(store, async () => ({
        seconds: (await sendLoad(port, requests)).seconds,
        bytes: clients * size,
      }))
    }
    const repeat = (request: (store: Store) => LoadRequest) => (store: Store) =>
      watched(store, () =>
        wrk(
          store.peer.port,
          { ...request(store), headers: store.peer.headers },
          { connections: clients, seconds: Number(values.seconds) },
        ),
      )
    const figures: Figure[] = []
    const play = async (task: string, work: (store: Store) => Promise<Sample>): Promise<void> => {
      const contestants = stores.map((store) => ({ name: store.name, run: () => work(store) }))
      figures.push(...(await playRounds(task, Number(values.rounds), contestants)))
    }
    const tasks = {
      up: `${clients} uploads of ${describeSize(size)}`,
      down: `${clients} downloads of ${describeSize(size)}`,
      show: 'show an artifact',
      create: 'create an upload',
    }
    await play(tasks.up, upload)
    const kept = new Map<Store, readonly string[]>()
    for (const store of stores) {
      const { names } = await storeAll(store)
      for (const name of names) await store.peer.digested(name)
      kept.set(store, names)
    }
    await play(tasks.down, download(kept))
    await play(
      tasks.show,
      repeat((store) => ({ method: 'GET', target: `/artifacts/${kept.get(store)![0]}` })),
    )
    await play(
      tasks.create,
      repeat(() => ({ method: 'POST', target: '/upload', body: { text: '{}' } })),
    )
    await file.close()
    const [one, ...more] = stores
    return {
      figures,
      outcomes: Object.values(tasks).flatMap((task) =>
        more.map(({ name }) =>
          speedRatio(
            `${task}, ${name} / 1 node`,
            samplesOf(figures, task, name),
            samplesOf(figures, task, one!.name),
          ),
        ),
      ),
    }
  })
}

export const bench: Bench = {
  summary: 'one, two and three nodes behind nginx for many clients, all on one machine',
  options,
  run,
}
