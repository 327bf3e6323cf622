/**
 * Starts a server as a process: settings from the environment, words for people on stdout, the log as JSON lines on
 * stderr, signals in, an exit code out (0 stopped, 1 cannot start, 2 bad settings, 70 a fault of the server).
 */
import { pino } from 'pino'
import { MovedStoreError } from './backup/migrate/marks.ts'
import { UnfinishedRestoreError } from './backup/unfinished-restore.ts'
import { ConfigError, describeConfig, parseConfig } from './config.ts'
import { DataDirectoryInUseError } from './db/lock.ts'
import { DatabaseStartError } from './db/open-database.ts'
import { BlobStoreStartError, WrongBlobStoreError } from './open-blobs.ts'
import { type RunningServer, startServer } from './start.ts'
import { WrongDatabaseError } from './store-directory.ts'

const exitCodes = { stopped: 0, cannotStart: 1, badSettings: 2, fault: 70, interrupted: 130 } as const
/** Beyond the time that requests get: closing the parts has its own bounds, and this is the last one. */
const extraStopSeconds = 20

const say = (text: string): void => void process.stdout.write(text)

/** Ends a start that cannot succeed. */
const giveUp = (error: Error): never => {
  process.stderr.write(`holdfast: ${error.message}\n`)
  process.exit(error instanceof ConfigError ? exitCodes.badSettings : exitCodes.cannotStart)
}

const isExpected = (error: Error): boolean =>
  error instanceof ConfigError ||
  error instanceof DataDirectoryInUseError ||
  error instanceof UnfinishedRestoreError ||
  error instanceof MovedStoreError ||
  error instanceof DatabaseStartError ||
  error instanceof WrongDatabaseError ||
  error instanceof BlobStoreStartError ||
  error instanceof WrongBlobStoreError ||
  'syscall' in error

const readConfig = () => {
  try {
    return parseConfig(process.env)
  } catch (error) {
    return giveUp(error as Error)
  }
}

const config = readConfig()
const log = pino(
  {
    level: config.logLevel,
    base: { node: config.nodeName },
    // Nothing logs these on purpose; this catches what slips in with an error or an object.
    redact: {
      paths: ['authorization', 'key', 'token', '*.authorization', '*.key', '*.token', '*.headers', '*.body'],
      censor: '[removed]',
    },
  },
  pino.destination({ fd: 2, sync: true }),
)

const fail = (what: string) => (error: unknown) => {
  log.fatal({ err: error }, what)
  process.exit(exitCodes.fault)
}
process.on('uncaughtException', fail('uncaught exception'))
process.on('unhandledRejection', fail('unhandled rejection'))

let server: RunningServer | undefined
let isStopping = false

const stopOn = (signal: NodeJS.Signals) => async () => {
  if (isStopping || !server) process.exit(exitCodes.interrupted)
  isStopping = true
  log.info({ signal }, 'stopping')
  const limit = setTimeout(
    () => fail('stopping took too long')(new Error('the parts of the server did not close in time')),
    (config.stopDelay + config.shutdownTimeout + extraStopSeconds) * 1000,
  )
  await server.stop()
  clearTimeout(limit)
  log.info('stopped')
  process.exit(exitCodes.stopped)
}
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stopOn(signal))

/** From a terminal it means that this is gone; to a service, that a file may have changed. */
const onHangup = () => {
  if (process.stderr.isTTY) return stopOn('SIGHUP')()
  if (server?.renewCertificate) return server.renewCertificate()
  log.info('SIGHUP: there is no certificate to read again; settings are read at the start only')
}
process.on('SIGHUP', onHangup)

log.info({ settings: describeConfig(config), version: process.version }, 'starting')
server = await startServer(config, log, fail('this node was replaced')).catch((error: Error) => {
  // What an operator can mend is said in words; anything else also with its stack.
  if (!isExpected(error)) log.fatal({ err: error }, 'the server cannot start')
  return giveUp(error)
})
say(`Holdfast listens at ${server.url}
  data        ${server.dataDir}
  client file ${server.clientFile} (namespace system; it holds a key, so keep it to yourself)
  API         ${server.url}/apidocs

Next, in another terminal:
  cp ${server.clientFile} ~/.shakenfist && chmod 600 ~/.shakenfist
  npx holdfast artifact upload NAME FILE

The log follows on stderr, one JSON object a line. Ctrl-C stops the server.
`)
