/**
 * Restarts and kills PostgreSQL again and again in the middle of a mixed load, and holds what clients were promised
 * against what is there, with the clients and the checks of the kill suite: nothing acknowledged may be lost or altered,
 * no reference without bytes. Requests may be refused with 503 meanwhile; what became of those is settled as after a lost
 * reply.
 *
 * `--runs` is the number of strikes. The seed repeats what clients try to do, and which strike comes when.
 */
import { treatUnavailableAsLost } from '../support/api.ts'
import { onSignal, Random, Report, readOptions, wordsOf } from './harness.ts'
import { postgresEngine } from './kill-engine.ts'
import { KillLane } from './kill-lane.ts'
import { PostgresServer } from './postgres-server.ts'

const options = readOptions(25)
const random = new Random(options.seed)
const report = new Report('postgres', options)
const began = Date.now()
treatUnavailableAsLost((_, retryAfter) => {
  report.count('requests refused with 503')
  report.check(retryAfter !== undefined, 'a 503 without Retry-After')
})

const postgres = await PostgresServer.create()
onSignal(() => postgres.remove())
let strikes = 0
const engine = postgresEngine(postgres, random.fork(), report)
const lane = new KillLane('store', random.fork(), report, () => (strikes += 1), engine)
try {
  await lane.run(options.runs)
} catch (error) {
  report.fail(`after ${strikes} strikes: ${wordsOf(error)}\n${error instanceof Error ? error.stack : ''}`)
  console.log(lane.output().slice(-3000))
} finally {
  await lane.end()
  await postgres.remove()
}
report.count('strikes', strikes)
report.count('seconds', (Date.now() - began) / 1000)
report.finish()
process.exit()
