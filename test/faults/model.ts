/**
 * Random sequences of requests by several namespaces, sent to the real server and to a simple model of the rules
 * beside it. Replies must be what the model says, step by step, and at the end of each sequence everybody must see
 * exactly what they may see. fast-check makes the sequences and shrinks those that fail.
 *
 * `--runs` is the number of sequences. The clock is a fake one: steps let hours pass, and what runs out by then has to
 * be gone, no more and no less. Requests wait for disks and threads, so several servers play at the same time.
 */
import { Agent } from 'node:http'
import fc from 'fast-check'
import { login } from '../support/api.ts'
import { startServer } from '../support/server.ts'
import { memoryOf, Report, readOptions, wordsOf } from './harness.ts'
import { expectEqual, keyOf, type Place, Stage } from './model-stage.ts'
import { type PlannedStep, steps } from './model-steps.ts'
import { sweep } from './model-views.ts'
import { lifetimes, system, World } from './model-world.ts'

const options = readOptions(250)
const report = new Report('model', options)
const maxSteps = 40
const laneCount = Math.min(3, options.runs)
/** A store that keeps all that was ever deleted grows; a new one begins after so many sequences. */
const sequencesPerServer = 500

/** What each step is worth: most are about artifacts, and those that end everything are rare. */
const weights: Readonly<Record<keyof typeof steps, number>> = {
  createUpload: 4,
  append: 8,
  truncate: 2,
  deleteUpload: 1,
  publish: 12,
  convert: 5,
  convertBlob: 8,
  updateLabel: 7,
  showOrDeleteLabel: 4,
  showArtifact: 4,
  listVersions: 4,
  deleteArtifact: 6,
  setMaxVersions: 4,
  deleteVersion: 7,
  share: 4,
  unshare: 2,
  setArtifactMetadata: 3,
  deleteArtifactMetadata: 1,
  deleteArtifacts: 1,
  showBlob: 3,
  readBlob: 3,
  lookUp: 6,
  setBlobMetadata: 4,
  changeTrust: 6,
  showNamespace: 2,
  setNamespaceMetadata: 2,
  deleteNamespace: 1,
  createNamespace: 2,
  lists: 1,
  pass: 7,
}

const number = fc.nat({ max: 10_000 })
const step: fc.Arbitrary<PlannedStep> = fc.record({
  kind: fc.oneof(
    ...(Object.keys(weights) as (keyof typeof steps)[]).map((kind) => ({
      weight: weights[kind],
      arbitrary: fc.constant(kind),
    })),
  ),
  actor: fc.nat({ max: 3 }),
  a: number,
  b: number,
  c: number,
  d: number,
})

/**
 * What is waited at the end of a sequence, in minutes, with a look at everything after each: to both sides of the end of
 * a lifetime, so that what was touched last is seen to be still there and then to be gone.
 */
const lastWaits: readonly (readonly number[])[] = [
  // Unreferenced blobs go after 60 minutes, leased ones after 120.
  [50, 20, 40, 20],
  // Idle uploads after 24 hours.
  [23.5 * 60, 60],
  // What is shown of deleted artifacts after 60 hours.
  [59.5 * 60, 60],
]

const tenants = ['amber', 'birch', 'cedar']
let sequences = 0
const settings = {
  HOLDFAST_UPLOAD_EXPIRY: `${lifetimes.upload / 1000}`,
  HOLDFAST_LEASE_LIFETIME: `${lifetimes.lease / 1000}`,
  HOLDFAST_COLLECT_GRACE: `${lifetimes.grace / 1000}`,
  HOLDFAST_TOMBSTONE_LIFETIME: `${lifetimes.tombstone / 1000}`,
  // Not longer than the shortest time that passes, so that every job is due then.
  HOLDFAST_JOB_INTERVAL: '600',
  HOLDFAST_FETCH_PAUSE: '600',
  HOLDFAST_TOKEN_LIFETIME: '1000000000',
  HOLDFAST_LOG_LEVEL: 'error',
  HOLDFAST_FREE_SPACE_RESERVE: '0',
}

/** One server after the other, and what is played on it. */
class Lane {
  #place: Place | undefined
  #played = 0

  /** Plays one sequence; throws at the first difference. */
  async play(sequence: readonly PlannedStep[], log?: (line: string) => void): Promise<void> {
    const place = await this.#prepare()
    // No two sequences share contents, so what one leased is nothing to the next.
    const contents = Array.from({ length: 6 }, (_, n) => `content ${n} of sequence ${this.#played}`)
    const stage = new Stage(new World([system, ...tenants]), place, contents)
    try {
      for (const step of sequence) await playStep(stage, step)
      await sweep(stage)
      for (const minutes of lastWaits[sequence.length % lastWaits.length]!) {
        await stage.pass(minutes)
        await sweep(stage)
      }
      report.count('sequences, with those of shrinking')
      report.count('requests', stage.log.length)
      for (const what of stage.gone) report.count(what)
    } finally {
      for (const line of stage.log) log?.(line)
    }
  }

