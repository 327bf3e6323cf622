/**
 * Three nodes of one store behind nginx, and everything around them fails: nodes are killed, frozen past their leases, cut
 * off from each other, from the database, from the S3 service; PostgreSQL and the S3 service are killed, restarted, slow and
 * wrong. The clients and the checks are those of the kill suite: nothing acknowledged may be lost or altered, nothing deleted
 * that something refers to. While only some of the nodes are struck, the others have to serve.
 *
 * `--runs` is the number of strikes. The seed repeats what clients try to do, and which strike comes when. Needs root: the suite
 * runs in network namespaces that it makes itself.
 */
import { treatUnavailableAsLost } from '../support/api.ts'
import { startProxy } from '../support/faulty-proxy.ts'
import { onSignal, Random, Report, readOptions, wordsOf } from './harness.ts'
import { KillLane } from './kill-lane.ts'
import { enterNamespace, NodeNetwork, services } from './node-network.ts'
import { nodeCount, nodesEngine } from './nodes-engine.ts'
import { PostgresServer } from './postgres-server.ts'
import { S3Server } from './s3-server.ts'

await enterNamespace()
const options = readOptions(8)
const random = new Random(options.seed)
const report = new Report('nodes', options)
const began = Date.now()
treatUnavailableAsLost((code, retryAfter) => {
  report.count(`refused for now: ${code}`)
  // Of an upload whose node is gone nobody knows when to come back.
  const hasNone = ['balancer', 'upload_node_gone'].includes(code)
  report.check(hasNone || retryAfter !== undefined, () => `${code} without Retry-After`)
})

const network = await NodeNetwork.create(nodeCount)
const postgres = await PostgresServer.create(services.database)
const s3 = await S3Server.create('versitygw')
onSignal(() => Promise.all([postgres.remove(), s3.remove()]))
const proxy = await startProxy(s3.url, {}, services.blobs)
const engine = nodesEngine({ network, postgres, s3, proxy }, random.fork(), report)
let strikes = 0
const onStrike = (): void => {
  strikes += 1
  if (strikes % 25 === 0)
    console.log(
      `nodes: ${strikes} strikes in ${((Date.now() - began) / 1000).toFixed(0)} s, ${report.failed} violations`,
    )
}
const lane = new KillLane('store', random.fork(), report, onStrike, engine)
try {
  await lane.run(options.runs)
} catch (error) {
  report.fail(`after ${strikes} strikes: ${wordsOf(error)}\n${error instanceof Error ? error.stack : ''}`)
  console.log(lane.output().slice(-5000))
} finally {
  await lane.end()
  await proxy.close()
  await s3.remove()
  await postgres.remove()
  network.close()
}
report.count('strikes', strikes)
report.count('exchanges with the S3 service', proxy.requests.length)
report.count('seconds', (Date.now() - began) / 1000)
report.finish()
process.exit()
