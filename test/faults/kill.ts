/**
 * Kills the real server again and again in the middle of a mixed load, starts it again, and compares what clients
 * were promised with what is there: nothing acknowledged may be lost or altered, no plain append torn, no reference
 * without bytes, no stray file once the grace periods have passed.
 *
 * `--runs` is the number of kills. Some hit the start that follows a kill, so that recovery itself is cut short too.
 * The seed repeats what clients try to do and when the kill is meant to come; what meets at that moment is up to the
 * machine.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { login, type Session } from '../support/api.ts'
import { freePort, type RunningServer, spawnServer, startServer } from '../support/server.ts'
import { Random, Report, readOptions, within, wordsOf } from './harness.ts'
import { checkAllBlobs, checkClient, checkDataDirectory } from './kill-check.ts'
import { KillClient } from './kill-client.ts'
import { NamespaceClient } from './kill-namespaces.ts'

const options = readOptions(50)
const random = new Random(options.seed)
const report = new Report('kill', options)

const seconds = { uploadExpiry: 6, collectGrace: 0.5, leaseLifetime: 3, jobInterval: 0.15 }
const settings = {
  HOLDFAST_UPLOAD_EXPIRY: `${seconds.uploadExpiry}`,
  HOLDFAST_COLLECT_GRACE: `${seconds.collectGrace}`,
  HOLDFAST_LEASE_LIFETIME: `${seconds.leaseLifetime}`,
  HOLDFAST_JOB_INTERVAL: `${seconds.jobInterval}`,
  // Longer than any run, so that a client logs in once; keys and tokens survive a restart.
  HOLDFAST_TOKEN_LIFETIME: '864000',
  HOLDFAST_FREE_SPACE_RESERVE: '0',
  HOLDFAST_LOG_LEVEL: 'warn',
}
const tenants = ['north', 'south', 'east']
const clientCount = 8
const fullCheckEvery = 10
const clientTimeoutMs = 60_000

const dataDir = await mkdtemp(join(tmpdir(), 'holdfast-kill-'))
const port = await freePort()
const start = (): Promise<RunningServer> => startServer({ dataDir, port, settings })

let server = await start()
const system = await login(server.url, 'system', server.systemKey)
const sessions: Session[] = []
for (const namespace of tenants) {
  await system.post('/auth/namespaces', { namespace, key_name: 'first', key: `key of ${namespace}` })
  sessions.push(await login(server.url, namespace, `key of ${namespace}`))
}
const clients = Array.from({ length: clientCount }, (_, n) => {
  const client = new KillClient({
    label: `client-${n}`,
    random: random.fork(),
    report,
    uploadExpiryMs: seconds.uploadExpiry * 1000,
  })
  client.use(server.url, sessions[n % sessions.length]!)
  return client
})
const namespaces = new NamespaceClient(server.url, system, random.fork(), report)
const workers = [...clients, namespaces]

/** Starts a server and kills it before it is ready, or soon after. */
const killAtStart = async (): Promise<void> => {
  const { child } = spawnServer({
    HOLDFAST_LISTEN: `127.0.0.1:${port}`,
    HOLDFAST_DATA_DIR: dataDir,
    HOLDFAST_NODE_NAME: 'node-1',
    ...settings,
  })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  await sleep(random.between(20, 700))
  child.kill('SIGKILL')
  await ended
  report.count('kills during a start')
}

const checkEverything = async (): Promise<void> => {
  for (const client of clients) await checkClient(client, 'full', report)
  await namespaces.check()
  await checkAllBlobs(system, report)
  report.count('full checks')
}

/** Load, and no kill: all that is promised has to be kept. */
const settleAll = async (): Promise<void> => {
  for (const worker of workers) await within(clientTimeoutMs, `${worker.label}: settling`, worker.settle())
}

let kills = 0
try {
  while (kills < options.runs) {
    let isKilled = false
    const working = workers.map((worker) =>
      within(
        clientTimeoutMs,
        `${worker.label}: work`,
        worker.work(() => isKilled),
      ),
    )
    // Now and then long enough for every job to come round several times.
    await sleep(random.chance(0.12) ? random.between(1500, 3500) : random.between(150, 650))
    const ended = server.stop('SIGKILL')
    isKilled = true
    await ended
    kills += 1
    await Promise.all(working)
    if (kills < options.runs && random.chance(0.1)) {
      await killAtStart()
      kills += 1
    }
    const began = performance.now()
    server = await start()
    report.count('seconds of starting', (performance.now() - began) / 1000)
    await settleAll()
    if (kills % fullCheckEvery !== 0) {
      for (const client of clients) await checkClient(client, 'sample', report)
      continue
    }
    await checkEverything()
    await server.stop()
    await checkDataDirectory(dataDir, false, report)
    server = await start()
    if (kills % 50 === 0) console.log(`kill: ${kills} kills, ${report.failed} violations`)
  }

  await settleAll()
  await checkEverything()
  // Everything temporary runs out: uploads expire, leases end, collection takes what nothing refers to.
  const longest = Math.max(seconds.uploadExpiry, seconds.leaseLifetime + seconds.collectGrace)
  await sleep((longest + 2) * 1000)
  for (const client of clients) {
    client.uploads.length = 0
    await checkClient(client, 'full', report)
  }
  await server.stop()
  await checkDataDirectory(dataDir, true, report)
} catch (error) {
  report.fail(`after ${kills} kills: ${wordsOf(error)}\n${error instanceof Error ? error.stack : ''}`)
  console.log(server.output().slice(-3000))
} finally {
  server.process.kill('SIGKILL')
  if (report.failed > 0) console.log(`the data directory is kept: ${dataDir}`)
  else await rm(dataDir, { recursive: true, force: true })
}
report.count('kills', kills)
report.finish()
process.exit()