  /** Starts a server unless there is one. */
  async open(): Promise<Place> {
    this.#place ??= await openPlace()
    return this.#place
  }

  /** What the server has printed last. */
  output(): string {
    return this.#place?.server.output().slice(-3000) ?? ''
  }

  async end(): Promise<void> {
    if (!this.#place) return
    const { server, agent } = this.#place
    report.highest('MiB resident at most', (await memoryOf(server.pid)).peak)
    agent.destroy()
    await server.remove()
    this.#place = undefined
  }

  /** A server with nothing in it that a sequence could see, and namespaces in their first state. */
  async #prepare(): Promise<Place> {
    if (this.#played > 0 && this.#played % sequencesPerServer === 0) await this.end()
    const place = await this.open()
    this.#played += 1
    sequences += 1
    const { sessions } = place
    const admin = sessions.get(system)!
    const { json: uploads } = await admin.get('/upload')
    for (const { uuid } of uploads) await admin.delete(`/upload/${uuid}`)
    await Promise.all([system, ...tenants].map((name) => resetNamespace(place, name)))
    return place
  }
}

const openPlace = async (): Promise<Place> => {
  const server = await startServer({ settings, hasFakeClock: true })
  const agent = new Agent({ keepAlive: true })
  try {
    const sessions = new Map([[system, await login(server.url, system, server.systemKey, agent)]])
    // From here on the jobs run when time passes, and at no other time.
    await server.jump(0)
    return { server, sessions, agent }
  } catch (error) {
    await server.remove()
    throw error
  }
}

const resetNamespace = async ({ server, sessions, agent }: Place, name: string): Promise<void> => {
  const admin = sessions.get(system)!
  const path = `/auth/namespaces/${name}`
  const { status } =
    name === system
      ? { status: 403 }
      : await admin.post('/auth/namespaces', { namespace: name, key_name: 'first', key: keyOf(name) })
  if (status === 200) sessions.set(name, await login(server.url, name, keyOf(name), agent))
  await admin.delete('/artifacts', { confirm: true, namespace: name })
  const { json } = await admin.get(path)
  for (const trusted of json.trust.full)
    if (trusted !== system) await admin.delete(`${path}/trust/${encodeURIComponent(trusted)}`)
  for (const key of Object.keys(json.metadata))
    await admin.delete(`${path}/metadata/${encodeURIComponent(key)}`)
}

const playStep = async (stage: Stage, step: PlannedStep): Promise<void> => {
  let actor = stage.namespaces[step.actor]!
  if (!stage.world.namespaces.get(actor)!.isLive) {
    const { status, json } = await stage.ask(actor, 'GET', '/artifacts')
    expectEqual(`a request of the deleted namespace ${actor}`, [status, json.code], [401, 'token_revoked'])
    actor = system
  }
  await steps[step.kind](stage, actor, step)
  stage.world.noteReferences()
  report.count(`step ${step.kind}`)
}

const began = Date.now()
let toldAt = began
const tellProgress = (): void => {
  if (Date.now() - toldAt < 60_000) return
  toldAt = Date.now()
  console.log(`model: ${sequences} sequences in ${((toldAt - began) / 1000).toFixed(0)} s`)
}

/** Plays a share of the sequences on a server of its own. */
const runLane = async (number: number): Promise<void> => {
  const lane = new Lane()
  const sequence = fc.array(step, { minLength: 5, maxLength: maxSteps, size: 'max' })
  const share = Math.floor(options.runs / laneCount) + (number < options.runs % laneCount ? 1 : 0)
  try {
    // A server that does not start is no matter of a sequence, to be tried again with shorter ones.
    await lane.open()
    const result = await fc.check(
      fc.asyncProperty(sequence, async (list) => {
        await lane.play(list)
        tellProgress()
      }),
      { seed: options.seed + number, numRuns: share },
    )
    report.count('sequences', result.numRuns)
    for (let run = result.failed ? 1 : 0; run < result.numRuns; run += 1) report.check(true, '')
    if (!result.failed) return
    const smallest = result.counterexample![0]
    report.fail(`${wordsOf(result.errorInstance)}\nafter ${result.numShrinks} shrinks of the sequence`)
    console.log('The shortest sequence found, played again:')
    await lane
      .play(smallest, (line) => console.log(`  ${line}`))
      .catch((error) => console.log(wordsOf(error)))
    console.log(JSON.stringify(smallest))
    console.log(lane.output())
  } catch (error) {
    report.fail(`${wordsOf(error)}\n${error instanceof Error ? error.stack : ''}`)
  } finally {
    await lane.end()
  }
}

await Promise.all(Array.from({ length: laneCount }, (_, number) => runLane(number)))
report.count('seconds', (Date.now() - began) / 1000)
report.finish()
process.exit()
