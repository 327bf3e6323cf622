import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { blockSize } from '@holdfast/api/limits'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type HashPipeline, startHashPipeline } from './hash-pipeline.ts'
import { dataPaths } from './paths.ts'
import { openUploadFiles, type UploadFiles, type UploadFilesOptions } from './upload-files.ts'
import { at, chunks, expectContent, pipe, plain } from './upload-fixture.ts'

let hash: HashPipeline
let dataDir: string
beforeAll(() => {
  hash = startHashPipeline({ workers: 1, slots: 8 })
})
afterAll(async () => {
  await hash.close()
})
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'holdfast-uploads-'))
})
afterEach(async () => {
  // The hash may still be at work on the last ones.
  await vi.waitFor(() => expect(hash.slots.free, 'slots given back').toBe(8), 20_000)
  await rm(dataDir, { recursive: true, force: true })
})

const open = (options: Partial<UploadFilesOptions> = {}): Promise<UploadFiles> =>
  openUploadFiles({
    dataDir,
    hash,
    clock: { now: () => 1_700_000_000_000 },
    freeSpaceReserveBytes: 0,
    stallTimeoutMs: 60,
    ...options,
  })

const big = randomBytes(3 * blockSize + 12_345)

describe('appending', () => {
  test('pieces of all sizes add up', async () => {
    const uploads = await open()
    const uuid = randomUUID()
    await uploads.create(uuid)
    await expectContent(uploads, uuid, Buffer.alloc(0))
    expect(await uploads.append(uuid, chunks(Buffer.alloc(0)), { ...plain, contentLength: 0 })).toEqual({
      size: 0,
    })
    expect(await uploads.append(uuid, chunks(big), { ...plain, contentLength: big.length })).toEqual({
      size: big.length,
    })
    expect(await uploads.append(uuid, chunks(big, 1000), at(big.length))).toEqual({ size: 2 * big.length })
    await expectContent(uploads, uuid, Buffer.concat([big, big]))
    await uploads.close()
  })

  test('many requests of one upload do not take the whole pool while the hash is behind', async () => {
    const pipeline = startHashPipeline({ workers: 1, slots: 32 })
    const uploads = await open({ hash: pipeline })
    const uuid = randomUUID()
    await uploads.create(uuid)
    const block = big.subarray(0, blockSize)
    let mostTaken = 0
    for (let i = 0; i < 100; i++) {
      await uploads.append(uuid, chunks(block, blockSize), plain)
      mostTaken = Math.max(mostTaken, 32 - pipeline.slots.free)
    }
    expect(mostTaken).toBeGreaterThan(1)
    expect(mostTaken).toBeLessThanOrEqual(8)
    await expectContent(uploads, uuid, Buffer.concat(Array(100).fill(block)))
    await uploads.close()
    await pipeline.close()
  })

  test('a cut plain append leaves nothing, a cut conditional one what arrived', async () => {
    const uploads = await open()
    const uuid = randomUUID()
    await uploads.create(uuid)
    await uploads.append(uuid, chunks(big), plain)
    const first = pipe()
    const cutPlain = uploads.append(uuid, first.body, plain)
    first.send(big)
    first.cut()
    await expect(cutPlain).rejects.toMatchObject({ code: 'body_incomplete', detail: { offset: big.length } })
    await expectContent(uploads, uuid, big)
    const second = pipe()
    const cutConditional = uploads.append(uuid, second.body, at(big.length))
    second.send(big)
    second.cut()
    await expect(cutConditional).rejects.toMatchObject({
      code: 'body_incomplete',
      detail: { offset: 2 * big.length },
    })
    await expectContent(uploads, uuid, Buffer.concat([big, big]))
    await uploads.close()
  })

  test('a body of another length than announced is refused', async () => {
    const uploads = await open()
    const uuid = randomUUID()
    await uploads.create(uuid)
    for (const contentLength of [big.length - 1, big.length + 1])
      await expect(uploads.append(uuid, chunks(big), { ...plain, contentLength })).rejects.toMatchObject({
        code: 'body_incomplete',
      })
    await expectContent(uploads, uuid, Buffer.alloc(0))
    await uploads.close()
  })

  test('a wrong offset is answered with the true one and changes nothing', async () => {
    const uploads = await open()
    const uuid = randomUUID()
    await uploads.create(uuid)
    await uploads.append(uuid, chunks(big), plain)
    await expect(uploads.append(uuid, chunks(big), at(5))).rejects.toMatchObject({
      code: 'offset_mismatch',
      detail: { offset: big.length },
    })
    await expectContent(uploads, uuid, big)
    await uploads.close()
  })

  test('too large: known beforehand the body is not touched, else it is rolled back', async () => {
    const uploads = await open()
    const uuid = randomUUID()
    await uploads.create(uuid)
    let touched = false
    const body = {
      [Symbol.asyncIterator]: () => {
        touched = true
        return chunks(big)
      },
    }
    await expect(
      uploads.append(uuid, body, { ...plain, contentLength: big.length, maxSize: 100 }),
    ).rejects.toMatchObject({ code: 'file_too_large' })
    expect(touched).toBe(false)
    const tooLarge = () => new RangeError('mine')
    await expect(uploads.append(uuid, body, { ...plain, maxSize: big.length - 1, tooLarge })).rejects.toThrow(
      'mine',
    )
    expect(touched).toBe(true)
    await expectContent(uploads, uuid, Buffer.alloc(0))
    await uploads.close()
  })

  test('unknown and malformed uuids are not found', async () => {
    const uploads = await open()
    for (const uuid of [randomUUID(), '../../etc/passwd', randomUUID().toUpperCase(), '']) {
      await expect(uploads.append(uuid, chunks(big), plain)).rejects.toMatchObject({
        code: 'upload_not_found',
      })
      await expect(uploads.seal(uuid)).rejects.toMatchObject({ code: 'upload_not_found' })
      expect(await uploads.status(uuid)).toBeUndefined()
      await uploads.remove(uuid)
    }
    await uploads.close()
  })

  test('an aborted signal ends an append whose client is silent', async () => {
    const uploads = await open()
    const uuid = randomUUID()
    await uploads.create(uuid)
    const abort = new AbortController()
    const silent = pipe()
    silent.send(big)
    const append = uploads.append(uuid, silent.body, { ...plain, signal: abort.signal })
    setTimeout(() => abort.abort(new Error('gone')), 20)
    await expect(append).rejects.toMatchObject({ code: 'body_incomplete' })
    await expectContent(uploads, uuid, Buffer.alloc(0))
    await uploads.close()
  })
})

