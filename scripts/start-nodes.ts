/**
 * Several nodes of one store behind nginx, to try things with: `npx node scripts/start-nodes.ts [--nodes 3]`. Runs until it is
 * stopped (Ctrl-C), and then stops all that it has started.
 *
 * HOLDFAST_LISTEN is where nginx listens (127.0.0.1:13000), HOLDFAST_DATA_DIR where everything is kept (./holdfast-nodes): a
 * directory for each node, for nginx, and `client.json` for clients. All other settings go to every node. Unless they name a database
 * and a blob store, throw-away ones are started as well, PostgreSQL and Versity's gateway, at free ports. Needs nginx and
 * postgresql (Debian: apt-get install nginx-light postgresql), and for the gateway Go.
 */
import { execFile } from 'node:child_process'
import { chmod, mkdir, rename, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { startCluster } from '../test/support/cluster.ts'
import { freePort } from '../test/support/ports.ts'
import { databaseSettings } from '../test/support/postgres.ts'
import { blobSettings } from '../test/support/s3.ts'

const run = promisify(execFile)
const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

const { values } = parseArgs({ options: { nodes: { type: 'string', default: '3' } } })
const {
  HOLDFAST_LISTEN: listen = '127.0.0.1:13000',
  HOLDFAST_DATA_DIR: directory = './holdfast-nodes',
  ...others
} = process.env
const dataDir = resolve(directory)
await mkdir(dataDir, { recursive: true })
const settings = Object.fromEntries(
  Object.entries(others).filter(([name]) => name.startsWith('HOLDFAST_') && name !== 'HOLDFAST_NODE_NAME'),
) as Record<string, string>
const ends: (() => Promise<unknown>)[] = []

const startPostgres = async (): Promise<Record<string, string>> => {
  const place = join(dataDir, 'postgres')
  await mkdir(place, { recursive: true })
  // PostgreSQL does not run as root, and has to get there.
  await chmod(dataDir, 0o755)
  const { stdout } = await run(script('start-postgres.sh'), [place, `${await freePort()}`])
  ends.push(() => run(script('start-postgres.sh'), [place, 'stop']))
  return databaseSettings(dataDir, stdout.trim())
}

const startS3 = async (): Promise<Record<string, string>> => {
  const place = join(dataDir, 's3')
  const { stdout } = await run(script('start-s3.sh'), ['versitygw', place, `${await freePort()}`])
  ends.push(() => run(script('start-s3.sh'), ['stop', place]))
  return blobSettings(dataDir, stdout.trim())
}

const end = async (): Promise<void> => {
  for (const stop of ends.reverse()) await stop().catch((error) => console.error(error.message))
  process.exit()
}
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, end)

try {
  if (!settings.HOLDFAST_DATABASE_URL) Object.assign(settings, await startPostgres())
  if (!settings.HOLDFAST_BLOB_STORE) Object.assign(settings, await startS3())
  const port = Number(listen.split(':').at(-1))
  const running = await startCluster(Number(values.nodes), { dataDir, port, settings })
  ends.push(() => running.stop())
  const client = { namespace: 'system', key: running.systemKey, apiurl: running.url }
  // Whole or not at all: who waits for the nodes may be reading it.
  const file = join(dataDir, 'client.json')
  await writeFile(`${file}.new`, `${JSON.stringify(client, null, 2)}\n`, { mode: 0o600 })
  await rename(`${file}.new`, file)
  console.log(`${running.url}, in front of`)
  for (const node of running.nodes) console.log(`  ${node.url}  ${node.dataDir}  (process ${node.pid})`)
  console.log(`Clients: --config ${file}`)
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
  await end()
}
