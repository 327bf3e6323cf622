/**
 * From settings to a server that answers, and back. Everything a server is made of is made here, in the order in
 * which each thing needs the others, and given back in the reverse order.
 */
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Server as TlsServer } from 'node:tls'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import packageFile from '../package.json' with { type: 'json' }
import { createApp } from './app.ts'
import { tellLastBackup } from './backup/backups.ts'
import { refuseMovedStore } from './backup/migrate/marks.ts'
import { refuseUnfinishedRestore } from './backup/unfinished-restore.ts'
import { startHashPipeline } from './blobs/hash-pipeline.ts'
import { createBlobSender } from './blobs/read-blob.ts'
import { openUploadFiles } from './blobs/upload-files.ts'
import { readCertificate, renewCertificate, tellCertificate } from './certificate.ts'
import { writeClientFile } from './client-file.ts'
import { type Config, ConfigError } from './config.ts'
import type { Database } from './db/database.ts'
import { lockDataDirectory } from './db/lock.ts'
import { hasOwnServer, openDatabase } from './db/open-database.ts'
import { LocalAdmission } from './domain/admission.ts'
import { startJobs } from './domain/jobs/scheduler.ts'
import { createLogins } from './domain/logins.ts'
import { ensureSystem } from './domain/namespaces.ts'
import { askTime, Heartbeats } from './domain/nodes/heartbeats.ts'
import { aloneNode, type Nodes } from './domain/nodes/nodes.ts'
import { SharedClock } from './domain/nodes/shared-clock.ts'
import { countDamagedBlobs } from './domain/quarantine.ts'
import { RecentFailures } from './domain/recent-failures.ts'
import { recover } from './domain/recover.ts'
import { formerTokenKey, loadTokenKey, sharedSecret, tokenKeyName } from './domain/secrets.ts'
import { SharedAdmission } from './domain/shared-admission.ts'
import { parseAllowList } from './fetch/allow-list.ts'
import { checkOffload } from './http/offload.ts'
import { isEveryAddress, localUrl, parseListen } from './listen-address.ts'
import { addProcessMetrics, createMetrics, type Metrics } from './metrics.ts'
import { openBlobs, whenStoreAnswers } from './open-blobs.ts'
import type { Clock, Parts } from './parts.ts'
import { parsePublicUrl } from './public-url.ts'
import { bindDataDirectory } from './store-directory.ts'
import { bindNode, isSharedStore } from './store-node.ts'

/** A server that listens. */
export interface RunningServer {
  /** Where clients reach it. */
  readonly url: string
  readonly dataDir: string
  /** The client configuration file that was written. */
  readonly clientFile: string
  /** Reads the certificate again, if the server has one. */
  readonly renewCertificate: (() => Promise<void>) | undefined
  /** Finishes what is in flight within `config.shutdownTimeout`, then lets go of everything. */
  stop(): Promise<void>
}

type Release = () => unknown

export interface OpenOptions {
  /** By `holdfast-server migrate`, which goes on with a store that has been marked by an earlier run of it. */
  readonly isMigrating?: boolean
  /** Another server has taken the place of this node. */
  readonly onReplaced?: (error: Error) => void
}

/** How often the database is asked for its time at a start. */
const firstQuestions = 5

