/**
 * Fills the compile cache after an installation by starting and stopping the programs once, in a directory that is
 * removed again. Without it the first start after each installation would strip the types from all modules in every
 * thread, which costs seconds and some 40 MiB of memory for as long as that server runs.
 *
 * Nothing depends on it: whatever goes wrong, the programs work, and the cache fills at their own first start.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const program = (path: string) => fileURLToPath(new URL(`../packages/${path}`, import.meta.url))
const limitMs = 30_000

const directory = mkdtempSync(join(tmpdir(), 'holdfast-warm-up-'))
try {
  const env = { PATH: process.env.PATH, HOLDFAST_DATA_DIR: directory, HOLDFAST_LISTEN: '127.0.0.1:0' }
  const server = spawn(process.execPath, [program('server/src/main.js')], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: limitMs,
  })
  const ended = once(server, 'exit')
  // It speaks on stdout when everything is loaded.
  await Promise.race([once(server.stdout, 'data'), ended])
  server.kill()
  // Completing a word loads every command and the client; a port where nobody listens is asked only once.
  const words = [
    '--apiurl',
    'http://127.0.0.1:9',
    '--patience',
    '0',
    '__complete',
    '--',
    'artifact',
    'show',
    '',
  ]
  execFileSync(process.execPath, [program('cli/src/main.js'), ...words], {
    env: { ...env, HOME: directory },
    stdio: 'ignore',
    timeout: limitMs,
  })
  await ended
} catch {
  // See above.
} finally {
  rmSync(directory, { recursive: true, force: true })
}
