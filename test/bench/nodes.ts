/**
 * What one, two and three nodes do for many clients. All of it runs on one machine, and shares its processors and its disk: the
 * nodes, nginx, PostgreSQL, the S3 server, the clients. So this shows what several nodes cost, and what they gain only as far as
 * the machine has processors left.
 */
import { join } from 'node:path'
import { startCluster } from '../support/cluster.ts'
import { type Bench, describeSize, MiB, parseSize } from './bench.ts'
import { type LoadRequest, sendLoad } from './load.ts'
import { type Options, parseOptions, withDirectory } from './part.ts'
import { type Holdfast, startHoldfast } from './peers/holdfast.ts'
import { startServices } from './peers/services.ts'
import { type Figure, type Report, type Sample, speedRatio } from './report.ts'
import { playRounds, samplesOf } from './rounds.ts'
import { makeFile, stamp } from './source-file.ts'
import { wrk } from './wrk.ts'

const counts = [1, 2, 3]

interface Store {
  readonly name: string
  readonly peer: Holdfast
}

const options: Options = {
  clients: ['16', 'clients at the same time'],
  size: ['8MiB', 'what each of them sends and fetches'],
  seconds: ['3', 'length of a measurement of small requests'],
  rounds: ['5', 'measurements of each figure, of which the median counts'],
}
const short = { clients: '3', size: '1MiB', seconds: '1', rounds: '1' }

const run = (words: readonly string[]): Promise<Report> => {
  const values = parseOptions(options, short, words)
  return withDirectory(async (directory, closing) => {
    const [clients, size] = [Number(values.clients), parseSize(values.size!)]
    const services = closing(await startServices(directory))
    const path = join(directory, 'source')
    const file = await makeFile(path, clients * size)
    const stores: Store[] = []
    for (const count of counts) {
      const name = `${count} ${count === 1 ? 'node' : 'nodes'}`
      const dataDir = join(directory, `nodes-${count}`)
      const settings = {
        ...(await services.database(dataDir)),
        ...services.blobs(dataDir),
        HOLDFAST_NAMESPACE_MAX_UPLOADS: '0',
      }
      const peer = await startHoldfast(directory, {
        name,
        dataDir,
        settings,
        start: (how) => startCluster(count, { ...how, dataDir }),
      })
      stores.push({ name, peer: closing(peer) })
    }
    let counter = 0
    const names = Array.from({ length: clients }, (_, n) => `kept-${n}`)
    const uploadAs = (peer: Holdfast, called: readonly string[]) =>
      called.map((name, n) => peer.requests({ path, offset: n * size, length: size, piece: 2 * MiB, name }))
    const bytes = clients * size
    for (const { peer } of stores) await sendLoad(peer.port, uploadAs(peer, names))
    const upload = async ({ peer }: Store): Promise<Sample> => {
      await stamp(file)
      const called = names.map(() => `upload-${++counter}`)
      const { seconds } = await sendLoad(peer.port, uploadAs(peer, called))
      for (const name of called) await peer.session.delete(`/artifacts/${name}`)
      return { seconds, bytes }
    }
    const download = async ({ peer }: Store): Promise<Sample> => {
      const requests = []
      for (const name of names) {
        const { blob_uuid: blob } = (await peer.session.get(`/artifacts/${name}`)).json
        requests.push([{ method: 'GET', target: `/blobs/${blob}/data`, headers: peer.headers }])
      }
      return { seconds: (await sendLoad(peer.port, requests)).seconds, bytes }
    }
    const small = async ({ peer }: Store, request: LoadRequest): Promise<Sample> =>
      wrk(
        peer.port,
        { ...request, headers: peer.headers },
        { connections: clients, seconds: Number(values.seconds) },
      )
    const tasks = {
      [`${clients} uploads of ${describeSize(size)}`]: upload,
      [`${clients} downloads of ${describeSize(size)}`]: download,
      'show an artifact': (store: Store) => small(store, { method: 'GET', target: `/artifacts/${names[0]}` }),
      'create an upload': (store: Store) =>
        small(store, { method: 'POST', target: '/upload', body: { text: '{}' } }),
    }
    const figures: Figure[] = []
    for (const [task, work] of Object.entries(tasks))
      figures.push(
        ...(await playRounds(
          task,
          Number(values.rounds),
          stores.map((store) => ({ name: store.name, run: () => work(store) })),
        )),
      )
    await file.close()
    const [one, ...more] = stores
    return {
      figures,
      outcomes: Object.keys(tasks).flatMap((task) =>
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
