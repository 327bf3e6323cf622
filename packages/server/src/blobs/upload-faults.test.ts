import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { blockSize } from '@holdfast/api/limits'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type FileOps, realFiles } from './files.ts'
import { type HashPipeline, startHashPipeline } from './hash-pipeline.ts'
import { openUploadFiles, type UploadFiles, type UploadFilesOptions } from './upload-files.ts'
import { at, chunks, expectContent, pipe, plain } from './upload-fixture.ts'

let hash: HashPipeline
let root: string
let dataDir: string
beforeAll(() => {
  hash = startHashPipeline({ workers: 2, slots: 8 })
})
afterAll(async () => {
  await hash.close()
})
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'holdfast-faults-'))
  dataDir = join(root, 'data')
})
afterEach(async () => {
  // The hash may still be at work on the last ones.
  await vi.waitFor(() => expect(hash.slots.free, 'slots given back').toBe(8), 20_000)
  await rm(root, { recursive: true, force: true })
})

const thisBoot = Buffer.alloc(16, 1)
const open = (options: Partial<UploadFilesOptions> = {}): Promise<UploadFiles> =>
  openUploadFiles({
    dataDir,
    hash,
    clock: { now: () => 1_700_000_000_000 },
    freeSpaceReserveBytes: 0,
    stallTimeoutMs: 10_000,
    bootId: thisBoot,
    ...options,
  })
const content = randomBytes(5 * blockSize)
const first = content.subarray(0, 2 * blockSize + 777)
const second = content.subarray(first.length)

/** Waits for something that another part does in its own time. */
const until = async (holds: () => Promise<boolean>): Promise<void> => {
  while (!(await holds())) await sleep(2)
}

