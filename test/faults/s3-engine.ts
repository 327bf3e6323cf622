/**
 * Blobs in S3 for a store of the kill suite, over a proxy that breaks some exchanges all the time, and now and then all of
 * them; the service itself is killed as well.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { login } from '../support/api.ts'
import type { Fault, FaultyProxy } from '../support/faulty-proxy.ts'
import { blobSettings, openTestS3 } from '../support/s3.ts'
import type { RunningServer } from '../support/server.ts'
import { comesTrue, type Random, type Report } from './harness.ts'
import { type Engine, embedded, type StoredObjects } from './kill-engine.ts'
import type { S3Server } from './s3-server.ts'

const MiB = 1024 * 1024
const patienceSeconds = 3
const timeoutSeconds = 2
/** Exchanges that go wrong in quiet times. */
const usualFaults = 0.04
const readyTimeoutMs = 60_000

/** One of the ways in which an exchange goes wrong. */
export const pickFault = (random: Random): Fault => {
  const kind = random.weighted({
    'status 500': 3,
    'status 503': 3,
    'cut-request': 3,
    'lost reply': 4,
    'cut-reply': 3,
    delay: 3,
    stall: 0.5,
    'stall-reply': 0.5,
  })
  // Small requests are cut as often as large ones.
  const after = Math.floor(2 ** (random.next() * 23))
  switch (kind) {
    case 'status 500':
      return { kind: 'status', status: 500 }
    case 'status 503':
      return { kind: 'status', status: 503, retryAfter: '1' }
    case 'cut-request':
      return { kind: 'cut-request', after, reset: random.chance(0.5) }
    case 'lost reply':
      return { kind: 'cut-reply', after: -1, reset: random.chance(0.5) }
    case 'cut-reply':
      return { kind: 'cut-reply', after, reset: random.chance(0.5) }
    case 'delay':
      return { kind: 'delay', ms: random.between(20, 600) }
    case 'stall':
      return { kind: 'stall', after, ms: timeoutSeconds * 1000 + 500 }
    case 'stall-reply':
      return { kind: 'stall-reply', after }
  }
}

/** SQLite with blobs in S3. */
export const s3Engine = (
  s3: S3Server,
  proxy: FaultyProxy,
  random: Random,
  report: Report,
): Engine & { readonly stored: NonNullable<Engine['stored']> } => {
  const note = (fault: Fault | undefined): Fault | undefined => {
    if (fault) report.count(`exchanges with ${fault.kind}`)
    return fault
  }
  const usual = () => note(random.chance(usualFaults) ? pickFault(random) : undefined)
  proxy.options.fault = usual
  /** For a while, the proxy decides so. */
  const during = async (fault: () => Fault | undefined): Promise<void> => {
    proxy.options.fault = () => note(fault())
    await sleep(random.between(500, 2000))
    proxy.options.fault = usual
  }
  const pause = () => sleep(random.chance(0.5) ? 0 : random.between(0, 800))
  const restart = async () => {
    await s3.kill()
    await pause()
    await s3.start()
  }
  const strikes = {
    'kill -9 of the service': restart,
    'kill -9 of both': async (server: RunningServer) => {
      await Promise.all([restart(), server.stop('SIGKILL')])
    },
    'kill -9 of the server': async (server: RunningServer) => {
      await server.stop('SIGKILL')
    },
    'kill -9 of the server, replies lost before': async (server: RunningServer) => {
      proxy.options.fault = () => note({ kind: 'cut-reply', after: -1 })
      await sleep(random.between(50, 500))
      await server.stop('SIGKILL')
      proxy.options.fault = usual
    },
    'away for long': async (server: RunningServer) => {
      await s3.kill()
      await expectRefusal(server, report)
      await s3.start()
    },
    'errors everywhere': () => during(() => (random.chance(0.6) ? pickFault(random) : undefined)),
    'replies lost': () => during(() => (random.chance(0.6) ? { kind: 'cut-reply', after: -1 } : undefined)),
    slow: () => during(() => ({ kind: 'delay', ms: random.between(200, 1500) })),
  } as const

  return {
    ...embedded,
    largestFile: 30 * MiB,
    settings: async (dataDir) => ({
      ...blobSettings(dataDir, proxy.url),
      HOLDFAST_S3_PATIENCE: `${patienceSeconds}`,
      HOLDFAST_S3_TIMEOUT: `${timeoutSeconds}`,
    }),
    async strike(server) {
      const kind = random.weighted({
        'kill -9 of the service': 3,
        'kill -9 of both': 2,
        'kill -9 of the server': 3,
        'kill -9 of the server, replies lost before': 3,
        'away for long': 1,
        'errors everywhere': 3,
        'replies lost': 3,
        slow: 1,
      })
      report.count(`strike: ${kind}`)
      await strikes[kind](server)
      if (kind.startsWith('kill -9') && kind !== 'kill -9 of the service') return true
      report.check(server.process.exitCode === null, () => `the server ended by itself: ${server.output()}`)
      const isReady = () => fetch(`${server.url}/readyz`).then(({ ok }) => ok)
      report.check(await comesTrue(isReady, readyTimeoutMs), 'the server is not ready any more')
      return false
    },
    stored: (dataDir) => listStored(s3.url, dataDir),
  }
}

/** While the service is away for longer than the server's patience, downloads are refused in words. */
const expectRefusal = async (server: RunningServer, report: Report): Promise<void> => {
  const system = await login(server.url, 'system', server.systemKey)
  const [blob] = (await system.get('/blobs')).json as { uuid: string; size: number }[]
  if (!blob || blob.size === 0) return
  const began = performance.now()
  const reply = await fetch(`${server.url}/blobs/${blob.uuid}/data`, {
    headers: { Authorization: `Bearer ${system.token}` },
  })
  const body = (await reply.json()) as { code?: string }
  report.highest('ms to a refusal without the service', Math.round(performance.now() - began))
  report.check(
    (reply.status === 503 && body.code === 'blob_store_unavailable' && reply.headers.has('retry-after')) ||
      reply.status === 404,
    () => `without its store a download is ${reply.status} ${JSON.stringify(body)}`,
  )
}

/** What the service has for this data directory, asked directly. */
export const listStored = async (endpoint: string, dataDir: string): Promise<StoredObjects> => {
  const { client: s3, bucket: Bucket, prefix } = (await openTestS3(dataDir, endpoint))!
  const sizes = async (Prefix: string) => {
    const found = new Map<string, number>()
    for (let token: string | undefined; ; ) {
      const page = await s3.listObjectsV2({ Bucket, Prefix, ...(token && { ContinuationToken: token }) })
      for (const { Key, Size } of page.Contents ?? []) found.set(Key!.slice(Prefix.length), Size ?? 0)
      token = page.NextContinuationToken
      if (!token) return found
    }
  }
  const { Uploads = [] } = await s3.listMultipartUploads({ Bucket, Prefix: `${prefix}/` })
  return {
    blobs: await sizes(`${prefix}/blobs/`),
    quarantined: [...(await sizes(`${prefix}/quarantine/`)).keys()],
    unfinished: Uploads.map(({ Key }) => Key!),
  }
}
