/**
 * What an upgrade of a store of several nodes looks like to its users: nodes are stopped and started one after the other, behind
 * nginx, while users of the client library upload and download with its usual patience. None of them may see a failure.
 *
 * `--runs` is how often every node is restarted.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { login } from '../support/api.ts'
import { nodeName, startCluster } from '../support/cluster.ts'
import { databaseSettings } from '../support/postgres.ts'
import { blobSettings } from '../support/s3.ts'
import { onSignal, Random, Report, readOptions, wordsOf } from './harness.ts'
import { LibraryClient } from './kill-library.ts'
import { PostgresServer } from './postgres-server.ts'
import { S3Server } from './s3-server.ts'

const userCount = 4
const nodeCount = 3
const largestFile = 24 * 1024 * 1024

const options = readOptions(1)
const random = new Random(options.seed)
const report = new Report('rolling-restart', options)
const began = Date.now()
const seconds = (): string => ((Date.now() - began) / 1000).toFixed(1)
const postgres = await PostgresServer.create()
const s3 = await S3Server.create('versitygw')
onSignal(() => Promise.all([postgres.remove(), s3.remove()]))
const dataDir = await mkdtemp(join(tmpdir(), 'holdfast-rolling-'))
try {
  const running = await startCluster(nodeCount, {
    dataDir,
    settings: {
      ...(await databaseSettings(dataDir, postgres.url)),
      ...blobSettings(dataDir, s3.url),
      // Longer than any run: the users here cannot log in again.
      HOLDFAST_TOKEN_LIFETIME: '864000',
      HOLDFAST_LOG_LEVEL: 'warn',
    },
  })
  const session = await login(running.url, 'system', running.systemKey)
  const users = Array.from(
    { length: userCount },
    (_, n) =>
      new LibraryClient(`user-${n}`, running.url, session, random.fork(), report, largestFile, 'usual'),
  )
  for (const user of users) user.start()
  for (let round = 0; round < options.runs; round += 1)
    for (const at of running.nodes.keys()) {
      await sleep(random.between(200, 2000))
      const stopping = performance.now()
      const code = await running.nodes[at]!.stop()
      report.check(
        code === 0,
        () => `${nodeName(at)} ended with ${code}: ${running.nodes[at]!.output().slice(-2000)}`,
      )
      report.highest('ms that a node took to stop', Math.round(performance.now() - stopping))
      await running.restart(at)
      report.count('restarts')
      if (options.runs < 5) console.log(`rolling-restart: ${nodeName(at)} is back after ${seconds()} s`)
    }
  await Promise.all(users.map((user) => user.end()))
  await running.stop()
} catch (error) {
  report.fail(`${wordsOf(error)}\n${error instanceof Error ? error.stack : ''}`)
} finally {
  await s3.remove()
  await postgres.remove()
  await rm(dataDir, { recursive: true, force: true })
}
report.count('seconds', (Date.now() - began) / 1000)
report.finish()
process.exit()