describe('failing disks', () => {
  /** The real files, but `fails` may throw before a step or write only a part; `synced` is told of every sync that went well. */
  const faulty = (
    fails: (step: 'write' | 'sync' | 'truncate', path: string, bytes: number) => void,
    synced: (path: string) => void = () => {},
  ): FileOps => ({
    ...realFiles,
    async open(path, how) {
      const file = await realFiles.open(path, how)
      return {
        ...file,
        async write(data, position) {
          try {
            fails('write', path, position + data.length)
          } catch (error) {
            await file.write(data.subarray(0, data.length >> 1), position)
            throw error
          }
          await file.write(data, position)
        },
        async sync() {
          fails('sync', path, 0)
          await file.sync()
          synced(path)
        },
        async truncate(size) {
          fails('truncate', path, size)
          await file.truncate(size)
        },
      }
    },
  })
  const error = (code: string) => Object.assign(new Error(code), { code })

  test.each(['ENOSPC', 'EDQUOT'])(
    '%s in the data leaves plain as before, conditional what is safe',
    async (code) => {
      let limit = first.length + blockSize
      const files = faulty((step, path, end) => {
        if (step === 'write' && path.endsWith('.data') && end > limit) throw error(code)
      })
      const uploads = await open({ files })
      const uuid = randomUUID()
      await uploads.create(uuid)
      await uploads.append(uuid, chunks(first), plain)
      await expect(uploads.append(uuid, chunks(second), plain)).rejects.toMatchObject({
        code: 'storage_full',
        detail: { offset: first.length },
      })
      await expectContent(uploads, uuid, first)
      const kept = 3 * blockSize
      await expect(uploads.append(uuid, chunks(second), at(first.length))).rejects.toMatchObject({
        code: 'storage_full',
        detail: { offset: kept },
      })
      await expectContent(uploads, uuid, content.subarray(0, kept))
      limit = Number.MAX_SAFE_INTEGER
      await uploads.append(uuid, chunks(content.subarray(kept)), plain)
      await expectContent(uploads, uuid, content)
      await uploads.close()
    },
  )

  test('a write that fails between good ones leaves no hole', async () => {
    let failures = 1
    const files = faulty((step, path, end) => {
      if (step === 'write' && path.endsWith('.data') && end > blockSize && failures-- > 0)
        throw error('ENOSPC')
    })
    const uploads = await open({ files })
    const uuid = randomUUID()
    await uploads.create(uuid)
    const append = uploads.append(uuid, chunks(content, content.length), at(0))
    await expect(append).rejects.toMatchObject({ code: 'storage_full', detail: { offset: blockSize } })
    await expectContent(uploads, uuid, content.subarray(0, blockSize))
    await uploads.close()
  })

  test('a silent client does not hide a full disk', async () => {
    const files = faulty((step, path) => {
      if (step === 'write' && path.endsWith('.data')) throw error('ENOSPC')
    })
    const uploads = await open({ files })
    const uuid = randomUUID()
    await uploads.create(uuid)
    const silent = pipe()
    silent.send(first)
    await expect(uploads.append(uuid, silent.body, plain)).rejects.toMatchObject({ code: 'storage_full' })
    await uploads.close()
  })

  test('a failing record or cut is made good before the next change', async () => {
    let broken: string | undefined
    const files = faulty((step, path) => {
      if (broken !== undefined && `${step} ${path}`.match(broken)) throw error('ENOSPC')
    })
    const uploads = await open({ files })
    const uuid = randomUUID()
    await uploads.create(uuid)
    await uploads.append(uuid, chunks(first), plain)
    for (broken of ['write .*state', '(truncate .*data|write .*state)']) {
      await expect(uploads.append(uuid, chunks(second), plain)).rejects.toThrow()
      await expect(uploads.seal(uuid)).rejects.toThrow()
      broken = undefined
      await expectContent(uploads, uuid, first)
      await uploads.append(uuid, chunks(second), plain)
      await expectContent(uploads, uuid, content)
      await uploads.truncate(uuid, first.length)
    }
    await uploads.close()
  })

  test('a failed flush is never taken for a good one', async () => {
    let broken = true
    const warnings: string[] = []
    const files = faulty((step) => {
      if (broken && step === 'sync') throw error('EIO')
    })
    const uploads = await open({
      files,
      onWarning: (message) => warnings.push(message),
      syncEvery: blockSize,
    })
    const uuid = randomUUID()
    await uploads.create(uuid)
    await uploads.append(uuid, chunks(first), plain)
    await until(async () => warnings.length > 0)
    broken = false
    const damaged = { code: 'upload_damaged', detail: { offset: 0 } }
    await expect(uploads.seal(uuid)).rejects.toMatchObject(damaged)
    await expect(uploads.append(uuid, chunks(second), plain)).rejects.toMatchObject(damaged)
    expect(await uploads.status(uuid)).toMatchObject({ size: 0, durableSize: 0 })
    await uploads.truncate(uuid, 0)
    await uploads.append(uuid, chunks(content), plain)
    await expectContent(uploads, uuid, content)
    await uploads.close()
  })

  test('a client that names its offset is told of what a failed flush took, and goes on from there', async () => {
    let broken = false
    const warnings: string[] = []
    let [begun, ended] = [0, 0]
    const files = faulty(
      (step, path) => {
        if (step !== 'sync') return
        if (broken) throw error('EIO')
        if (path.endsWith('.data')) begun++
      },
      (path) => {
        if (path.endsWith('.state')) ended++
      },
    )
    const uploads = await open({
      files,
      onWarning: (message) => warnings.push(message),
      syncEvery: blockSize,
    })
    const uuid = randomUUID()
    const at = (expectedOffset: number) => ({ mode: 'conditional', expectedOffset }) as const
    await uploads.create(uuid)
    await uploads.append(uuid, chunks(first), at(0))
    // A flush still under way would be the only one: none is begun beside it, and none would fail.
    await until(async () => begun > 0 && ended === begun)
    broken = true
    await uploads.append(uuid, chunks(second), at(first.length))
    await until(async () => warnings.length > 0)
    broken = false
    const { size } = (await uploads.status(uuid))!
    expect(size).toBeGreaterThan(0)
    expect(size).toBeLessThan(content.length)
    await expect(uploads.append(uuid, chunks(second), at(content.length))).rejects.toMatchObject({
      code: 'offset_mismatch',
      detail: { offset: size },
    })
    await uploads.append(uuid, chunks(content.subarray(size)), at(size))
    await expectContent(uploads, uuid, content)
    await uploads.close()
  })

  test('the reserve is kept: refused before the body is read, and in the middle of it', async () => {
    let free = 100
    let reads = 0
    const body = {
      async *[Symbol.asyncIterator]() {
        for await (const chunk of chunks(content)) {
          reads++
          yield chunk
        }
      },
    }
    const files = { ...realFiles, freeSpace: async () => free }
    const uploads = await open({ files, freeSpaceReserveBytes: 50 })
    const uuid = randomUUID()
    await uploads.create(uuid)
    await expect(uploads.append(uuid, body, { ...plain, contentLength: 51 })).rejects.toMatchObject({
      code: 'storage_full',
      detail: { free_bytes: 100, needed_bytes: 51, reserve_bytes: 50 },
    })
    expect(reads).toBe(0)
    free = 10
    const full = await open({ files, freeSpaceReserveBytes: 50 })
    await expect(full.append(uuid, body, plain)).rejects.toMatchObject({ code: 'storage_full' })
    await expect(full.create(randomUUID())).rejects.toMatchObject({ code: 'storage_full' })
    await uploads.close()
    await full.close()
  })
})

