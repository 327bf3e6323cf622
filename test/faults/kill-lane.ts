/** One store of the kill suite, with its clients: load, kill, start, check, again and again. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { login, type Session } from '../support/api.ts'
import { freePort } from '../support/ports.ts'
import { type RunningServer, spawnServer, startServer } from '../support/server.ts'
import { memoryOf, patiently, type Random, type Report, within } from './harness.ts'
import { checkAllBlobs, checkClient, checkDataDirectory, checkUploadFiles } from './kill-check.ts'
import { KillClient } from './kill-client.ts'
import { type Engine, embedded } from './kill-engine.ts'
import { LibraryClient } from './kill-library.ts'
import { NamespaceClient } from './kill-namespaces.ts'

const seconds = {
  uploadExpiry: 10,
  collectGrace: 0.5,
  leaseLifetime: 3,
  jobInterval: 0.15,
  verifyInterval: 2,
}
const settings = {
  HOLDFAST_UPLOAD_EXPIRY: `${seconds.uploadExpiry}`,
  HOLDFAST_COLLECT_GRACE: `${seconds.collectGrace}`,
  HOLDFAST_LEASE_LIFETIME: `${seconds.leaseLifetime}`,
  HOLDFAST_JOB_INTERVAL: `${seconds.jobInterval}`,
  // Verification and the pruning of history go on all the time, too.
  HOLDFAST_VERIFY_INTERVAL: `${seconds.verifyInterval}`,
  HOLDFAST_EVENT_LIFETIME: '5',
  // Longer than any run, so that a client logs in once; keys and tokens survive a restart.
  HOLDFAST_TOKEN_LIFETIME: '864000',
  HOLDFAST_FREE_SPACE_RESERVE: '0',
  HOLDFAST_LOG_LEVEL: 'warn',
}
const tenants = ['north', 'south', 'east']
const clientCount = 8
const fullCheckEvery = 10
const clientTimeoutMs = 60_000
const usualAnswerMs = 30_000
/** Where clients go on during a strike: the longest of these, with all that comes after it. */
const roundTimeoutMs = 180_000

export class KillLane {
  readonly #label: string
  readonly #random: Random
  readonly #report: Report
  readonly #onKill: () => void
  readonly #engine: Engine
  readonly #clients: KillClient[] = []
  #server: RunningServer | undefined
  #system!: Session
  #namespaces!: NamespaceClient
  #library!: LibraryClient
  #dataDir = ''
  #port = 0
  #failedBefore = 0

  constructor(label: string, random: Random, report: Report, onKill: () => void, engine: Engine = embedded) {
    this.#engine = engine
    this.#label = label
    this.#random = random
    this.#report = report
    this.#onKill = onKill
  }

  /** What the newest server has printed. */
  output(): string {
    return this.#server?.output() ?? ''
  }

