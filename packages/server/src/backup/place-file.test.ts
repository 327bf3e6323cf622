import { createHash } from 'node:crypto'
import { link, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { copyDurably, linkFile, SourceError } from './place-file.ts'

let directory: string
const { signal } = new AbortController()
const at = (name: string) => join(directory, name)

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-place-'))
})
afterEach(() => rm(directory, { recursive: true }))

test('copies, tells how much, and gives the bytes to a hash', async () => {
  const bytes = Buffer.alloc(9 * 1024 * 1024, 'some content ')
  await writeFile(at('from'), bytes)
  let told = 0
  const hash = createHash('sha512')
  await copyDurably(at('from'), at('to'), { size: bytes.length, signal, hash, onBytes: (n) => (told += n) })
  expect((await readFile(at('to'))).equals(bytes)).toBe(true)
  expect(told).toBe(bytes.length)
  expect(hash.digest('hex')).toBe(createHash('sha512').update(bytes).digest('hex'))
  expect((await stat(at('to'))).mode & 0o777).toBe(0o600)
})

test('copies an empty file, and over one that is there', async () => {
  await writeFile(at('from'), '')
  await writeFile(at('to'), 'old')
  await copyDurably(at('from'), at('to'), { size: 0, signal })
  expect(await readFile(at('to'), 'utf8')).toBe('')
})

test('leaves nothing of what is refused or interrupted', async () => {
  await writeFile(at('from'), 'content')
  const copy = (options: object) => copyDurably(at('from'), at('to'), { size: 7, signal, ...options })
  await expect(copy({ size: 8 })).rejects.toThrow(SourceError)
  await expect(copyDurably(at('nowhere'), at('to'), { size: 7, signal })).rejects.toThrow(SourceError)
  const accept = () => {
    throw new SourceError('not what it should be')
  }
  await expect(copy({ accept })).rejects.toThrow('not what it should be')
  const hash = createHash('sha512')
  await expect(copy({ hash, signal: AbortSignal.abort(new Error('stop')) })).rejects.toThrow('stop')
  expect(await readdir(directory)).toEqual(['from'])
})

test('links, also over another file and over itself, and tells when it cannot', async () => {
  await writeFile(at('from'), 'content')
  await writeFile(at('other'), 'other')
  expect(await linkFile(at('from'), at('other'))).toBe(true)
  expect(await linkFile(at('from'), at('other'))).toBe(true)
  expect(await readFile(at('other'), 'utf8')).toBe('content')
  expect((await readdir(directory)).sort()).toEqual(['from', 'other'])
  await expect(linkFile(at('nowhere'), at('other'))).rejects.toThrow(SourceError)
  // The kernel's own files are on another file system, wherever this one is.
  await expect(link('/proc/self/status', at('x'))).rejects.toThrow()
  expect(await linkFile('/proc/self/status', at('x'))).toBe(false)
})
