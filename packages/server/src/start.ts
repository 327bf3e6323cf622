/**
 * From settings to a server that answers, and back. Everything a server is made of is made here, in the order in
 * which each thing needs the others, and given back in the reverse order.
 */
import { join, resolve } from 'node:path'
import type { Server as TlsServer } from 'node:tls'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { createApp } from './app.ts'
import { tellLastBackup } from './backup/backups.ts'
import { refuseUnfinishedRestore } from './backup/unfinished-restore.ts'
import { startHashPipeline } from './blobs/hash-pipeline.ts'
import { createBlobSender } from './blobs/read-blob.ts'
import { openUploadFiles } from './blobs/upload-files.ts'
import { readCertificate, renewCertificate, tellCertificate } from './certificate.ts'
import { writeClientFile } from './client-file.ts'
import { type Config, ConfigError } from './config.ts'
import { lockDataDirectory } from './db/lock.ts'
import { hasOwnServer, openDatabase } from './db/open-database.ts'
import { Admission } from './domain/admission.ts'
import { startJobs } from './domain/jobs/scheduler.ts'
import { createLogins } from './domain/logins.ts'
import { ensureSystem } from './domain/namespaces.ts'
import { RecentFailures } from './domain/recent-failures.ts'
import { recover } from './domain/recover.ts'
import { loadTokenKey } from './domain/secrets.ts'
import { parseAllowList } from './fetch/allow-list.ts'
import { checkOffload } from './http/offload.ts'
import { localUrl, parseListen } from './listen-address.ts'
import { addProcessMetrics, createMetrics } from './metrics.ts'
import { openBlobs, whenStoreAnswers } from './open-blobs.ts'
import type { Parts } from './parts.ts'
import { parsePublicUrl } from './public-url.ts'
import { bindDataDirectory } from './store-directory.ts'

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

/** Starts a server. When it throws, whatever had been opened is closed again. */
export const startServer = async (config: Config, log: Logger): Promise<RunningServer> => {
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
    const parts = await openParts({ ...config, dataDir }, log, releases)
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
    await app.listen(address)
    // From here on the reverse order is: refuse new requests and finish the others, stop the jobs, close the parts.
    const jobs = startJobs(parts)
    releases.push(
      () => jobs.stop(),
      () => closeApp(app, config.shutdownTimeout, log),
    )
    const { port } = app.server.address() as { port: number }
    const url = urlAt(port)
    if (address.port === 0) await writeFor(url)
    return { url, dataDir, clientFile, stop, renewCertificate: renewal?.renew }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Opens what a server stands on; `releases` learns how to close it again. */
export const openParts = async (config: Config, log: Logger, releases: Release[]): Promise<Parts> => {
  const { dataDir } = config
  const lock = lockDataDirectory(dataDir)
  releases.push(() => lock.release())
  refuseUnfinishedRestore(dataDir)
  const db = await openDatabase(config, log)
  releases.push(() => db.close())
  if (hasOwnServer(config)) await bindDataDirectory(db, dataDir)
  const hash = startHashPipeline({
    onCrash: (error) => log.error({ err: error }, 'a hash thread died and was replaced'),
  })
  releases.push(() => hash.close())
  const clock = { now: () => Date.now() }
  const { blobs, ahead, maxSize, close } = await openBlobs(config, db, log)
  releases.push(close)
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
  const metrics = createMetrics()
  addProcessMetrics(metrics)
  return {
    config: { ...config, maxFileSize: Math.min(config.maxFileSize, maxSize) },
    db,
    blobs,
    sender: createBlobSender(),
    hash,
    uploadFiles,
    clock,
    log,
    metrics,
    tokenKey: await loadTokenKey(dataDir),
    logins: createLogins(),
    admission: new Admission(),
    failures: new RecentFailures(),
  }
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
