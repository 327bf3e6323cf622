/** What the tests of backups share: the server's own command, and stores with known content. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { login, type Session } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'

const mainFile = fileURLToPath(new URL('../../packages/server/src/main.js', import.meta.url))
const patienceMs = 15_000

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs `holdfast-server` with these words. */
export const holdfastServer = async (...words: string[]): Promise<Ended> => {
  const environment = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('HOLDFAST_')),
  )
  const child = spawn(process.execPath, [mainFile, ...words], {
    env: { ...environment, NODE_ENV: 'production', HOLDFAST_LOG_LEVEL: 'error' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (part: string) => (text[name] += part))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, ...text }
}

/** A directory that goes with `remove`. */
export const makeDirectory = async (): Promise<{ path: string; remove(): Promise<void> }> => {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-backup-'))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

/** Waits until what `route` shows has ended, and answers it. */
export const ended = async (system: Session, route: '/admin/backup' | '/admin/check') => {
  for (const deadline = Date.now() + patienceMs; Date.now() < deadline; await sleep(20)) {
    const { json } = await system.get(route)
    if (json.state !== 'running') return json
  }
  throw new Error(`${route} did not end within ${patienceMs} ms`)
}

/** Makes a backup and answers its figures; throws unless it is done. */
export const backUp = async (system: Session, name: string) => {
  const answer = await system.post('/admin/backup', { name })
  if (answer.status !== 200) throw new Error(`backup refused: ${answer.bytes}`)
  const view = await ended(system, '/admin/backup')
  if (view.state !== 'done') throw new Error(`backup failed: ${view.error}`)
  return view
}

/** Checks the store through the API, and answers the report. */
export const check = async (system: Session, repair = false) => {
  const answer = await system.post('/admin/check', { repair })
  if (answer.status !== 200) throw new Error(`check refused: ${answer.bytes}`)
  const view = await ended(system, '/admin/check')
  if (view.state !== 'done') throw new Error(`check failed: ${view.error}`)
  return view
}

export interface Version {
  readonly artifact: string
  readonly index: number
  readonly blob: string
  readonly bytes: Buffer
}

/** Which of these versions a server does not answer byte for byte, in words. */
export const missingFrom = async (system: Session, versions: readonly Version[]): Promise<string[]> => {
  const wrong: string[] = []
  for (const { artifact, index, blob, bytes } of versions) {
    const shown = await system.get(`/artifacts/${artifact}`)
    if (shown.json.blobs?.[index]?.uuid !== blob) wrong.push(`${artifact} ${index}: not there`)
    const data = await system.send('GET', `/blobs/${blob}/data`, { unchecked: true })
    if (data.status !== 200 || !data.bytes.equals(bytes))
      wrong.push(`${artifact} ${index}: answered ${data.status} with ${data.bytes.length} bytes`)
  }
  return wrong
}

/** Restores a backup to a fresh directory, and starts a server on it. */
export const restoreAndStart = async (
  backup: string,
  ...options: string[]
): Promise<{ server: RunningServer; system: Session }> => {
  const { path } = await makeDirectory()
  const restored = await holdfastServer('restore', backup, '--data', path, ...options)
  if (restored.code !== 0) throw new Error(`restore ended with ${restored.code}: ${restored.stderr}`)
  const server = await startServer({ dataDir: path })
  return { server, system: await login(server.url, 'system', server.systemKey) }
}

/** Blobs that the database of the finished backup names, and that are not in the backup whole. */
export const blobsMissingIn = async (backup: string): Promise<string[]> => {
  const { database } = JSON.parse(await readFile(join(backup, 'backup.json'), 'utf8')) as { database: string }
  const db = new DatabaseSync(join(backup, database), { readOnly: true })
  const rows = db.prepare("SELECT uuid, size FROM blobs WHERE state <> 'deleted'").all()
  db.close()
  const missing: string[] = []
  for (const { uuid, size } of rows as unknown as { uuid: string; size: number }[]) {
    const found = await stat(join(backup, 'blobs', uuid.slice(0, 2), uuid)).catch(() => undefined)
    if (found?.size !== size) missing.push(uuid)
  }
  return missing
}