/** Starts a server. When it throws, whatever had been opened is closed again. */
export const startServer = async (
  config: Config,
  log: Logger,
  onReplaced: (error: Error) => void = () => {},
): Promise<RunningServer> => {
  const address = parseListen(config.listen)
  const { url: publicUrl } = parsePublicUrl(config.publicUrl)
  checkAllowList(config)
  checkOffload(config)
  const certificate = await readCertificate(config)
  const dataDir = resolve(config.dataDir)
  const releases: Release[] = []
  const stop = async () => {
    for (const release of releases.splice(0).reverse()) {
      try {
        await release()
      } catch (error) {
        log.error({ err: error }, 'a part of the server did not close')
      }
    }
  }
  try {
    const parts = await openParts({ ...config, dataDir }, log, releases, { onReplaced })
    await whenStoreAnswers(config, log, () => recover(parts))
    await tellLastBackup(parts)
    const key = await ensureSystem(parts)
    const clientFile = join(dataDir, 'client.json')
    const urlAt = (port: number) =>
      publicUrl || localUrl({ host: address.host, port }, certificate ? 'https' : 'http')
    const writeFor = (url: string) => writeClientFile(clientFile, { namespace: 'system', key, apiurl: url })
    // Before anybody can find the server ready, where the port is known by then.
    if (address.port !== 0) await writeFor(urlAt(address.port))
    const app = await createApp(parts, certificate?.options)
    const renewal =
      certificate && renewCertificate(config, certificate, app.server as unknown as TlsServer, parts)
    if (renewal) releases.push(() => renewal.close())
    if (certificate) tellCertificate(certificate, parts)
    const { nodes } = parts
    const tellOthers = async (port: number): Promise<void> => {
      const own = localUrl({ host: address.host, port }, certificate ? 'https' : 'http')
      if (nodes instanceof Heartbeats) await nodes.advertise(config.nodeUrl || own)
    }
    // As above: who finds this node ready may ask any other for what is here.
    const isFindable = config.nodeUrl !== '' || !isEveryAddress(address)
    if (isFindable && address.port !== 0) await tellOthers(address.port)
    await app.listen(address)
    // From here on the reverse order is: say so, refuse new requests and finish the others, stop the jobs, close the parts.
    const jobs = startJobs(parts)
    releases.push(
      () => jobs.stop(),
      () => closeApp(app, config.shutdownTimeout, log),
      () => leave(app, nodes, config.stopDelay),
    )
    const { port } = app.server.address() as { port: number }
    if (isFindable && address.port === 0) await tellOthers(port)
    if (!isFindable && nodes.isShared)
      log.warn('HOLDFAST_NODE_URL is not set: other nodes do not reach this one')
    const url = urlAt(port)
    if (address.port === 0) await writeFor(url)
    return { url, dataDir, clientFile, stop, renewCertificate: renewal?.renew }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Opens what a server stands on; `releases` learns how to close it again. */
export const openParts = async (
  config: Config,
  log: Logger,
  releases: Release[],
  { isMigrating = false, onReplaced = () => {} }: OpenOptions = {},
): Promise<Parts> => {
  const { dataDir } = config
  const lock = lockDataDirectory(dataDir)
  releases.push(() => lock.release())
  refuseUnfinishedRestore(dataDir)
  const db = await openDatabase(config, log, isMigrating ? 'holdfast-migrate' : undefined)
  releases.push(() => db.close())
  if (!isMigrating) await refuseMovedStore(db)
  const isShared = isSharedStore(config)
  if (hasOwnServer(config) && !isShared) await bindDataDirectory(db, dataDir)
  const hash = startHashPipeline({
    onCrash: (error) => log.error({ err: error }, 'a hash thread died and was replaced'),
  })
  releases.push(() => hash.close())
  const { blobs, ahead, maxSize, close } = await openBlobs(config, db, log)
  releases.push(close)
  const metrics = createMetrics()
  addProcessMetrics(metrics)
  const { nodes, clock } = isShared
    ? await joinNodes(config, db, log, metrics, onReplaced)
    : standAlone(config)
  if (nodes instanceof Heartbeats) releases.push(() => nodes.stop())
  const uploadFiles = await openUploadFiles({
    dataDir,
    hash,
    clock,
    freeSpaceReserveBytes: config.freeSpaceReserve,
    stallTimeoutMs: config.uploadStall * 1000,
    onWarning: (message, facts) => log.warn(facts, message),
    ahead,
  })
  releases.push(() => uploadFiles.close())
  return {
    config: { ...config, maxFileSize: Math.min(config.maxFileSize, maxSize) },
    db,
    blobs,
    sender: createBlobSender(),
    hash,
    uploadFiles,
    clock,
    nodes,
    log,
    metrics,
    tokenKey: isShared
      ? Buffer.from(await sharedSecret(db, tokenKeyName, await formerTokenKey(dataDir)), 'base64url')
      : await loadTokenKey(dataDir),
    logins: createLogins(),
    admission: isShared ? new SharedAdmission() : new LocalAdmission(),
    failures: new RecentFailures(),
  }
}

const standAlone = ({ nodeName: name }: Config): { nodes: Nodes; clock: Clock } => {
  const clock = { now: () => Date.now() }
  return { nodes: aloneNode({ name, version: packageFile.version, clock }), clock }
}

/** Becomes one of the nodes that share a database and a blob store. */
const joinNodes = async (
  config: Config,
  db: Database,
  log: Logger,
  metrics: Metrics,
  onReplaced: (error: Error) => void,
): Promise<{ nodes: Nodes; clock: Clock }> => {
  const clock = new SharedClock()
  await askTime(db, clock, firstQuestions)
  const timeoutMs = config.nodeTimeout * 1000
  const run = await bindNode(db, config.dataDir, clock, {
    name: config.nodeName,
    version: packageFile.version,
    timeoutMs,
  })
  const nodes = new Heartbeats({
    db,
    clock,
    log,
    name: config.nodeName,
    run,
    secret: Buffer.from(await sharedSecret(db, 'node-key'), 'base64url'),
    timeoutMs,
    onReplaced,
    onBeat: (all) => {
      for (const state of ['up', 'stopping', 'silent', 'gone'] as const)
        metrics.nodes.set({ state }, all.filter(({ health }) => health === state).length)
      // Another may have found or healed one.
      countDamagedBlobs({ db, metrics }).catch((error) =>
        log.debug({ err: error }, 'damaged blobs were not counted'),
      )
    },
    onChange: ({ name, health }, before) => {
      if (name === config.nodeName) return
      if (health === 'gone') log.warn({ other: name }, 'a node is gone')
      else if (before === 'gone') log.info({ other: name, health }, 'a node has come back')
      else log.info({ other: name, health }, 'a node of this store')
    },
  })
  nodes.start()
  return { nodes, clock }
}

/** Says to balancers and to the other nodes that this one stops, and gives them time to hear it. */
const leave = async (app: FastifyInstance, nodes: Nodes, delaySeconds: number): Promise<void> => {
  app.sayLeaving()
  if (nodes instanceof Heartbeats) await nodes.goDown()
  if (delaySeconds > 0) await delay(delaySeconds * 1000)
}

/** Waits for requests in flight, but not for ever. */
const closeApp = async (app: FastifyInstance, timeoutSeconds: number, log: Logger): Promise<void> => {
  const timer = setTimeout(() => {
    log.warn({ timeoutSeconds }, 'cutting the requests that are still in flight')
    app.server.closeAllConnections()
  }, timeoutSeconds * 1000)
  await app.close()
  clearTimeout(timer)
}

/** A mistake in it should end the start, not the first fetch. */
const checkAllowList = ({ fetchAllow }: Config): void => {
  try {
    parseAllowList(fetchAllow)
  } catch (error) {
    throw new ConfigError(`HOLDFAST_FETCH_ALLOW: ${(error as Error).message}`, { cause: error })
  }
}
