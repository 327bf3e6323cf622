/** A throw-away PostgreSQL that a suite may kill: `scripts/start-postgres.sh` starts it, and here it is done harm. */
import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort } from '../support/ports.ts'
import { askPostgres } from '../support/postgres.ts'

const script = fileURLToPath(new URL('../../scripts/start-postgres.sh', import.meta.url))
const run = promisify(execFile)
/** After a kill, what is left of the old processes has to be gone before a new server may use the directory. */
const startTries = 100

export class PostgresServer {
  readonly #directory: string
  readonly #port: number
  readonly #host: string
  #isRemoved = false

  private constructor(directory: string, port: number, host: string) {
    this.#directory = directory
    this.#port = port
    this.#host = host
  }

  /** Makes a cluster and starts it. Only processes are killed here, not the machine: it need not wait for the disk. */
  static async create(host = '127.0.0.1'): Promise<PostgresServer> {
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-postgres-'))
    await chmod(directory, 0o755)
    const server = new PostgresServer(directory, await freePort(), host)
    await server.start()
    return server
  }

  /** Of the maintenance database. */
  get url(): string {
    return `postgres://postgres@${this.#host}:${this.#port}/postgres`
  }

  async start(): Promise<void> {
    for (let left = startTries; ; left -= 1)
      try {
        if (this.#isRemoved) throw new Error('it has been removed')
        await run(script, [this.#directory, `${this.#port}`, 'fsync=off', `listen_addresses=${this.#host}`])
        return
      } catch (error) {
        if (left === 1) throw error
        await sleep(100)
      }
  }

  /** `fast` ends sessions and writes a checkpoint; `immediate` leaves everything to recovery. */
  async stop(mode: 'fast' | 'immediate'): Promise<void> {
    await run(script, [this.#directory, 'stop', mode])
  }

  /** `kill -9` of every process at once. */
  async kill(): Promise<void> {
    for (const pid of [await this.#postmaster(), ...(await this.#children())]) kill(pid)
  }

  /** `kill -9` of one session of a Holdfast server: PostgreSQL then ends all others and recovers. */
  async killSession(pick: (pids: number[]) => number): Promise<void> {
    const rows = await askPostgres(
      this.url,
      `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'holdfast%'`,
    )
    if (rows.length > 0) kill(pick(rows.map((row) => Number(row.pid))))
  }

  /** Ends every session of Holdfast servers, as an administrator would. */
  async endSessions(): Promise<void> {
    await askPostgres(
      this.url,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'holdfast%'`,
    )
  }

  /** Waits until it takes connections. */
  async ready(): Promise<void> {
    for (let left = startTries; ; left -= 1)
      try {
        await askPostgres(this.url, 'SELECT 1')
        return
      } catch (error) {
        if (left === 1) throw error
        await sleep(100)
      }
  }

  async remove(): Promise<void> {
    this.#isRemoved = true
    await this.stop('immediate').catch(() => {})
    await rm(this.#directory, { recursive: true, force: true })
  }

  async #postmaster(): Promise<number> {
    const [pid] = (await readFile(join(this.#directory, 'data', 'postmaster.pid'), 'utf8')).split('\n')
    return Number(pid)
  }

  async #children(): Promise<number[]> {
    const parent = await this.#postmaster()
    const found: number[] = []
    for (const name of await readdir('/proc')) {
      if (!/^\d+$/.test(name)) continue
      const status = await readFile(`/proc/${name}/status`, 'utf8').catch(() => '')
      if (status.includes(`\nPPid:\t${parent}\n`)) found.push(Number(name))
    }
    return found
  }
}

/** Processes that have ended meanwhile are no error. */
const kill = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
