import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadSystemKey, loadTokenKey } from './secrets.ts'

let dataDir: string
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'holdfast-secrets-'))
})
afterEach(() => rm(dataDir, { recursive: true }))

const modeOf = async (name: string) => (await stat(join(dataDir, name))).mode & 0o777

test('secrets are made once, and only their owner may read them', async () => {
  const tokenKey = await loadTokenKey(dataDir)
  const systemKey = await loadSystemKey(dataDir)
  expect(tokenKey).toHaveLength(32)
  expect(systemKey).toMatch(/^[\w-]{43}$/)
  expect((await readdir(dataDir)).sort()).toEqual(['system.key', 'token.key'])
  expect([await modeOf('token.key'), await modeOf('system.key')]).toEqual([0o600, 0o600])
  expect(await loadTokenKey(dataDir)).toEqual(tokenKey)
  expect(await loadSystemKey(dataDir)).toBe(systemKey)
})

test('a file that others could read is closed to them', async () => {
  await loadTokenKey(dataDir)
  await chmod(join(dataDir, 'token.key'), 0o644)
  await loadTokenKey(dataDir)
  expect(await modeOf('token.key')).toBe(0o600)
})

test('what a crash left half made is replaced', async () => {
  await writeFile(join(dataDir, 'token.key.new'), 'half', { mode: 0o644 })
  expect(await loadTokenKey(dataDir)).toHaveLength(32)
  expect(await modeOf('token.key')).toBe(0o600)
  expect(await readdir(dataDir)).toEqual(['token.key'])
})

test('a damaged secret is told, not replaced', async () => {
  await writeFile(join(dataDir, 'token.key'), 'short')
  await expect(loadTokenKey(dataDir)).rejects.toThrow('token.key is damaged')
  await writeFile(join(dataDir, 'system.key'), '\n')
  await expect(loadSystemKey(dataDir)).rejects.toThrow('system.key is empty')
  expect(await readFile(join(dataDir, 'token.key'), 'utf8')).toBe('short')
})

test('a key that a person wrote into the file counts without its line end', async () => {
  await writeFile(join(dataDir, 'system.key'), 'chosen by hand\n')
  expect(await loadSystemKey(dataDir)).toBe('chosen by hand')
})