describe('one writer', () => {
  test('a re-sent plain append waits for the first and is applied once it is cut', async () => {
    const uploads = await open({ stallTimeoutMs: 10_000 })
    const uuid = randomUUID()
    await uploads.create(uuid)
    const first = pipe()
    const a = uploads.append(uuid, first.body, plain)
    first.send(big)
    const b = uploads.append(uuid, chunks(big), plain)
    await sleep(20)
    first.cut()
    await expect(a).rejects.toMatchObject({ code: 'body_incomplete' })
    expect(await b).toEqual({ size: big.length })
    await expectContent(uploads, uuid, big)
    await uploads.close()
  })

  test.each([
    ['plain', plain, 0],
    ['conditional', at(0), big.length],
  ] as const)('a stalled %s append loses the upload to one that waits', async (_kind, options, kept) => {
    const uploads = await open()
    const uuid = randomUUID()
    await uploads.create(uuid)
    const silent = pipe()
    silent.send(big)
    const a = uploads.append(uuid, silent.body, options)
    const b = uploads.append(uuid, chunks(big), plain)
    await expect(a).rejects.toMatchObject({ code: 'upload_busy' })
    expect(await b).toEqual({ size: kept + big.length })
    await expectContent(uploads, uuid, Buffer.concat([big.subarray(0, kept), big]))
    await uploads.close()
  })

  test('a conditional append ends the current one and those waiting, and then looks at the offset', async () => {
    const uploads = await open({ stallTimeoutMs: 60_000 })
    const uuid = randomUUID()
    await uploads.create(uuid)
    const silent = pipe()
    silent.send(big)
    const results = Promise.allSettled([
      uploads.append(uuid, silent.body, plain),
      uploads.append(uuid, chunks(big), plain),
      uploads.append(uuid, chunks(big), at(0)),
    ])
    const [a, b, c] = await results
    expect(a).toMatchObject({ reason: { code: 'upload_busy' } })
    expect(b).toMatchObject({ reason: { code: 'upload_busy' } })
    expect(c).toMatchObject({ value: { size: big.length } })
    await expectContent(uploads, uuid, big)
    await uploads.close()
  })

  test('truncate and remove end a silent writer at once', async () => {
    const uploads = await open({ stallTimeoutMs: 60_000 })
    const uuid = randomUUID()
    await uploads.create(uuid)
    await uploads.append(uuid, chunks(big), plain)
    for (const end of [() => uploads.truncate(uuid, 100), () => uploads.remove(uuid)]) {
      const silent = pipe()
      silent.send(big)
      const append = uploads.append(uuid, silent.body, plain)
      const ended = expect(append).rejects.toMatchObject({ code: 'upload_busy' })
      await sleep(10)
      await end()
      await ended
      if ((await uploads.status(uuid)) !== undefined) await expectContent(uploads, uuid, big.subarray(0, 100))
    }
    expect(await readdir(dataPaths(dataDir).uploads)).toEqual([])
    await uploads.close()
  })

  test('more silent senders than slots do not stop the others', async () => {
    const uploads = await open()
    const silent = Array.from({ length: 12 }, () => ({ uuid: randomUUID(), pipe: pipe() }))
    const appends = []
    for (const one of silent) {
      await uploads.create(one.uuid)
      one.pipe.send(big.subarray(0, 1000))
      appends.push(uploads.append(one.uuid, one.pipe.body, plain))
    }
    const uuid = randomUUID()
    await uploads.create(uuid)
    await uploads.append(uuid, chunks(big), plain)
    await expectContent(uploads, uuid, big)
    for (const one of silent) {
      one.pipe.send(big.subarray(1000, 2000))
      one.pipe.finish()
    }
    await Promise.all(appends)
    for (const one of silent) await expectContent(uploads, one.uuid, big.subarray(0, 2000))
    await uploads.close()
  })
})

