/** The server of this repository, as the bench starts it and speaks to it. */
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { login, type Session } from '../../support/api.ts'
import { type RunningServer, type StartOptions, startServer } from '../../support/server.ts'
import { describeSource } from '../bench.ts'
import { piecesOf, type UploadPeer } from './peer.ts'

/** What `loop-delay.js` is asked, and the same with its answer in ms. */
interface LoopDelay {
  readonly loopDelay: number
}

export interface Holdfast extends UploadPeer {
  readonly url: string
  readonly dataDir: string
  readonly session: Session
  /** Headers of every request. */
  readonly headers: Readonly<Record<string, string>>
  /** 99th percentile, in ms, of the time for which the event loop took up nothing new since this was asked last. */
  loopDelay(): Promise<number>
  /** Stops it and leaves its data. */
  halt(): Promise<void>
  /** Waits until all digests of an artifact's blob are made, which the server does after an upload. */
  digested(name: string): Promise<void>
}

/** A digest is made at 200 MiB/s and more; nobody waits this long for one. */
const digestTimeoutMs = 10 * 60_000
/** Longer than a lease lasts, and than it takes to remove a large file. */
const collectTimeoutMs = 60_000

export interface HoldfastOptions {
  readonly name?: string
  readonly settings?: Readonly<Record<string, string>>
  /** Where its data lies; a directory of its own when absent. */
  readonly dataDir?: string
  /** Starts it in another form: several nodes. */
  readonly start?: (options: StartOptions) => Promise<RunningServer>
}

/**
 * Starts it with default settings, except for what a bench needs: tokens that last, no housekeeping in the middle of a
 * measurement, what was deleted collected at once, and no log of requests (the peers write none either).
 */
export const startHoldfast = async (
  directory: string,
  {
    name = 'holdfast',
    settings = {},
    dataDir = join(directory, name.replaceAll(/\W+/g, '-')),
    start = startServer,
  }: HoldfastOptions = {},
): Promise<Holdfast> => {
  const server = await start({
    dataDir,
    preload: new URL('../loop-delay.js', import.meta.url),
    settings: {
      HOLDFAST_LOG_LEVEL: 'warn',
      HOLDFAST_TOKEN_LIFETIME: '86400',
      HOLDFAST_VERIFY_INTERVAL: '0',
      HOLDFAST_JOB_INTERVAL: '3600',
      HOLDFAST_COLLECT_GRACE: '0',
      HOLDFAST_LEASE_LIFETIME: '1',
      ...settings,
    },
  })
  const session = await login(server.url, 'system', server.systemKey)
  const headers = { Authorization: `Bearer ${session.token}` }
  const stored = new Set<string>()
  const blobOf = async (artifact: string): Promise<string> =>
    (await session.get(`/artifacts/${artifact}`)).json.blob_uuid
  const digested = async (artifact: string) => {
    const blob = await blobOf(artifact)
    const deadline = Date.now() + digestTimeoutMs
    while ((await session.get(`/blobs/${blob}/checksum/sha256`)).json === null) {
      if (Date.now() > deadline) throw new Error(`the digests of ${artifact} were never made`)
      await sleep(100)
    }
  }
  return {
    name,
    description: `holdfast ${describeSource()}`,
    port: Number(new URL(server.url).port),
    pid: server.pid,
    url: server.url,
    dataDir,
    session,
    headers,
    takesPieces: true,
    requests(upload) {
      stored.add(upload.name)
      return [
        { method: 'POST', target: '/upload', headers, body: { text: '{}' }, save: { upload: 'json.uuid' } },
        ...piecesOf(upload).map(({ body }) => ({
          method: 'POST',
          target: '/upload/{upload}',
          headers,
          body,
        })),
        {
          method: 'POST',
          target: `/artifacts/upload/${upload.name}`,
          headers,
          body: { text: '{"upload_uuid": "{upload}"}' },
        },
      ]
    },
    async clean() {
      const blobs: string[] = []
      for (const artifact of stored) {
        blobs.push(await blobOf(artifact))
        await digested(artifact)
        await session.delete(`/artifacts/${artifact}`)
      }
      stored.clear()
      const deadline = Date.now() + collectTimeoutMs
      for (const blob of blobs) {
        while ((await session.get(`/blobs/${blob}`)).status !== 404) {
          if (Date.now() > deadline) throw new Error(`blob ${blob} was never collected`)
          const { status } = await session.post('/admin/jobs/collect-blobs', { wait: 10 })
          if (status !== 200) throw new Error(`the collection answered ${status}`)
          // The lease of its conversion may have a moment to go.
          await sleep(100)
        }
      }
    },
    digested,
    async loopDelay() {
      const answered = once(server.process, 'message', { signal: AbortSignal.timeout(30_000) })
      server.process.send({ loopDelay: 0 } satisfies LoopDelay)
      const [{ loopDelay }] = (await answered) as [LoopDelay]
      return loopDelay
    },
    async halt() {
      await server.stop()
    },
    stop: () => server.remove(),
  }
}
