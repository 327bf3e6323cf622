import { randomBytes } from 'node:crypto'
import { access, open, readFile, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { openDiskStore } from '../../blobs/disk-store.ts'
import { realFiles } from '../../blobs/files.ts'
import type { Row } from '../../db/schema.ts'
import { createTestParts, embedded, type TestParts } from '../../test-parts.ts'
import { blobPath, blobRow, storeBlob } from '../blob-fixture.ts'
import { quarantineMessage } from '../quarantine.ts'
import { digestBlobs } from './digest-blobs.ts'
import { oldestVerification, verifyAll, verifyBlobs } from './verify-blobs.ts'

const MiB = 1024 * 1024
const GiB = 1024 * MiB
const never = new AbortController().signal
const nothing = { verified: 0, damaged: 0, healed: 0, failed: 0 }

afterEach(() => {
  vi.useRealTimers()
})

/** Blobs as they are after their first verification, one millisecond apart. */
const storeVerified = async (parts: TestParts, ...contents: Uint8Array[]): Promise<Row<'blobs'>[]> => {
  const rows: Row<'blobs'>[] = []
  for (const bytes of contents) {
    rows.push(await storeBlob(parts, bytes))
    await digestBlobs(parts, never)
    parts.clock.advance(0.001)
  }
  return rows
}

const readBytes = async (parts: TestParts): Promise<number> =>
  (await parts.metrics.verifiedBytes.get()).values[0]!.value

const damagedBlobs = async (parts: TestParts): Promise<number> =>
  (await parts.metrics.damagedBlobs.get()).values[0]!.value

const flipBit = async (path: string): Promise<void> => {
  const file = await open(path, 'r+')
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, 0)
  byte[0]! ^= 1
  await file.write(byte, 0, 1, 0)
  await file.close()
}

test('every blob is read again once in an interval, the one that has waited longest first', async () => {
  await using parts = await createTestParts({ verifyInterval: 100, verifyRate: 0 })
  const start = parts.clock.now()
  const [first, second] = await storeVerified(parts, Buffer.from('first'), Buffer.from('second'))
  expect((await blobRow(parts, first!.uuid)).verified_at).toBe(start)
  parts.clock.advance(99.997)
  expect(await verifyBlobs(parts, never)).toEqual(nothing)
  parts.clock.advance(0.001)
  const now = parts.clock.now()
  expect(now).toBe(start + 100_000)
  expect(await verifyBlobs(parts, never)).toEqual({ ...nothing, verified: 1 })
  expect((await blobRow(parts, first!.uuid)).verified_at).toBe(now)
  expect((await blobRow(parts, second!.uuid)).verified_at).toBe(start + 1)
  expect(await oldestVerification(parts)).toBe(start + 1)
  expect((await parts.metrics.oldestVerification.get()).values[0]!.value).toBe((start + 1) / 1000)
  parts.clock.advance(1000)
  expect(await verifyBlobs(parts, never)).toEqual({ ...nothing, verified: 2 })
  expect(await verifyBlobs(parts, never)).toEqual(nothing)
})

test('an interval of 0 is a schedule of never, but for those who ask', async () => {
  await using parts = await createTestParts({ verifyInterval: 0, verifyRate: 0 })
  await storeVerified(parts, Buffer.from('a'), Buffer.from('b'))
  parts.clock.advance(1e6)
  expect(await verifyBlobs(parts, never)).toEqual(nothing)
  await verifyAll(parts)
  expect(await verifyBlobs(parts, never)).toEqual({ ...nothing, verified: 2 })
  expect(await verifyBlobs(parts, never)).toEqual(nothing)
})

