/**
 * Random sequences of requests by several namespaces, sent to the real server and to a simple model of the rules
 * beside it. Replies must be what the model says, step by step, and at the end of each sequence everybody must see
 * exactly what they may see. fast-check makes the sequences and shrinks those that fail.
 *
 * `--runs` is the number of sequences.
 */
import fc from 'fast-check'
import { login, type Session } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import { Report, readOptions, wordsOf } from './harness.ts'
import { expectEqual, keyOf, Stage, type Step, steps, sweep } from './model-steps.ts'
import { system, World } from './model-world.ts'

const options = readOptions(250)
const report = new Report('model', options)
const maxSteps = 40
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
  deleteArtifact: 3,
  setMaxVersions: 4,
  deleteVersion: 5,
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
}

const number = fc.nat({ max: 10_000 })
const step: fc.Arbitrary<Step> = fc.record({
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

let server: RunningServer | undefined
let sessions = new Map<string, Session>()
let sequences = 0
const tenants = ['amber', 'birch', 'cedar']

/** A server with nothing in it that a sequence could see, and namespaces in their first state. */
const prepare = async (): Promise<RunningServer> => {
  if (server === undefined || sequences % sequencesPerServer === 0) {
    await server?.remove()
    server = await startServer({
      settings: {
        HOLDFAST_TOKEN_LIFETIME: '864000',
        HOLDFAST_LOG_LEVEL: 'error',
        HOLDFAST_FREE_SPACE_RESERVE: '0',
      },
    })
    sessions = new Map([[system, await login(server.url, system, server.systemKey)]])
  }
  const admin = sessions.get(system)!
  for (const { uuid } of (await admin.get('/upload')).json) await admin.delete(`/upload/${uuid}`)
  for (const name of [system, ...tenants]) {
    const made =
      name === system
        ? undefined
        : await admin.post('/auth/namespaces', { namespace: name, key_name: 'first', key: keyOf(name) })
    if (made?.status === 200) sessions.set(name, await login(server.url, name, keyOf(name)))
    await admin.delete('/artifacts', { confirm: true, namespace: name })
    const { json } = await admin.get(`/auth/namespaces/${name}`)
    for (const trusted of json.trust.full)
      await admin.delete(`/auth/namespaces/${name}/trust/${encodeURIComponent(trusted)}`)
    for (const key of Object.keys(json.metadata))
      await admin.delete(`/auth/namespaces/${name}/metadata/${encodeURIComponent(key)}`)
  }
  sequences += 1
  return server
}

/** Plays one sequence; throws at the first difference. */
const play = async (sequence: readonly Step[], log?: (line: string) => void): Promise<void> => {
  const { url } = await prepare()
  // No two sequences share contents, so what one leased is nothing to the next.
  const contents = Array.from({ length: 6 }, (_, n) => `content ${n} of sequence ${sequences}`)
  const stage = new Stage(new World([system, ...tenants]), url, sessions, contents)
  try {
    for (const one of sequence) {
      let actor = stage.namespaces[one.actor]!
      if (!stage.world.namespaces.get(actor)!.isLive) {
        const { status, json } = await stage.ask(actor, 'GET', '/artifacts')
        expectEqual(
          `a request of the deleted namespace ${actor}`,
          [status, json.code],
          [401, 'token_revoked'],
        )
        actor = system
      }
      await steps[one.kind](stage, actor, one)
      report.count(`step ${one.kind}`)
    }
    await sweep(stage)
    report.count('sequences, with those of shrinking')
    report.count('requests', stage.log.length)
  } finally {
    for (const line of stage.log) log?.(line)
  }
}

const lastProgress = { at: Date.now() }
try {
  const sequence = fc.array(step, { minLength: 1, maxLength: maxSteps, size: 'max' })
  const result = await fc.check(
    fc.asyncProperty(sequence, async (list) => {
      await play(list)
      if (Date.now() - lastProgress.at < 60_000) return
      lastProgress.at = Date.now()
      console.log(`model: ${sequences} sequences`)
    }),
    { seed: options.seed, numRuns: options.runs },
  )
  report.count('sequences', result.numRuns)
  if (result.failed) {
    const smallest = result.counterexample![0]
    report.fail(`${wordsOf(result.errorInstance)}\nafter ${result.numShrinks} shrinks of the sequence`)
    console.log('The shortest sequence found, played again:')
    await play(smallest, (line) => console.log(`  ${line}`)).catch((error) => console.log(wordsOf(error)))
    console.log(JSON.stringify(smallest))
  } else for (let run = 0; run < result.numRuns; run += 1) report.check(true, '')
} catch (error) {
  report.fail(`${wordsOf(error)}\n${error instanceof Error ? error.stack : ''}`)
} finally {
  await server?.remove()
}
report.finish()
process.exit()
