import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DataDirectoryInUseError, lockDataDirectory } from './lock.ts'

let directory: string

beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'holdfast-lock-')), 'data')
})
afterEach(() => rm(join(directory, '..'), { recursive: true }))

/** Another process that takes the lock, says so, and stays. */
async function startHolder() {
  const script = `
    import { lockDataDirectory } from ${JSON.stringify(new URL('./lock.ts', import.meta.url).href)}
    globalThis.lock = lockDataDirectory(${JSON.stringify(directory)})
    process.stdout.write('locked')
    setTimeout(() => {}, 60_000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exit = once(child, 'exit')
  const said = await Promise.race([once(child.stdout, 'data'), exit])
  expect(String(said[0])).toBe('locked')
  return {
    async kill() {
      child.kill('SIGKILL')
      await exit
    },
  }
}

describe('the lock of the data directory', () => {
  it('is refused to a second process, and free after kill -9', async () => {
    const holder = await startHolder()
    try {
      expect(() => lockDataDirectory(directory)).toThrow(DataDirectoryInUseError)
      expect(() => lockDataDirectory(directory)).toThrow(directory)
    } finally {
      await holder.kill()
    }
    lockDataDirectory(directory).release()
  })

  it('is refused to the same process a second time, and the refusal does not weaken the lock', async () => {
    const lock = lockDataDirectory(directory)
    expect(() => lockDataDirectory(directory)).toThrow(DataDirectoryInUseError)
    expect(() => lockDataDirectory(directory)).toThrow('HOLDFAST_DATA_DIR')
    lock.release()
    lock.release()
    lockDataDirectory(directory).release()
  })

  it('leaves nothing but its own file', async () => {
    const lock = lockDataDirectory(directory)
    expect(await readdir(directory)).toEqual(['lock.db'])
    lock.release()
    expect(await readdir(directory)).toEqual(['lock.db'])
  })
})