  async run(kills: number): Promise<void> {
    await this.#open()
    this.#library.start()
    for (let done = 0; done < kills; ) {
      done += await this.#round(done + 1 < kills)
      if (done % fullCheckEvery === 0) await this.#checkStopped(false)
    }
    await this.#settle()
    await this.#library.end()
    await this.#checkAll()
    if (this.#engine.stored) {
      // What was left in parts while the store was away is found by a start.
      await this.#server!.stop()
      await this.#start()
    }
    // Everything temporary runs out: uploads expire, leases end, collection takes what nothing refers to.
    await sleep((Math.max(seconds.uploadExpiry, seconds.leaseLifetime + seconds.collectGrace) + 2) * 1000)
    for (const client of this.#clients) {
      client.uploads.length = 0
      await checkClient(client, 'full', this.#report)
    }
    await this.#checkStopped(true)
  }

  /** Ends what still runs, and removes the store unless somebody may want to look at it. */
  async end(): Promise<void> {
    await this.#server?.stop('SIGKILL')
    if (this.#report.failed > this.#failedBefore)
      console.log(`the data directory of ${this.#label} is kept: ${this.#dataDir}`)
    else {
      await rm(this.#dataDir, { recursive: true, force: true })
      await this.#engine.forget(this.#dataDir)
    }
  }

  async #open(): Promise<void> {
    this.#failedBefore = this.#report.failed
    this.#dataDir = await mkdtemp(join(tmpdir(), 'holdfast-kill-'))
    this.#port = await freePort()
    const { url, systemKey } = await this.#start()
    this.#system = await login(url, 'system', systemKey)
    const sessions: Session[] = []
    for (const namespace of tenants) {
      const key = `key of ${namespace}`
      await this.#system.post('/auth/namespaces', { namespace, key_name: 'first', key })
      sessions.push(await login(url, namespace, key))
    }
    for (let n = 0; n < clientCount; n += 1) {
      const client = new KillClient({
        label: `${this.#label}.client-${n}`,
        random: this.#random.fork(),
        report: this.#report,
        uploadExpiryMs: seconds.uploadExpiry * 1000,
        answerWithinMs: this.#engine.answerWithinMs ?? usualAnswerMs,
        look: this.#engine.look,
      })
      client.use(url, sessions[n % sessions.length]!)
      this.#clients.push(client)
    }
    this.#namespaces = new NamespaceClient(
      url,
      this.#system,
      this.#random.fork(),
      this.#report,
      seconds.uploadExpiry * 1000,
    )
    const label = `${this.#label}.library`
    const largest = this.#engine.largestFile
    this.#library = new LibraryClient(label, url, sessions[0]!, this.#random.fork(), this.#report, largest)
  }

  async #start(): Promise<RunningServer> {
    const began = performance.now()
    const all = { ...settings, ...(await this.#engine.settings(this.#dataDir)) }
    const start = this.#engine.start ?? startServer
    this.#server = await start({ dataDir: this.#dataDir, port: this.#port, settings: all })
    this.#report.count('seconds of starting', (performance.now() - began) / 1000)
    return this.#server
  }

  /** Load, a kill, sometimes a second one during the start, a start, a check. Answers the number of kills. */
  async #round(mayKillStart: boolean): Promise<number> {
    let isOver = false
    const workers = [...this.#clients, this.#namespaces]
    const work = async (worker: (typeof workers)[number]): Promise<void> => {
      do await worker.work(() => isOver)
      while (this.#engine.isAvailable && worker.isSettled && !isOver && (await sleep(20, true)))
    }
    const working = Promise.all(
      workers.map((worker) =>
        within(
          this.#engine.isAvailable ? roundTimeoutMs : clientTimeoutMs,
          `${worker.label}: work`,
          work(worker),
        ),
      ),
    )
    // Whoever fails early is heard when the strike is over.
    working.catch(() => {})
    const random = this.#random
    // Now and then long enough for every job to come round several times.
    await sleep(random.chance(0.12) ? random.between(1500, 3500) : random.between(150, 650))
    const { pid } = this.#server!
    this.#report.highest('MiB resident at most', (await memoryOf(pid)).peak)
    const striking = this.#engine.strike(this.#server!)
    isOver = !this.#engine.isAvailable
    const hasEnded = await striking
    isOver = true
    this.#onKill()
    await working
    if (!hasEnded) {
      await this.#checkFresh()
      return 1
    }
    const isDouble = mayKillStart && random.chance(0.1)
    if (isDouble) await this.#killAtStart()
    await this.#start()
    await this.#checkFresh()
    return isDouble ? 2 : 1
  }

  async #checkFresh(): Promise<void> {
    await this.#settle()
    await Promise.all(this.#clients.map((client) => checkClient(client, 'fresh', this.#report)))
  }

  /** Starts a server and kills it before it is ready, or soon after. */
  async #killAtStart(): Promise<void> {
    const { child } = spawnServer({
      HOLDFAST_LISTEN: `127.0.0.1:${this.#port}`,
      HOLDFAST_DATA_DIR: this.#dataDir,
      HOLDFAST_NODE_NAME: 'node-1',
      ...settings,
      ...(await this.#engine.settings(this.#dataDir)),
    })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    await sleep(this.#random.between(20, 1000))
    child.kill('SIGKILL')
    await ended
    this.#onKill()
    this.#report.count('kills during a start')
  }

  /** Every client finds out what became of the request that the kill met. */
  async #settle(): Promise<void> {
    const workers = [...this.#clients, this.#namespaces]
    await Promise.all(
      workers.map((worker) =>
        within(
          clientTimeoutMs,
          `${worker.label}: settling`,
          patiently(() => worker.settle()),
        ),
      ),
    )
  }

  async #checkAll(): Promise<void> {
    await Promise.all(this.#clients.map((client) => checkClient(client, 'full', this.#report)))
    await this.#namespaces.check()
    await checkAllBlobs(this.#system, this.#report)
    this.#report.count('full checks')
  }

  /** Everything, by asking the server; then it is stopped, and its data directory looked at. */
  async #checkStopped(isQuiet: boolean): Promise<void> {
    await this.#checkAll()
    await this.#server!.stop()
    await checkUploadFiles(this.#dataDir, this.#clients, this.#report, this.#engine)
    await checkDataDirectory(this.#dataDir, isQuiet, this.#report, this.#engine)
    if (!isQuiet) await this.#start()
  }
}
