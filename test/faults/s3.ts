/**
 * A store with its blobs in S3, while exchanges with the service fail all the time, the service is killed, and the server
 * is. The clients and the checks are those of the kill suite: nothing acknowledged may be lost or altered, no reference without
 * bytes, nothing left behind. Requests may be refused with 503; what became of those is settled as after a lost reply.
 *
 * Over two services: `--runs` is the number of strikes over the first; over the second, which takes long to start, it is a fifth.
 * The seed repeats what clients try to do, which strike comes when, and how many exchanges fail.
 */
import { treatUnavailableAsLost } from '../support/api.ts'
import { startProxy } from '../support/faulty-proxy.ts'
import { onSignal, Random, Report, readOptions, wordsOf } from './harness.ts'
import { KillLane } from './kill-lane.ts'
import { s3Engine } from './s3-engine.ts'
import { type S3Kind, S3Server } from './s3-server.ts'

const options = readOptions(15)
const random = new Random(options.seed)
const report = new Report('s3', options)
const began = Date.now()
treatUnavailableAsLost((_, retryAfter) => {
  report.count('requests refused with 503')
  report.check(retryAfter !== undefined, 'a 503 without Retry-After')
})

let s3: S3Server | undefined
onSignal(async () => s3?.remove())

const runOver = async (kind: S3Kind, runs: number): Promise<void> => {
  s3 = await S3Server.create(kind)
  const proxy = await startProxy(s3.url)
  let strikes = 0
  const engine = s3Engine(s3, proxy, random.fork(), report)
  const lane = new KillLane(kind, random.fork(), report, () => (strikes += 1), engine)
  try {
    await lane.run(runs)
  } catch (error) {
    report.fail(
      `${kind}, after ${strikes} strikes: ${wordsOf(error)}\n${error instanceof Error ? error.stack : ''}`,
    )
    console.log(lane.output().slice(-3000))
  } finally {
    await lane.end()
    await proxy.close()
    await s3.remove()
  }
  report.count(`strikes over ${kind}`, strikes)
  report.count(`exchanges with ${kind}`, proxy.requests.length)
}

await runOver('versitygw', options.runs)
await runOver('swift', Math.ceil(options.runs / 5))
report.count('seconds', (Date.now() - began) / 1000)
report.finish()
process.exit()