test('no more is read in a second than the rate allows', async () => {
  await using parts = await createTestParts({ verifyInterval: 1, verifyRate: MiB }, embedded)
  await storeVerified(parts, randomBytes(2 * MiB), Buffer.from('small'))
  parts.clock.advance(10)
  const before = await readBytes(parts)
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  const running = verifyBlobs(parts, never)
  /** Lets everything go on that does not wait for time to pass; then somebody must. */
  const untilWaiting = async () => {
    do await new Promise(setImmediate)
    while (vi.getTimerCount() === 0)
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
    return (await readBytes(parts)) - before
  }
  expect(await untilWaiting()).toBe(MiB)
  vi.advanceTimersByTime(999)
  expect(await untilWaiting()).toBe(MiB)
  vi.advanceTimersByTime(1)
  expect(await untilWaiting()).toBe(2 * MiB)
  // What has been read is paid for before the next blob is begun.
  vi.advanceTimersByTime(999)
  expect(await untilWaiting()).toBe(2 * MiB)
  vi.advanceTimersByTime(1)
  expect(await untilWaiting()).toBe(2 * MiB + 5)
  vi.advanceTimersByTime(1)
  expect(await running).toEqual({ ...nothing, verified: 2 })
})

test('a run that is stopped is gone on with: what was read is not read again', async () => {
  await using parts = await createTestParts({ verifyInterval: 100, verifyRate: 0 })
  await storeVerified(parts, ...[1, 2, 3, 4].map((size) => randomBytes(size * MiB)))
  parts.clock.advance(1000)
  const before = await readBytes(parts)
  const stop = new AbortController()
  const running = verifyBlobs(parts, stop.signal)
  // In the middle of the third.
  while ((await readBytes(parts)) - before < 4 * MiB) await new Promise(setImmediate)
  stop.abort()
  const { verified } = await running
  expect(verified).toBeLessThan(4)
  const between = await readBytes(parts)
  expect(await verifyBlobs(parts, never)).toEqual({ ...nothing, verified: 4 - verified! })
  // Only the one that was under way began anew.
  expect((await readBytes(parts)) - between).toBe([10, 9, 7, 4][verified!]! * MiB)
})

test('a large blob that never comes to its end does not keep the others from their turn', async () => {
  await using parts = await createTestParts({ verifyInterval: 100, verifyRate: MiB })
  const large = await storeBlob(parts, Buffer.from('large'), { size: GiB, verified_at: 1 })
  await truncate(blobPath(parts, large.uuid), GiB)
  const small = await storeBlob(parts, Buffer.from('small'), { verified_at: 2 })
  const interrupt = async () => {
    const stop = new AbortController()
    const running = verifyBlobs(parts, stop.signal)
    const before = await readBytes(parts)
    while ((await readBytes(parts)) - before < MiB) await new Promise((resolve) => setTimeout(resolve, 1))
    stop.abort()
    return running
  }
  expect(await interrupt()).toEqual(nothing)
  expect((await blobRow(parts, small.uuid)).verified_at).toBe(2)
  expect(await interrupt()).toEqual({ ...nothing, verified: 1 })
  expect((await blobRow(parts, small.uuid)).verified_at).toBe(parts.clock.now())
  expect((await blobRow(parts, large.uuid)).verified_at).toBe(1)
})

test.each([
  ['rotten', flipBit, 'its file has another sha512'],
  ['too short', (path: string) => truncate(path, 3), 'its file has 3 bytes instead of 4'],
  ['missing', (path: string) => rm(path), 'its file is missing or cannot be read'],
])(
  'a %s blob is put in quarantine, told of, and read again only when somebody asks',
  async (_, harm, why) => {
    await using parts = await createTestParts({ verifyInterval: 100, verifyRate: 0 })
    const [blob, good] = await storeVerified(parts, Buffer.from('harm'), Buffer.from('good'))
    const { uuid } = blob!
    const path = blobPath(parts, uuid)
    await harm(path)
    parts.clock.advance(1000)
    expect(await verifyBlobs(parts, never)).toEqual({ ...nothing, verified: 1, damaged: 1 })
    expect((await blobRow(parts, uuid)).state).toBe('quarantined')
    expect((await blobRow(parts, good!.uuid)).state).toBe('created')
    expect(await damagedBlobs(parts)).toBe(1)
    const [event] = await parts.db.read
      .selectFrom('events')
      .select(['message', 'type', 'extra'])
      .where('object_uuid', '=', uuid)
      .execute()
    expect(event).toEqual({
      type: 'status',
      message: quarantineMessage,
      extra: JSON.stringify({ reason: why }),
    })
    // Its bytes are not where they could be taken for a blob.
    await expect(access(path)).rejects.toThrow('ENOENT')

    parts.clock.advance(1000)
    expect(await verifyBlobs(parts, never)).toEqual({ ...nothing, verified: 1 })
    parts.clock.advance(1)
    await verifyAll(parts)
    expect(await verifyBlobs(parts, never)).toEqual({ ...nothing, verified: 1, damaged: 1 })
  },
)