describe('the order of durable steps', () => {
  /** The real files; every step that a power cut could come after is told to `step`, which may hold it up. */
  const recorded = (step: (what: string) => Promise<void> | void): FileOps => ({
    ...realFiles,
    async open(path, how) {
      const file = await realFiles.open(path, how)
      const kind = path.slice(path.lastIndexOf('.') + 1)
      return {
        ...file,
        write: async (data, position) => {
          await step(`write ${kind}`)
          await file.write(data, position)
        },
        sync: async () => {
          await step(`sync ${kind}`)
          await file.sync()
        },
        truncate: async (size) => {
          await step(`truncate ${kind}`)
          await file.truncate(size)
        },
      }
    },
    async syncDirectory(path) {
      await step('sync directory')
      await realFiles.syncDirectory(path)
    },
  })

  test('data before its record, the record before a cut into what it called durable', async () => {
    const steps: string[] = []
    const uploads = await open({
      files: recorded((what) => void steps.push(what)),
      syncEvery: content.length,
    })
    const uuid = randomUUID()
    await uploads.create(uuid)
    steps.length = 0
    await uploads.append(uuid, chunks(first), plain)
    expect(steps.splice(0)).toEqual(['write data', 'write data', 'write data', 'write state'])
    await uploads.truncate(uuid, 1000)
    expect(steps.splice(0)).toEqual(['write state', 'truncate data'])
    await uploads.append(uuid, chunks(content), plain)
    await until(async () => steps.includes('sync state'))
    expect(steps.splice(0).filter((step) => step.startsWith('sync'))).toEqual([
      'sync data',
      'sync directory',
      'sync state',
    ])
    await uploads.truncate(uuid, 1000)
    expect(steps.splice(0)).toEqual(['write state', 'sync state', 'truncate data'])
    await uploads.close()
  })

  test('bytes written after a cut are not durable because older ones at their place were', async () => {
    const uploads = await open()
    const uuid = randomUUID()
    await uploads.create(uuid)
    await uploads.append(uuid, chunks(content), plain)
    await expectContent(uploads, uuid, content)
    expect(await uploads.status(uuid)).toMatchObject({ durableSize: content.length })
    await uploads.truncate(uuid, 1000)
    await uploads.append(uuid, chunks(first), plain)
    expect(await uploads.status(uuid)).toMatchObject({ size: 1000 + first.length, durableSize: 1000 })
    await uploads.close()
  })

  test('nor because a flush that began before the cut ends after it', async () => {
    let begun = false
    let goOn = () => {}
    const held = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const files = recorded(async (what) => {
      if (what !== 'sync data') return
      begun = true
      await held
    })
    const uploads = await open({ files, syncEvery: first.length })
    const uuid = randomUUID()
    await uploads.create(uuid)
    await uploads.append(uuid, chunks(first), plain)
    await until(async () => begun)
    await uploads.truncate(uuid, 1000)
    await uploads.append(uuid, chunks(content.subarray(0, 1000)), plain)
    goOn()
    // Closing waits for the flush, and the record then says what it made of it.
    await uploads.close()
    expect(await uploads.status(uuid)).toMatchObject({ size: 2000, durableSize: 0 })
  })
})
