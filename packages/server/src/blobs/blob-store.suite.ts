import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BlobStore } from './blob-store.ts'

/** A fresh backend for one test. `directory` is empty, and local files to adopt are put beside it. */
export type OpenStore = (directory: string) => Promise<BlobStore>

/** What every backend must do, the unhappy half included. Call it in a test file of the backend's own. */
export const describeBlobStore = (name: string, openStore: OpenStore): void => {
  describe(`blob store: ${name}`, () => {
    let root: string
    let incoming: string
    let store: BlobStore
    const content = randomBytes(100_000)

    beforeEach(async () => {
      root = await mkdtemp(join(tmpdir(), 'holdfast-blobs-'))
      incoming = join(root, 'incoming')
      store = await openStore(root)
    })
    afterEach(async () => {
      // Every test removes what it stored; a store that keeps something behind our back fails here.
      expect(await listed()).toEqual([])
      await rm(root, { recursive: true, force: true })
    })

    const listed = async (): Promise<string[]> => {
      const found = []
      for await (const { uuid } of store.list()) found.push(uuid)
      return found.sort()
    }
    const adopted = async (bytes: Uint8Array = content): Promise<string> => {
      const uuid = randomUUID()
      await writeFile(incoming, bytes)
      await store.adopt(uuid, incoming)
      return uuid
    }
    const exists = async (file: string): Promise<boolean> => (await readdir(root)).includes(file)

    test('adopts a file and reads it from anywhere', async () => {
      const uuid = await adopted()
      expect(await exists('incoming')).toBe(false)
      expect(await store.stat(uuid)).toMatchObject({ uuid, size: content.length })
      expect((await store.stat(uuid))!.modifiedAt).toBeGreaterThan(0)
      const reader = await store.open(uuid)
      expect(reader).toMatchObject({ uuid, size: content.length })
      for (const [position, length] of [
        [0, content.length],
        [12_345, 1000],
        [content.length - 1, 1],
      ] as const) {
        const target = Buffer.alloc(length)
        expect(await reader.read(target, position)).toBe(length)
        expect(target.equals(content.subarray(position, position + length))).toBe(true)
      }
      await reader.close()
      await reader.close()
      await store.remove(uuid)
    })

    test('reads up to the end and nothing past it', async () => {
      const uuid = await adopted()
      const reader = await store.open(uuid)
      const target = Buffer.alloc(100)
      expect(await reader.read(target, content.length - 60)).toBe(60)
      expect(target.subarray(0, 60).equals(content.subarray(-60))).toBe(true)
      expect(await reader.read(target, content.length)).toBe(0)
      expect(await reader.read(target, content.length + 1000)).toBe(0)
      await reader.close()
      await store.remove(uuid)
    })

    test('stores an empty blob', async () => {
      const uuid = await adopted(Buffer.alloc(0))
      expect(await store.stat(uuid)).toMatchObject({ size: 0 })
      await store.remove(uuid)
    })

    test('serves several reads of one reader at once', async () => {
      const uuid = await adopted()
      const reader = await store.open(uuid)
      await Promise.all(
        Array.from({ length: 20 }, async (_, i) => {
          const target = Buffer.alloc(5000)
          await reader.read(target, i * 5000)
          expect(target.equals(content.subarray(i * 5000, (i + 1) * 5000))).toBe(true)
        }),
      )
      await reader.close()
      await store.remove(uuid)
    })

    test('adopting again after success does nothing', async () => {
      const uuid = await adopted()
      await store.adopt(uuid, incoming)
      expect(await store.stat(uuid)).toMatchObject({ size: content.length })
      await store.remove(uuid)
    })

    test('never overwrites a blob', async () => {
      const uuid = await adopted()
      await writeFile(incoming, 'other')
      await expect(store.adopt(uuid, incoming)).rejects.toMatchObject({ code: 'EEXIST' })
      expect(await readFile(incoming, 'utf8')).toBe('other')
      expect(await store.stat(uuid)).toMatchObject({ size: content.length })
      await store.remove(uuid)
    })

    test('adopting what is not there fails and leaves nothing', async () => {
      await expect(store.adopt(randomUUID(), incoming)).rejects.toMatchObject({ code: 'ENOENT' })
    })

    test('gives a blob back, and again without effect', async () => {
      const uuid = await adopted()
      await store.giveBack(uuid, incoming)
      await store.giveBack(uuid, incoming)
      expect((await readFile(incoming)).equals(content)).toBe(true)
      expect(await store.stat(uuid)).toBeUndefined()
      await store.adopt(uuid, incoming)
      await writeFile(incoming, 'in the way')
      await expect(store.giveBack(uuid, incoming)).rejects.toMatchObject({ code: 'EEXIST' })
      expect(await store.stat(uuid)).toMatchObject({ size: content.length })
      await store.remove(uuid)
      await rm(incoming)
      await expect(store.giveBack(uuid, incoming)).rejects.toMatchObject({ code: 'ENOENT' })
    })

    test('a missing blob: no facts, damaged when opened, removed and quarantined without complaint', async () => {
      const uuid = randomUUID()
      expect(await store.stat(uuid)).toBeUndefined()
      await expect(store.open(uuid)).rejects.toMatchObject({ code: 'blob_damaged' })
      await store.remove(uuid)
      await store.quarantine(uuid)
    })

    test('remove takes it away, and again without effect', async () => {
      const uuid = await adopted()
      await store.remove(uuid)
      await store.remove(uuid)
      expect(await store.stat(uuid)).toBeUndefined()
      await expect(store.open(uuid)).rejects.toMatchObject({ code: 'blob_damaged' })
    })

    test('a quarantined blob is gone for everybody, and its UUID can be used again, twice', async () => {
      const uuid = await adopted()
      for (let round = 0; round < 2; round++) {
        await store.quarantine(uuid)
        expect(await store.stat(uuid)).toBeUndefined()
        await expect(store.open(uuid)).rejects.toMatchObject({ code: 'blob_damaged' })
        await writeFile(incoming, content)
        await store.adopt(uuid, incoming)
        expect(await store.stat(uuid)).toMatchObject({ size: content.length })
      }
      await store.remove(uuid)
    })

    test('what was quarantined can be restored, dropped, and goes with the blob', async () => {
      const uuid = await adopted()
      await store.restore(uuid)
      await store.quarantine(uuid)
      await store.restore(uuid)
      await store.restore(uuid)
      expect(await store.stat(uuid)).toMatchObject({ size: content.length })
      await store.quarantine(uuid)
      await writeFile(incoming, 'other')
      await store.adopt(uuid, incoming)
      await store.restore(uuid)
      expect(await store.stat(uuid)).toMatchObject({ size: 5 })
      await store.dropQuarantined(uuid)
      await store.dropQuarantined(uuid)
      await store.remove(uuid)
      await store.restore(uuid)
      expect(await store.stat(uuid)).toBeUndefined()
      await writeFile(incoming, content)
      await store.adopt(uuid, incoming)
      await store.quarantine(uuid)
      await store.remove(uuid)
      await store.restore(uuid)
      expect(await store.stat(uuid)).toBeUndefined()
    })

    test('tells what was set aside', async () => {
      const uuid = await adopted()
      const aside = async () => {
        const found = []
        for await (const facts of store.listQuarantined()) found.push(facts)
        return found
      }
      expect(await store.statQuarantined(uuid)).toBeUndefined()
      await store.quarantine(uuid)
      expect(await store.statQuarantined(uuid)).toMatchObject({ uuid, size: content.length })
      expect(await aside()).toMatchObject([{ uuid, size: content.length }])
      const reader = await store.openQuarantined(uuid)
      const target = Buffer.alloc(content.length)
      expect(await reader.read(target, 0)).toBe(content.length)
      expect(target.equals(content)).toBe(true)
      await reader.close()
      await store.dropQuarantined(uuid)
      expect(await store.statQuarantined(uuid)).toBeUndefined()
      expect(await aside()).toEqual([])
      await expect(store.openQuarantined(uuid)).rejects.toMatchObject({ code: 'blob_damaged' })
    })

    test('lists what is there', async () => {
      const uuids = [await adopted(), await adopted(Buffer.from('x')), await adopted(Buffer.alloc(0))].sort()
      expect(await listed()).toEqual(uuids)
      for (const uuid of uuids) await store.remove(uuid)
    })

    test.each(['../../etc/passwd', '', 'blob', randomUUID().toUpperCase(), `${randomUUID()}/x`])(
      'refuses %j as a name',
      async (name) => {
        await writeFile(incoming, content)
        await expect(store.adopt(name, incoming)).rejects.toThrow(RangeError)
        await expect(store.giveBack(name, join(root, 'back'))).rejects.toThrow(RangeError)
        await expect(store.stat(name)).rejects.toThrow(RangeError)
        await expect(store.open(name)).rejects.toThrow(RangeError)
        await expect(store.remove(name)).rejects.toThrow(RangeError)
        await expect(store.quarantine(name)).rejects.toThrow(RangeError)
        await expect(store.restore(name)).rejects.toThrow(RangeError)
        await expect(store.dropQuarantined(name)).rejects.toThrow(RangeError)
        await expect(store.statQuarantined(name)).rejects.toThrow(RangeError)
        await expect(store.openQuarantined(name)).rejects.toThrow(RangeError)
      },
    )
  })
}