test('a blob in quarantine whose bytes are right again leaves it when somebody asks', async () => {
  await using parts = await createTestParts({ verifyInterval: 100, verifyRate: 0 })
  const [blob] = await storeVerified(parts, Buffer.from('comes back'))
  const path = blobPath(parts, blob!.uuid)
  await flipBit(path)
  parts.clock.advance(1000)
  await verifyBlobs(parts, never)
  await flipBit(join(parts.config.dataDir, 'quarantine', blob!.uuid))
  parts.clock.advance(1)
  await verifyAll(parts)
  expect(await verifyBlobs(parts, never)).toEqual({ ...nothing, healed: 1 })
  expect((await blobRow(parts, blob!.uuid)).state).toBe('created')
  expect(await damagedBlobs(parts)).toBe(0)
  await access(path)
})

test('a file with wrong permissions is damage, and none any more when they are right and somebody asks', async () => {
  await using parts = await createTestParts({ verifyInterval: 100, verifyRate: 0 })
  const [blob] = await storeVerified(parts, Buffer.from('under lock and key'))
  const { uuid } = blob!
  // Permissions do not bind the administrator, as whom the tests may run.
  const open = () => Promise.reject(Object.assign(new Error('EACCES'), { code: 'EACCES' }))
  const locked = { ...parts, blobs: await openDiskStore(parts.config.dataDir, { ...realFiles, open }) }
  parts.clock.advance(1000)
  expect(await verifyBlobs(locked, never)).toEqual({ ...nothing, damaged: 1 })
  expect((await blobRow(parts, uuid)).state).toBe('quarantined')
  // Asking does not help as long as they are wrong, and harms nothing.
  parts.clock.advance(1)
  await verifyAll(parts)
  expect(await verifyBlobs(locked, never)).toEqual({ ...nothing, damaged: 1 })
  parts.clock.advance(1)
  await verifyAll(parts)
  expect(await verifyBlobs(parts, never)).toEqual({ ...nothing, healed: 1 })
  expect((await blobRow(parts, uuid)).state).toBe('created')
  expect(await readFile(blobPath(parts, uuid), 'utf8')).toBe('under lock and key')
})

test('a blob without block checksums gets them, wrong ones are replaced', async () => {
  await using parts = await createTestParts({ verifyInterval: 100, verifyRate: 0 })
  const [without, wrong] = await storeVerified(parts, randomBytes(1.5 * MiB), randomBytes(2.5 * MiB))
  const sums = async () =>
    (await parts.db.read.selectFrom('blob_blocks').selectAll().orderBy('blob_uuid').execute()).map((row) => [
      row.blob_uuid,
      Buffer.from(row.sums).toString('hex'),
    ])
  const right = await sums()
  expect(right.map(([, text]) => text!.length).sort()).toEqual([16, 24])
  await parts.db.write(async (trx) => {
    await trx.deleteFrom('blob_blocks').where('blob_uuid', '=', without!.uuid).execute()
    await trx
      .updateTable('blob_blocks')
      .set({ sums: new Uint8Array(12) })
      .where('blob_uuid', '=', wrong!.uuid)
      .execute()
  })
  parts.clock.advance(1000)
  expect(await verifyBlobs(parts, never)).toEqual({ ...nothing, verified: 2 })
  expect(await sums()).toEqual(right)
})