describe('sealing', () => {
  test('holds the upload still, one after the other, until it is discarded', async () => {
    const uploads = await open()
    const uuid = randomUUID()
    await uploads.create(uuid)
    await uploads.append(uuid, chunks(big), plain)
    const first = await uploads.seal(uuid)
    const second = uploads.seal(uuid)
    const append = uploads.append(uuid, chunks(big), plain)
    const gone = expect(append).rejects.toMatchObject({ code: 'upload_not_found' })
    expect((await stat(first.path)).size).toBe(big.length)
    await first.release()
    await first.discard()
    const sealed = await second
    expect(sealed.sha512).toBe(first.sha512)
    await sealed.discard()
    await gone
    expect(await uploads.list()).toEqual([])
    expect(await readdir(dataPaths(dataDir).uploads)).toEqual([])
    await uploads.close()
  })
})

describe('a request as the body', () => {
  test('survives a refusal, so that it can be answered', async () => {
    const uploads = await open()
    const uuid = randomUUID()
    await uploads.create(uuid)
    const request = new PassThrough()
    request.write(big)
    await expect(uploads.append(uuid, request, { ...plain, maxSize: 1000 })).rejects.toMatchObject({
      code: 'file_too_large',
    })
    await setImmediate()
    expect(request.destroyed).toBe(false)
    // Its owner can drain it: nothing else holds on to it.
    request.resume()
    request.end()
    await once(request, 'end')
    await uploads.close()
  })

  test('that is destroyed is a cut body', async () => {
    const uploads = await open()
    const uuid = randomUUID()
    await uploads.create(uuid)
    const request = new PassThrough()
    const append = uploads.append(uuid, request, at(0))
    request.write(big)
    await setImmediate()
    request.destroy()
    await expect(append).rejects.toMatchObject({ code: 'body_incomplete' })
    const { size } = (await uploads.status(uuid))!
    await expectContent(uploads, uuid, big.subarray(0, size))
    await uploads.close()
  })
})

test('an idle upload is removed, one with newer data or a writer is not', async () => {
  let now = 1000
  const uploads = await open({ clock: { now: () => now } })
  const uuid = randomUUID()
  await uploads.create(uuid)
  now = 2000
  const writer = pipe()
  const append = uploads.append(uuid, writer.body, plain)
  await setImmediate()
  expect(await uploads.removeIdle(uuid, 5000)).toBe(false)
  writer.send(big)
  writer.finish()
  await append
  expect(await uploads.removeIdle(uuid, 1999)).toBe(false)
  await expectContent(uploads, uuid, big)
  expect(await uploads.removeIdle(uuid, 2000)).toBe(true)
  expect(await uploads.removeIdle(uuid, 2000)).toBe(false)
  expect(await readdir(dataPaths(dataDir).uploads)).toEqual([])
  await uploads.close()
})

test('an empty append is no data: it does not put off the expiry', async () => {
  let now = 1_700_000_000_000
  const uploads = await open({ clock: { now: () => now } })
  const uuid = randomUUID()
  await uploads.create(uuid)
  await uploads.append(uuid, chunks(Buffer.from('abc')), { ...plain, contentLength: 3 })
  const lastDataAt = now
  now += 1000
  await uploads.append(uuid, chunks(Buffer.alloc(0)), { ...plain, contentLength: 0 })
  await uploads.append(uuid, chunks(Buffer.alloc(0)), at(3))
  expect(await uploads.status(uuid)).toMatchObject({ size: 3, lastDataAt })
  await uploads.append(uuid, chunks(Buffer.from('d')), at(3))
  expect(await uploads.status(uuid)).toMatchObject({ size: 4, lastDataAt: now })
  await uploads.close()
})
