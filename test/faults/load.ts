/**
 * Many clients upload at once through real sockets, each its own files in chunks of random size, and convert and
 * verify what they sent. There must be no error, memory must not grow with time, and no client may starve: the
 * slowest comes to at least a third of the median.
 *
 * `--runs` is the number of seconds; in the long form, from a minute on, there are 200 clients instead of 50. Where the
 * machine is busy with other work it lasts longer, until most clients have done enough to be compared.
 */
import { createHash } from 'node:crypto'
import { Agent, request as httpRequest } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { login } from '../support/api.ts'
import { startServer } from '../support/server.ts'
import { bytesOf, memoryOf, Random, Report, readOptions, within, wordsOf } from './harness.ts'

const options = readOptions(15)
const report = new Report('load', options)
const random = new Random(options.seed)

const clientCount = options.runs >= 60 ? 200 : 50
const KiB = 1024
const MiB = 1024 * KiB
/**
 * A client converts its upload at about this size and begins the next: small enough that after a few seconds some send,
 * some convert and some read back at any moment, also on a slow disk.
 */
const fileSize = { least: 512 * KiB, most: 6 * MiB }
const chunkSize = { least: 4 * KiB, most: 1 * MiB }
const requestTimeoutMs = 60_000
const sampleMs = 500
/** With fewer files than this, what the slowest client moved is a matter of luck: of how large its first ones were. */
const leastFiles = 5
/** Times the seconds asked for; then it ends, however little was done. */
const longest = 4
/**
 * The slots for what arrives and the buffers for reading ahead take 112 MiB when all are in use, each download the block
 * that is being sent.
 */
const maxMemoryMiB = 360 + clientCount / 2

/** What all chunks are cut from, so that making bytes costs the clients nothing. */
const pool = bytesOf(`load ${options.seed}`, 8 * MiB)

const server = await startServer({
  settings: {
    HOLDFAST_LOG_LEVEL: 'warn',
    HOLDFAST_TOKEN_LIFETIME: '864000',
    // What was verified is deleted and collected while others still upload.
    HOLDFAST_COLLECT_GRACE: '1',
    HOLDFAST_JOB_INTERVAL: '1',
  },
})
const { token } = await login(server.url, 'system', server.systemKey)
const { hostname, port } = new URL(server.url)

interface Progress {
  sent: number
  received: number
  files: number
}

/** One client with one connection that it keeps. */
class LoadClient {
  readonly progress: Progress = { sent: 0, received: 0, files: 0 }
  readonly #name: string
  readonly #random: Random
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })

  constructor(name: string, choices: Random) {
    this.#name = name
    this.#random = choices
  }

  /** Uploads file after file until the time is over; the last one ends then, too. */
  async run(): Promise<void> {
    while (!isTimeUp()) await this.#uploadOne()
    this.#agent.destroy()
  }

  async #uploadOne(): Promise<void> {
    const { uuid } = await this.#ask('POST', '/upload')
    const hash = createHash('sha512')
    const size = this.#random.between(fileSize.least, fileSize.most)
    let sent = 0
    do {
      const length = this.#random.between(chunkSize.least, chunkSize.most)
      const from = this.#random.between(0, pool.length - length)
      const chunk = pool.subarray(from, from + length)
      const headers = this.#random.chance(0.5) ? { 'Upload-Offset': sent } : {}
      const total = await this.#ask('POST', `/upload/${uuid}`, chunk, headers)
      sent += length
      report.check(total === sent, () => `${this.#name}: ${sent} bytes sent, ${total} acknowledged`)
      hash.update(chunk)
      this.progress.sent += length
    } while (sent < size && !isTimeUp())
    const digest = hash.digest('hex')
    const wish = Buffer.from(JSON.stringify({ upload_uuid: uuid, sha512: digest, size: sent }))
    const view = await this.#ask('POST', `/artifacts/upload/${this.#name}`, wish)
    const stored = await this.#download(`/blobs/${view.blob_uuid}/data`)
    report.check(stored.size === sent && stored.sha512 === digest, `${this.#name}: other bytes came back`)
    await this.#ask('DELETE', `/artifacts/${view.uuid}`)
    this.progress.files += 1
  }

  /** Sends a request and answers its JSON; anything but 200 is an error. */
  async #ask(
    method: string,
    path: string,
    body?: Buffer,
    headers: Record<string, unknown> = {},
    // biome-ignore lint/suspicious/noExplicitAny: replies of every shape
  ): Promise<any> {
    const parts: Buffer[] = []
    const status = await this.#send(method, path, body, headers, (part) => parts.push(part))
    const text = Buffer.concat(parts).toString()
    if (status !== 200) throw new Error(`${this.#name}: ${method} ${path}: ${status} ${text}`)
    return JSON.parse(text)
  }

  async #download(path: string): Promise<{ size: number; sha512: string }> {
    const hash = createHash('sha512')
    let size = 0
    await this.#send('GET', path, undefined, {}, (part) => {
      hash.update(part)
      size += part.length
      this.progress.received += part.length
    })
    return { size, sha512: hash.digest('hex') }
  }

  #send(
    method: string,
    path: string,
    body: Buffer | undefined,
    headers: Record<string, unknown>,
    onPart: (part: Buffer) => void,
  ): Promise<number> {
    const done = new Promise<number>((resolve, reject) => {
      const request = httpRequest(
        {
          host: hostname,
          port,
          method,
          path,
          agent: this.#agent,
          headers: {
            Authorization: `Bearer ${token}`,
            ...(body ? { 'Content-Length': body.length } : {}),
            ...(headers as Record<string, string>),
          },
        },
        (response) => {
          response.on('data', onPart).on('error', reject)
          response.on('end', () => resolve(response.statusCode!))
        },
      )
      request.on('error', reject).end(body)
    })
    const began = performance.now()
    return within(requestTimeoutMs, `${this.#name}: ${method} ${path}`, done).finally(() => {
      const what = kindOf(method, path)
      report.highest(`slowest ${what}, s`, (performance.now() - began) / 1000)
    })
  }
}

