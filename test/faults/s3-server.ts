/** A throw-away S3 server that a suite may kill: `scripts/start-s3.sh` starts it. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePorts } from '../support/ports.ts'

const script = fileURLToPath(new URL('../../scripts/start-s3.sh', import.meta.url))
const run = promisify(execFile)

export type S3Kind = 'versitygw' | 'swift'

/** Swift is several servers. */
const portsOf: Readonly<Record<S3Kind, number>> = { versitygw: 1, swift: 5 }

export class S3Server {
  readonly #kind: S3Kind
  readonly #directory: string
  readonly #port: number
  #isRemoved = false

  private constructor(kind: S3Kind, directory: string, port: number) {
    this.#kind = kind
    this.#directory = directory
    this.#port = port
  }

  static async create(kind: S3Kind): Promise<S3Server> {
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-s3-'))
    const server = new S3Server(kind, directory, await freePorts(portsOf[kind]))
    await server.start()
    return server
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Starts it, with what it had, and waits until it answers. */
  async start(): Promise<void> {
    if (this.#isRemoved) throw new Error('it has been removed')
    await run(script, [this.#kind, this.#directory, `${this.#port}`])
  }

  /** `kill -9` of all its processes. */
  async kill(): Promise<void> {
    await run(script, ['stop', this.#directory, 'KILL'])
  }

  async remove(): Promise<void> {
    this.#isRemoved = true
    await this.kill()
    await rm(this.#directory, { recursive: true, force: true })
  }
}
