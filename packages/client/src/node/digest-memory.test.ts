import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestServer, type TestServer } from '../test-server.ts'
import { type FileState, fileDigestMemory, fileState } from './digest-memory.ts'

const digest = (letter: string) => letter.repeat(128)

describe('fileDigestMemory', () => {
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-digests-'))
  })
  afterAll(() => rm(directory, { recursive: true }))

  const state = (file: string, state: string): FileState => ({ file, state, settledAt: 0 })

  it('knows a file in the state that was hashed, and in no other', async () => {
    const memory = fileDigestMemory(directory)
    expect(await memory.recall(state('a', 'a1'))).toBeUndefined()
    await memory.remember(state('a', 'a1'), digest('1'))
    expect(await memory.recall(state('a', 'a1'))).toBe(digest('1'))
    expect(await memory.recall(state('a', 'a2'))).toBeUndefined()
    await memory.remember(state('a', 'a2'), digest('2'))
    expect(await memory.recall(state('a', 'a1'))).toBeUndefined()
    const [name] = await readdir(join(directory, 'digests'))
    await writeFile(join(directory, 'digests', name!), '{"state":"a2","sha512":"no digest"}')
    expect(await memory.recall(state('a', 'a2'))).toBeUndefined()
  })

  it('forgets the files that nobody has asked for the longest', async () => {
    const memory = fileDigestMemory(join(directory, 'small'), 2)
    for (const name of ['a', 'b', 'c']) {
      await memory.remember(state(name, name), digest('1'))
      await delay(20) // the order is that of the entries' times
      await memory.recall(state('a', 'a'))
      await delay(20)
    }
    expect(await memory.recall(state('a', 'a'))).toBe(digest('1'))
    expect(await memory.recall(state('b', 'b'))).toBeUndefined()
    expect(await memory.recall(state('c', 'c'))).toBe(digest('1'))
  })

  it('fails nothing when it cannot write', async () => {
    const memory = fileDigestMemory('/dev/null/nowhere')
    await memory.remember(state('a', 'a1'), digest('1'))
    expect(await memory.recall(state('a', 'a1'))).toBeUndefined()
  })

  it('tells changes apart that leave size and time as they were', async () => {
    const path = join(directory, 'file')
    await writeFile(path, 'one')
    const before = await stat(path, { bigint: true })
    await delay(20) // longer than a tick of the kernel
    await writeFile(path, 'two')
    await utimes(path, Number(before.mtimeNs) / 1e9, Number(before.mtimeNs) / 1e9)
    const after = await stat(path, { bigint: true })
    expect(after.size).toBe(before.size)
    expect(fileState(after).state).not.toBe(fileState(before).state)
  })
})

describe('an upload of a file hashed before', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startTestServer()
  })
  afterAll(() => server.remove())

  const MiB = 1024 * 1024
  /** A file whose times are old enough to be told from those of any later change. */
  const settledFile = async (name: string, size: number) => {
    const file = await server.file(name, size)
    const { settledAt } = fileState(await stat(file.path, { bigint: true }))
    while (Date.now() < settledAt) await delay(20)
    return file
  }
  const uploadOf = async (source: string, name: string, more: { rehash?: boolean } = {}) => {
    const phases = new Set<string>()
    const onProgress = ({ phase }: { phase: string }) => phases.add(phase)
    const result = await server.client().upload({ source, name, onProgress, ...more })
    const { content } = await server.client().download({ blob: result.blobUuid, to: 'blob' })
    return { ...result, phases, content: Buffer.from(await content!.bytes()) }
  }

  it('reads nothing when the server has its content', async () => {
    const { path, bytes } = await settledFile('known', 5 * MiB)
    const first = await uploadOf(path, 'known')
    expect(first.hit).toBe(false)
    const again = await uploadOf(path, 'known again')
    expect(again).toMatchObject({ hit: true, blobUuid: first.blobUuid, sha512: first.sha512, sent: 0 })
    expect([...again.phases]).toEqual(['lookup', 'convert'])
    expect(again.content.equals(bytes)).toBe(true)
    expect((await uploadOf(path, 'hashed anew', { rehash: true })).phases).toContain('hash')
  })

  it('hashes it anew once it was changed, whatever its size and time say', async () => {
    const { path } = await settledFile('changed', 5 * MiB)
    const { mtimeMs } = await stat(path)
    await uploadOf(path, 'before')
    const other = Buffer.alloc(5 * MiB, 'other')
    await writeFile(path, other)
    await utimes(path, mtimeMs / 1000, mtimeMs / 1000)
    const result = await uploadOf(path, 'after')
    expect(result.hit).toBe(false)
    expect(result.content.equals(other)).toBe(true)
  })

  it('sends it when the server does not have its content', async () => {
    const { path, bytes } = await settledFile('elsewhere', 5 * MiB)
    const state = fileState(await stat(path, { bigint: true }))
    // A digest that no server has shows that the file is hashed anew after a miss
    await fileDigestMemory(join(server.directory, 'state')).remember(state, digest('0'))
    const result = await uploadOf(path, 'elsewhere')
    expect(result).toMatchObject({ hit: false, sent: bytes.length })
    expect(result.content.equals(bytes)).toBe(true)
  })

  it('does not remember what could change unseen', async () => {
    const { path } = await server.file('young', 5 * MiB)
    const tomorrow = Date.now() / 1000 + 86_400
    await utimes(path, tomorrow, tomorrow)
    await uploadOf(path, 'young')
    const state = fileState(await stat(path, { bigint: true }))
    expect(await fileDigestMemory(join(server.directory, 'state')).recall(state)).toBeUndefined()
  })
})