const kindOf = (method: string, path: string): string => {
  if (path.startsWith('/artifacts/upload/')) return 'conversion'
  if (path.startsWith('/upload/')) return 'append'
  if (path.endsWith('/data')) return 'download'
  return method === 'DELETE' ? 'deletion' : 'creation'
}

/** MiB a minute by which a line through the samples rises. */
const slopeOf = (samples: readonly { at: number; mib: number }[]): number => {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [x, y] = [mean(samples.map(({ at }) => at)), mean(samples.map(({ mib }) => mib))]
  const above = samples.reduce((sum, { at, mib }) => sum + (at - x) * (mib - y), 0)
  const below = samples.reduce((sum, { at }) => sum + (at - x) ** 2, 0)
  return (above / below) * 60_000
}

const medianOf = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const clients = Array.from({ length: clientCount }, (_, n) => new LoadClient(`client-${n}`, random.fork()))
const idle = (await memoryOf(server.pid)).now
const began = Date.now()
const isTimeUp = (): boolean => {
  const share = (Date.now() - began) / 1000 / options.runs
  if (share < 1 || share >= longest) return share >= longest
  return medianOf(clients.map(({ progress }) => progress.files)) >= leastFiles
}
let isOver = false
/** Samples of the loaded time only: what comes before and after is not what memory is held to. */
const samples: { at: number; mib: number }[] = []
const watch = (async () => {
  while (!isOver && !isTimeUp()) {
    samples.push({ at: Date.now() - began, mib: (await memoryOf(server.pid)).now })
    await sleep(sampleMs)
  }
})()

try {
  const ends = await Promise.allSettled(clients.map((client) => client.run()))
  isOver = true
  await watch
  const seconds = (Date.now() - began) / 1000
  const errors = ends.filter((end) => end.status === 'rejected')
  for (const { reason } of errors.slice(0, 10)) report.fail(wordsOf(reason))
  report.check(errors.length === 0, `${errors.length} of ${clientCount} clients ended with an error`)

  // What a client reads back is progress, too: while it does, it sends nothing.
  const moved = clients.map(({ progress }) => progress.sent + progress.received)
  const [slowest, median] = [Math.min(...moved), medianOf(moved)]
  const sumOf = (field: keyof Progress) => clients.reduce((sum, client) => sum + client.progress[field], 0)
  report.count('clients', clientCount)
  report.count('seconds', seconds)
  report.count('MiB uploaded', sumOf('sent') / MiB)
  report.count('MiB downloaded', sumOf('received') / MiB)
  report.count('MiB/s, both', (sumOf('sent') + sumOf('received')) / MiB / seconds)
  report.count('files converted and verified', sumOf('files'))
  report.count('files of the median client', medianOf(clients.map(({ progress }) => progress.files)))
  report.count('progress of the slowest, % of the median', (slowest / median) * 100)
  report.check(
    slowest * 3 >= median,
    `the slowest client moved ${slowest} bytes, the median one ${median}: less than a third`,
  )

  const { peak } = await memoryOf(server.pid)
  // The first third fills pools and lets the heap find its size.
  const steady = samples.slice(Math.floor(samples.length / 3))
  const half = Math.floor(steady.length / 2)
  const [early, late] = [steady.slice(0, half), steady.slice(half)].map((part) =>
    medianOf(part.map(({ mib }) => mib)),
  ) as [number, number]
  const step = Math.max(1, Math.floor(samples.length / 12))
  const series = samples.filter((_, at) => at % step === 0).map(({ mib }) => mib.toFixed(0))
  console.log(`  MiB resident, every ${(step * sampleMs) / 1000} s: ${series.join(' ')}`)
  report.count('MiB resident idle', idle)
  report.count('MiB resident early', early)
  report.count('MiB resident late', late)
  report.count('MiB resident at most', peak)
  report.count('MiB/minute, slope of the resident memory', slopeOf(steady))
  report.check(peak < maxMemoryMiB, `the server took ${peak.toFixed(0)} MiB`)
  report.check(late < early * 1.25 + 16, `memory grew from ${early.toFixed(0)} to ${late.toFixed(0)} MiB`)
} catch (error) {
  report.fail(wordsOf(error))
} finally {
  isOver = true
  if (report.failed > 0) console.log(server.output().slice(-3000))
  await server.remove()
}
report.finish()
process.exit()
