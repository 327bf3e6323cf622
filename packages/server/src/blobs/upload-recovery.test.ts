import { randomBytes, randomUUID } from 'node:crypto'
import { cp, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { blockSize } from '@holdfast/api/limits'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type HashPipeline, startHashPipeline } from './hash-pipeline.ts'
import { dataPaths } from './paths.ts'
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
  root = await mkdtemp(join(tmpdir(), 'holdfast-recovery-'))
  dataDir = join(root, 'data')
})
afterEach(async () => {
  // The hash may still be at work on the last ones.
  await vi.waitFor(() => expect(hash.slots.free, 'slots given back').toBe(8), 20_000)
  await rm(root, { recursive: true, force: true })
})

const thisBoot = Buffer.alloc(16, 1)
const nextBoot = Buffer.alloc(16, 2)
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

describe('after a kill in the middle of an append', () => {
  test.each([
    ['plain', plain],
    ['conditional', at(first.length)],
  ] as const)('%s: what was acknowledged is there, nothing else', async (kind, options) => {
    const uploads = await open()
    const uuid = randomUUID()
    await uploads.create(uuid)
    await uploads.append(uuid, chunks(first), plain)
    const body = pipe()
    const append = uploads.append(uuid, body.body, options)
    append.catch(() => {})
    body.send(second)
    // The last slot is only part full and stays in memory; those before reach the file.
    const onDisk = Math.floor(content.length / blockSize) * blockSize
    await until(async () => (await stat(dataPaths(dataDir).uploadData(uuid))).size >= onDisk)
    if (kind === 'conditional') await until(async () => (await uploads.status(uuid))!.size >= onDisk)
    const copy = join(root, 'copy')
    await cp(dataDir, copy, { recursive: true })

    const restarted = await open({ dataDir: copy })
    const size = kind === 'plain' ? first.length : onDisk
    expect(await restarted.recover()).toMatchObject({
      settled: [{ uuid, size, record: 'intact' }],
      missing: [],
      unreadable: [],
      strays: [],
    })
    await expectContent(restarted, uuid, content.subarray(0, size))
    await restarted.append(uuid, chunks(content.subarray(size)), at(size))
    await expectContent(restarted, uuid, content)
    await restarted.close()
    body.cut()
    await expect(append).rejects.toMatchObject({ code: 'body_incomplete' })
    await uploads.close()
  })
})

describe('what the record says', () => {
  const stored = async (options: Partial<UploadFilesOptions> = {}): Promise<string> => {
    const uploads = await open(options)
    const uuid = randomUUID()
    await uploads.create(uuid)
    await uploads.append(uuid, chunks(first), plain)
    await uploads.append(uuid, chunks(second), plain)
    await uploads.close()
    return uuid
  }

  test('after a reboot only durable bytes count', async () => {
    const uuid = await stored({ syncEvery: content.length - 1 })
    const rebooted = await open({ bootId: nextBoot })
    const { durableSize } = (await rebooted.status(uuid))!
    expect([first.length, content.length]).not.toContain(0)
    expect(durableSize).toBeGreaterThanOrEqual(4 * blockSize)
    expect(await rebooted.recover()).toMatchObject({
      settled: [{ uuid, size: durableSize, foundSize: content.length, record: 'other boot' }],
    })
    await expectContent(rebooted, uuid, content.subarray(0, durableSize))
    await rebooted.close()
  })

  test('after a reboot unflushed bytes are gone, though they look fine', async () => {
    const uuid = await stored()
    const rebooted = await open({ bootId: nextBoot })
    expect(await rebooted.status(uuid)).toMatchObject({ size: 0, durableSize: 0 })
    await rebooted.recover()
    await expectContent(rebooted, uuid, Buffer.alloc(0))
    await rebooted.append(uuid, chunks(first), at(0))
    await expectContent(rebooted, uuid, first)
    await rebooted.close()
  })

  test.each([
    [
      'flipped bit',
      async (path: string) =>
        writeFile(
          path,
          (await readFile(path)).map((b, i) => (i === 14 ? b ^ 1 : b)),
        ),
    ],
    ['short', (path: string) => truncate(path, 40)],
    ['empty', (path: string) => truncate(path, 0)],
    ['zeros', (path: string) => writeFile(path, Buffer.alloc(64))],
  ])('a garbled record (%s) claims nothing', async (_what, garble) => {
    const uuid = await stored()
    await garble(dataPaths(dataDir).uploadState(uuid))
    const uploads = await open()
    expect(await uploads.recover()).toMatchObject({ settled: [{ uuid, size: 0, record: 'garbled' }] })
    await uploads.append(uuid, chunks(first), at(0))
    await expectContent(uploads, uuid, first)
    await uploads.close()
  })

  test('a missing record claims nothing, missing data is reported, strays are left alone', async () => {
    const [noRecord, noData] = [await stored(), await stored()]
    const paths = dataPaths(dataDir)
    await rm(paths.uploadState(noRecord))
    await rm(paths.uploadData(noData))
    await writeFile(join(paths.uploads, 'notes.txt'), 'mine')
    const uploads = await open()
    expect(await uploads.recover()).toMatchObject({
      settled: [{ uuid: noRecord, size: 0, record: 'missing' }],
      missing: [noData],
      strays: ['notes.txt'],
    })
    expect((await uploads.list()).map(({ uuid }) => uuid)).toEqual([noRecord])
    await expect(uploads.append(noData, chunks(first), plain)).rejects.toMatchObject({
      code: 'upload_not_found',
    })
    await uploads.remove(noData)
    expect(await uploads.recover()).toMatchObject({ missing: [] })
    await uploads.close()
  })

  test('data shorter than acknowledged is not claimed', async () => {
    const uuid = await stored()
    await truncate(dataPaths(dataDir).uploadData(uuid), 1000)
    const uploads = await open()
    await uploads.recover()
    await expectContent(uploads, uuid, content.subarray(0, 1000))
    await uploads.close()
  })
})

