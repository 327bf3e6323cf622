/** One file over a line that fails: in this process, or by clients that are killed and run again. */
import { spawn } from 'node:child_process'
import { createCipheriv, createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, openAsBlob } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { createClient, fileDigestMemory, fileStateStore, type NodeClient } from '@holdfast/client/node'
import type { Line } from './client-line.ts'
import type { ClientJob, ClientNews } from './client-process.ts'
import type { Random, Report } from './harness.ts'

/** How the client gets its bytes: a path in a process that is killed, or a source of this process. */
export type Way = 'killed' | 'path' | 'stream' | 'blob'

export interface Job {
  readonly name: string
  readonly url: string
  readonly key: string
  readonly state: string
  readonly path: string
  readonly size: number
}

const MiB = 1024 * 1024
const program = fileURLToPath(new URL('./client-process.ts', import.meta.url))
const settings = {
  stallMs: 300,
  timeoutMs: 2000,
  retry: { attempts: 12, baseMs: 2, maxMs: 50, patienceMs: 60_000 },
}
/** A user runs a command again that says it gave up; not for ever. */
const maxGivenUp = 3

/** Writes bytes that the label repeats; answers their SHA-512. */
export const writeRandomFile = async (path: string, size: number, label: string): Promise<string> => {
  const key = createHash('sha256').update(label).digest()
  const cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16))
  const hash = createHash('sha512')
  const file = await open(path, 'w')
  const zeros = Buffer.alloc(Math.min(size, 8 * MiB))
  for (let at = 0; at < size; at += zeros.length) {
    const bytes = cipher.update(zeros.subarray(0, Math.min(zeros.length, size - at)))
    hash.update(bytes)
    await file.write(bytes)
  }
  await file.close()
  return hash.digest('hex')
}

/** The SHA-512 of what a stream gives. */
const digestOf = async (bytes: AsyncIterable<Uint8Array>): Promise<string> => {
  const hash = createHash('sha512')
  for await (const piece of bytes) hash.update(piece)
  return hash.digest('hex')
}

export const digestOfFile = (path: string): Promise<string> => digestOf(createReadStream(path))

/** What a client said at its end. */
type Ending =
  | { readonly news: ClientNews }
  | { readonly error: { name: string; message: string; code?: string } }

export class Runner {
  readonly job: Job
  readonly line: Line
  readonly #random: Random
  readonly #report: Report

  constructor(job: Job, line: Line, random: Random, report: Report) {
    this.job = job
    this.line = line
    this.#random = random
    this.#report = report
  }

  /** Uploads the file until there is a version, or the right reason why there cannot be one. */
  async upload(way: Way, name: string): Promise<{ kills: number; hit: boolean }> {
    const { path, size } = this.job
    const { kills, news } = await this.#untilDone(
      way,
      { upload: { source: path, name } },
      async (client) => {
        const source =
          way === 'stream' ? createReadStream(path) : way === 'blob' ? await openAsBlob(path) : path
        const { resumed, sent, hit } = await client.upload({ source, name })
        return { resumed, moved: sent, hit, peakMiB: 0 }
      },
      (error) => size === 0 && error.code === 'upload_empty',
    )
    return { kills, hit: news?.hit ?? false }
  }

  /** Downloads to a file, or to a stream or a `Blob`; answers the digest of what came. */
  async download(way: Way, to: string): Promise<{ kills: number; digest: string }> {
    const { name } = this.job
    const connections = this.#random.between(1, 6)
    let digest: string | undefined
    const { kills } = await this.#untilDone(
      way,
      { download: { artifact: name, to, connections } },
      async (client) => {
        const hash = createHash('sha512')
        const stream = new Writable({
          write(bytes: Buffer, _encoding, done) {
            hash.update(bytes)
            done()
          },
        })
        const target = way === 'stream' ? stream : way === 'blob' ? 'blob' : to
        const { content, resumed, received, verified } = await client.download({
          artifact: name,
          to: target,
          connections,
        })
        if (way === 'stream') digest = hash.digest('hex')
        if (content) digest = await digestOf(content.stream())
        this.#report.check(verified, `${name}: the download was not verified`)
        return { resumed, moved: received, peakMiB: 0 }
      },
      () => false,
    )
    return { kills, digest: digest ?? (await digestOfFile(to)) }
  }

  async #untilDone(
    way: Way,
    what: Pick<ClientJob, 'upload' | 'download'>,
    inThisProcess: (client: NodeClient) => Promise<ClientNews>,
    isRightRefusal: (error: { code?: string }) => boolean,
  ): Promise<{ kills: number; news: ClientNews | undefined }> {
    this.line.reset()
    let killsLeft = way === 'killed' ? this.#random.between(1, 3) : 0
    let kills = 0
    for (let givenUp = 0; ; ) {
      const ending =
        way === 'killed'
          ? await this.#inProcess(what, killsLeft > 0)
          : await this.#inThisProcess(inThisProcess)
      if (ending === 'killed') {
        killsLeft -= 1
        kills += 1
        this.#report.count('kills')
        continue
      }
      if ('news' in ending) {
        if (kills > 0 && ending.news.resumed > 0) this.#report.count('continued after a kill')
        return { kills, news: ending.news }
      }
      const { error } = ending
      if (isRightRefusal(error)) {
        this.#report.count('empty files refused')
        return { kills, news: undefined }
      }
      const mayRunAgain = error.name === 'NetworkError' || error.name === 'TimeoutError'
      if (!mayRunAgain || way === 'stream' || ++givenUp > maxGivenUp)
        throw new Error(`${this.job.name}, ${way}: ${error.name} ${error.code ?? ''}: ${error.message}`)
      this.#report.count('gave up clearly and was run again')
    }
  }

  async #inThisProcess(run: (client: NodeClient) => Promise<ClientNews>): Promise<Ending> {
    const { url, key, state } = this.job
    await using client = createClient({
      url,
      key,
      namespace: 'system',
      stateStore: fileStateStore(state),
      digestMemory: fileDigestMemory(state),
      ...settings,
    })
    return await run(client).then(
      (news) => ({ news }),
      (error: Error & { code?: string }) => ({ error }),
    )
  }

  async #inProcess(
    what: Pick<ClientJob, 'upload' | 'download'>,
    isToBeKilled: boolean,
  ): Promise<Ending | 'killed'> {
    const { url, key, state } = this.job
    const job: ClientJob = { url, key, state, ...settings, ...what }
    const child = spawn(process.execPath, [program, JSON.stringify(job)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_COMPILE_CACHE: join(state, '..', 'compiled') },
    })
    if (isToBeKilled) this.line.killAtSomeMoment(() => child.kill('SIGKILL'))
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
    await once(child, 'close')
    this.line.forgetKill()
    if (child.signalCode === 'SIGKILL') return 'killed'
    if (child.exitCode === 0) return { news: JSON.parse(text) as ClientNews }
    if (child.exitCode === 3) return { error: JSON.parse(text) }
    throw new Error(`${this.job.name}: the client ended with ${child.exitCode ?? child.signalCode}: ${text}`)
  }
}
