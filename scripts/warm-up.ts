/**
 * Fills the compile cache after an installation by starting the server in a directory that is removed again, and sending
 * it a file and getting that back. Without it the first start after each installation would strip the types from all modules in
 * every thread, which costs seconds and, for as long as that server runs, some 50 MiB of memory. The threads that hash and
 * that read for downloads start with the first file, so it takes one to have them in the cache.
 *
 * Nothing depends on it: whatever goes wrong, the programs work, and the cache fills at their own first start.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const program = (path: string) => fileURLToPath(new URL(`../packages/${path}`, import.meta.url))
const limitMs = 30_000

const directory = mkdtempSync(join(tmpdir(), 'holdfast-warm-up-'))
const env = { PATH: process.env.PATH, HOLDFAST_DATA_DIR: directory, HOLDFAST_LISTEN: '127.0.0.1:0' }
const server = spawn(process.execPath, [program('server/src/main.js')], {
  env,
  stdio: ['ignore', 'pipe', 'ignore'],
  timeout: limitMs,
})
const ended = once(server, 'exit')
const holdfast = (...words: string[]) =>
  execFileSync(
    process.execPath,
    [program('cli/src/main.js'), '--config', join(directory, 'client.json'), ...words],
    { env: { ...env, HOME: directory }, stdio: 'ignore', timeout: limitMs },
  )
try {
  // It speaks on stdout when everything is loaded.
  await Promise.race([once(server.stdout, 'data'), ended])
  const file = join(directory, 'file')
  writeFileSync(file, 'warm')
  holdfast('artifact', 'upload', 'warm-up', file)
  holdfast('artifact', 'download', 'warm-up', join(directory, 'back'))
  // Completing a word loads every command.
  holdfast('__complete', '--', 'artifact', 'show', '')
} catch {
  // See above.
} finally {
  server.kill()
  await ended.catch(() => {})
  rmSync(directory, { recursive: true, force: true })
}
