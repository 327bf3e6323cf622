import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stateKey, type UploadRecord } from '../uploads/state.ts'
import { defaultStateDirectory, fileStateStore } from './file-state-store.ts'

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-state-'))
})
afterAll(() => rm(directory, { recursive: true }))

const record = (name: string, createdAt: number): UploadRecord => ({
  format: 1,
  server: 'http://server',
  login: 'me',
  uploadUuid: `upload of ${name}`,
  node: 'n',
  target: { name },
  source: { id: '1:2', size: 3, mtime: 4 },
  path: '/file',
  acknowledged: 0,
  createdAt,
})

describe('fileStateStore', () => {
  it('keeps, replaces, lists and forgets records', async () => {
    const store = fileStateStore(directory)
    expect(await store.list()).toEqual([])
    const [a, b] = [record('a', 2), record('b', 1)]
    await store.set('key a', a)
    await store.set('key b', b)
    expect(await store.get('key a')).toEqual(a)
    expect(await store.get('key c')).toBeUndefined()
    expect(await store.list()).toEqual([
      { key: 'key b', record: b },
      { key: 'key a', record: a },
    ])
    await store.set('key a', { ...a, acknowledged: 9 })
    expect((await fileStateStore(directory).get('key a'))?.acknowledged).toBe(9)
    await store.delete('key a')
    await store.delete('key b')
    await store.delete('key b')
    expect(await readdir(join(directory, 'uploads'))).toEqual([])
  })

  it('shows records to nobody else', async () => {
    const store = fileStateStore(directory)
    await store.set('key', record('x', 1))
    const [name] = await readdir(join(directory, 'uploads'))
    expect((await stat(join(directory, 'uploads', name!))).mode & 0o777).toBe(0o600)
    await store.delete('key')
  })

  it('takes a file that it cannot understand for a missing one', async () => {
    const store = fileStateStore(directory)
    await store.set('key', record('x', 1))
    const [name] = await readdir(join(directory, 'uploads'))
    for (const text of ['', '{', 'null', '{"key":"key"}', '{"key":"key","record":{"format":2}}']) {
      await writeFile(join(directory, 'uploads', name!), text)
      expect(await store.get('key')).toBeUndefined()
      expect(await store.list()).toEqual([])
    }
    await store.delete('key')
  })
})

describe('defaultStateDirectory', () => {
  it('follows the XDG rules', () => {
    expect(defaultStateDirectory({ XDG_STATE_HOME: '/state' })).toBe('/state/holdfast')
    expect(defaultStateDirectory({ XDG_STATE_HOME: 'relative' })).toMatch(/\.local\/state\/holdfast$/)
    expect(defaultStateDirectory({})).toMatch(/\.local\/state\/holdfast$/)
  })
})

describe('stateKey', () => {
  it('tells apart what must not be continued for one another', () => {
    const base = record('a', 1)
    const keys = [
      base,
      { ...base, server: 'http://other' },
      { ...base, login: 'you' },
      { ...base, target: { name: 'b' } },
      { ...base, target: { name: 'a', namespace: 'n' } },
      { ...base, target: { name: 'a', artifactType: 'other' as const } },
      { ...base, target: { name: 'a', sourceUrl: 'u' } },
      { ...base, source: { ...base.source, id: '1:3' } },
    ].map(stateKey)
    expect(new Set(keys).size).toBe(keys.length)
    const later = { ...base, source: { ...base.source, mtime: 99 } }
    expect(stateKey(later)).toBe(keys[0])
  })
})