describe('any sequence of events', () => {
  const size = fc.oneof(
    fc.integer({ min: 0, max: 5000 }),
    fc.integer({ min: 0, max: 2 * blockSize }),
    fc.constantFrom(blockSize - 1, blockSize, blockSize + 1, 2 * blockSize),
  )
  const event = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('append' as const),
        size,
        keep: fc.boolean(),
        cut: fc.boolean(),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('truncate' as const),
        part: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constantFrom('restart' as const, 'reboot' as const, 'check' as const) }),
    },
  )
  const events = fc.array(fc.tuple(fc.nat(2), event), { maxLength: 20 })

  test('leaves the bytes, digests and sizes that a plain buffer has', async () => {
    await fc.assert(
      fc.asyncProperty(events, async (sequence) => {
        dataDir = await mkdtemp(join(root, 'run-'))
        let boot = 1
        // Two descriptors and hashes for three uploads: they are dropped and made again all the time.
        const reopen = () =>
          open({ bootId: Buffer.alloc(16, boot), syncEvery: blockSize, maxOpen: 1, maxKnown: 2 })
        let uploads = await reopen()
        const models = Array.from({ length: 3 }, () => ({ uuid: randomUUID(), bytes: Buffer.alloc(0) }))
        for (const { uuid } of models) await uploads.create(uuid)

        for (const [which, step] of sequence) {
          const model = models[which]!
          if (step.do === 'append') {
            const from = (model.bytes.length * 31) % (content.length - step.size)
            const bytes = content.subarray(from, from + step.size)
            const body = pipe()
            body.send(bytes)
            if (step.cut) body.cut()
            else body.finish()
            const how = step.keep ? at(model.bytes.length) : plain
            const outcome = await uploads.append(model.uuid, body.body, how).catch((e) => e.detail.offset)
            if (!step.cut || step.keep) model.bytes = Buffer.concat([model.bytes, bytes])
            expect(step.cut ? outcome : outcome.size).toBe(model.bytes.length)
          } else if (step.do === 'truncate') {
            const to = Math.floor(step.part * model.bytes.length)
            await uploads.truncate(model.uuid, to)
            model.bytes = Buffer.from(model.bytes.subarray(0, to))
          } else if (step.do === 'check') {
            await expectContent(uploads, model.uuid, model.bytes)
          } else {
            await uploads.close()
            if (step.do === 'reboot') boot++
            uploads = await reopen()
            for (const one of models) {
              const { size, durableSize } = (await uploads.status(one.uuid))!
              expect(size).toBe(step.do === 'reboot' ? durableSize : one.bytes.length)
              one.bytes = one.bytes.subarray(0, size)
            }
            await uploads.recover()
          }
        }
        for (const { uuid, bytes } of models) await expectContent(uploads, uuid, bytes)
        for (const { uuid } of models) await uploads.remove(uuid)
        expect(await uploads.list()).toEqual([])
        await uploads.close()
      }),
      { numRuns: 30 },
    )
  })
})
