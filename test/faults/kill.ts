/**
 * Kills the real server again and again in the middle of a mixed load, starts it again, and compares what clients
 * were promised with what is there: nothing acknowledged may be lost or altered, no plain append torn, no reference
 * without bytes, no stray file once the grace periods have passed.
 *
 * `--runs` is the number of kills. Some hit the start that follows a kill, so that recovery itself is cut short too.
 * The seed repeats what clients try to do and when the kill is meant to come; what meets at that moment is up to the
 * machine. Most of the time goes into starting servers, one core each, so two stores are killed side by side.
 */
import { Random, Report, readOptions, wordsOf } from './harness.ts'
import { KillLane } from './kill-lane.ts'

const options = readOptions(50)
const random = new Random(options.seed)
const report = new Report('kill', options)
const laneCount = Math.min(2, options.runs)
const progressEvery = 50

const began = Date.now()
let kills = 0
const onKill = (): void => {
  kills += 1
  if (kills % progressEvery !== 0) return
  const seconds = (Date.now() - began) / 1000
  console.log(`kill: ${kills} kills in ${seconds.toFixed(0)} s, ${report.failed} violations`)
}

const runLane = async (lane: number): Promise<void> => {
  const share = Math.floor(options.runs / laneCount) + (lane < options.runs % laneCount ? 1 : 0)
  const store = new KillLane(`store-${lane}`, random.fork(), report, onKill)
  try {
    await store.run(share)
  } catch (error) {
    report.fail(`after ${kills} kills: ${wordsOf(error)}\n${error instanceof Error ? error.stack : ''}`)
    console.log(store.output().slice(-3000))
  } finally {
    await store.end()
  }
}

await Promise.all(Array.from({ length: laneCount }, (_, lane) => runLane(lane)))
report.count('kills', kills)
report.count('seconds', (Date.now() - began) / 1000)
report.finish()
process.exit()
