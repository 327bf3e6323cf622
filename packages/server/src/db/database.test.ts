import { isHoldfastError } from '@holdfast/api/errors'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ConstraintError, type Database, deleted, isUniqueViolation } from './database.ts'
import { artifactRow, blobRow, dialects, namespaceRow, type TestDatabase } from './test-dialects.ts'

describe.each(dialects)('a database on $name', (dialect) => {
  let store: TestDatabase
  let db: Database

  beforeEach(async () => {
    store = await dialect.create()
    db = store.db
    await db.write((trx) =>
      trx
        .insertInto('namespaces')
        .values([namespaceRow('system'), namespaceRow('a')])
        .execute(),
    )
  })
  afterEach(() => store[Symbol.asyncDispose]())

  const names = async () =>
    (await db.read.selectFrom('settings').select('name').orderBy('name').execute()).map((row) => row.name)
  const setting = (name: string) =>
    db.write((trx) => trx.insertInto('settings').values({ name, value: '' }).execute())

  describe('transactions', () => {
    it('shows a write to reads once its promise has resolved, and not before', async () => {
      await db.write(async (trx) => {
        await trx.insertInto('settings').values({ name: 'x', value: '1' }).execute()
        expect(await trx.selectFrom('settings').select('value').execute()).toEqual([{ value: '1' }])
        expect(await names()).toEqual([])
      })
      expect(await names()).toEqual(['x'])
    })

    it('returns what the work returns', async () => {
      expect(await db.write(async () => 42)).toBe(42)
    })

    it('undoes everything when the work throws, and goes on with the next', async () => {
      const failure = new Error('changed my mind')
      const failed = db.write(async (trx) => {
        await trx.insertInto('settings').values({ name: 'x', value: '1' }).execute()
        throw failure
      })
      await expect(failed).rejects.toBe(failure)
      await setting('y')
      expect(await names()).toEqual(['y'])
    })

    const itWhenSerial = dialect.isSerial ? it : () => {}
    itWhenSerial('runs one at a time, in the order of the calls', async () => {
      const log: string[] = []
      const write = (name: string, queries: number) =>
        db.write(async (trx) => {
          log.push(`${name} begins`)
          for (let i = 0; i < queries; i++) await sql`SELECT 1`.execute(trx)
          log.push(`${name} ends`)
        })
      await Promise.all([write('long', 20), write('short', 1), write('middle', 5)])
      expect(log).toEqual([
        'long begins',
        'long ends',
        'short begins',
        'short ends',
        'middle begins',
        'middle ends',
      ])
    })

    it('gives each a base that no other changes', async () => {
      await db.write((trx) => trx.insertInto('settings').values({ name: 'count', value: '0' }).execute())
      const increment = () =>
        db.write(async (trx) => {
          const row = await trx.selectFrom('settings').selectAll().executeTakeFirstOrThrow()
          await trx
            .updateTable('settings')
            .set({ value: String(Number(row.value) + 1) })
            .execute()
        })
      await Promise.all(Array.from({ length: 25 }, increment))
      expect(await db.read.selectFrom('settings').select('value').execute()).toEqual([{ value: '25' }])
    })

    it('refuses a write inside a write instead of waiting for ever', async () => {
      const nested = db.write(() => setting('inner'))
      await expect(nested).rejects.toThrow('inside the work of another write')
      await setting('later')
      expect(await names()).toEqual(['later'])
    })

    it('refuses queries of a transaction that has ended', async () => {
      const escaped = await db.write(async (trx) => ({ trx }))
      const late = escaped.trx.insertInto('settings').values({ name: 'late', value: '' }).execute()
      await expect(late).rejects.toThrow()
      expect(await names()).toEqual([])
    })

    it('keeps queries that nobody waited for out of the next transaction', async () => {
      let outcome: Promise<PromiseSettledResult<unknown>[]> | undefined
      const first = db.write(async (trx) => {
        const insert = (name: string) => trx.insertInto('settings').values({ name, value: '' }).execute()
        outcome = Promise.allSettled(Array.from({ length: 20 }, (_, i) => insert(`forgotten-${i}`)))
        throw new Error('undo')
      })
      const second = db.write(async (trx) => {
        await trx.insertInto('settings').values({ name: 'mine', value: '' }).execute()
        await outcome
      })
      await expect(first).rejects.toThrow('undo')
      await second
      const outcomes = await outcome!
      expect(outcomes.at(-1)?.status).toBe('rejected')
      expect(await names()).toEqual(['mine'])
    })

    it('refuses to write or to begin a transaction through read', async () => {
      await expect(
        db.read.insertInto('settings').values({ name: 'x', value: '' }).execute(),
      ).rejects.toThrow()
      await expect(db.read.transaction().execute(async () => {})).rejects.toThrow('Database.write')
      expect(await names()).toEqual([])
    })

    it('survives a reopen, and refuses writes after a close', async () => {
      await setting('kept')
      const old = db
      await store.reopen()
      db = store.db
      expect(await names()).toEqual(['kept'])
      await expect(old.write(async () => {})).rejects.toSatisfy((e) => isHoldfastError(e, 'unavailable'))
      await expect(old.read.selectFrom('settings').selectAll().execute()).rejects.toThrow()
    })

    it('finishes on close what was asked for before it', async () => {
      const pending = [setting('one'), setting('two')]
      await store.reopen()
      db = store.db
      await Promise.all(pending)
      expect(await names()).toEqual(['one', 'two'])
    })
  })

  describe('values', () => {
    it('gives integers up to 2^53 as numbers, bytes as Uint8Array, and absent ones as null', async () => {
      const size = Number.MAX_SAFE_INTEGER
      const sums = Buffer.from([0, 1, 254, 255, 7]).subarray(1, 4)
      await db.write(async (trx) => {
        await trx.insertInto('blobs').values(blobRow('b', { size })).execute()
        await trx.insertInto('blob_blocks').values({ blob_uuid: 'b', block_size: 4, sums }).execute()
      })
      for (const through of ['read', 'write'] as const) {
        const read = (from: Database['read']) =>
          from
            .selectFrom('blobs')
            .innerJoin('blob_blocks', 'blob_uuid', 'uuid')
            .select(['size', 'sums', 'verified_at'])
            .executeTakeFirstOrThrow()
        const row = through === 'write' ? await db.write(read) : await read(db.read)
        expect(row.size).toBe(size)
        expect(row.verified_at).toBeNull()
        expect(row.sums).toBeInstanceOf(Uint8Array)
        expect([...row.sums]).toEqual([1, 254, 255])
      }
    })

    it('reports changed rows and returned rows', async () => {
      const result = await db.write(async (trx) => ({
        updated: await trx.updateTable('namespaces').set({ epoch: 'new' }).executeTakeFirst(),
        returned: await trx
          .deleteFrom('namespaces')
          .where('name', '=', 'a')
          .returning(['name', 'epoch'])
          .execute(),
      }))
      expect(result.updated.numUpdatedRows).toBe(2n)
      expect(result.returned).toEqual([{ name: 'a', epoch: 'new' }])
    })

    it('numbers events upwards and never uses a number twice', async () => {
      const add = (message: string) =>
        db.write((trx) =>
          trx
            .insertInto('events')
            .values({
              object_type: 'artifact',
              object_uuid: 'x',
              namespace: 'a',
              type: 'audit',
              at: 1,
              node: 'n',
              duration: 0.25,
              message,
              extra: '{}',
            })
            .returning(['id', 'duration'])
            .executeTakeFirstOrThrow(),
        )
      const first = await add('one')
      await db.write((trx) => trx.deleteFrom('events').execute())
      const second = await add('two')
      expect(second.id).toBeGreaterThan(first.id)
      expect(second.duration).toBe(0.25)
    })
  })

  describe('constraints', () => {
    const kindOf = async (work: Parameters<Database['write']>[0]) => {
      const error = await db.write(work).catch((e: unknown) => e)
      expect(error).toBeInstanceOf(ConstraintError)
      return (error as ConstraintError).kind
    }

    it('hold one live artifact an identity, and let a deleted one be followed', async () => {
      await db.write((trx) => trx.insertInto('artifacts').values(artifactRow('1', 'a')).execute())
      expect(await kindOf((trx) => trx.insertInto('artifacts').values(artifactRow('2', 'a')).execute())).toBe(
        'unique',
      )
      await db.write(async (trx) => {
        await trx.updateTable('artifacts').set({ state: 'deleted', deleted_at: 5 }).execute()
        await trx.insertInto('artifacts').values(artifactRow('2', 'a')).execute()
        await trx
          .insertInto('artifacts')
          .values(artifactRow('3', 'a', { type: 'other' }))
          .execute()
        await trx
          .insertInto('artifacts')
          .values(artifactRow('4', 'a', { source_url: 'sf://else' }))
          .execute()
        await trx.insertInto('artifacts').values(artifactRow('5', 'system')).execute()
      })
      expect(await db.read.selectFrom('artifacts').select('uuid').execute()).toHaveLength(5)
    })

    it('hold one blob a SHA-512 among those not deleted, quarantined ones included', async () => {
      const again = blobRow('2', { sha512: 'same' })
      await db.write((trx) =>
        trx
          .insertInto('blobs')
          .values(blobRow('1', { sha512: 'same' }))
          .execute(),
      )
      expect(await kindOf((trx) => trx.insertInto('blobs').values(again).execute())).toBe('unique')
      await db.write((trx) => trx.updateTable('blobs').set({ state: 'quarantined' }).execute())
      expect(await kindOf((trx) => trx.insertInto('blobs').values(again).execute())).toBe('unique')
      await db.write(async (trx) => {
        await trx.updateTable('blobs').set({ state: 'deleted', deleted_at: 5 }).execute()
        await trx.insertInto('blobs').values(again).execute()
      })
    })

    it('serve onConflict on the partial indexes', async () => {
      const insert = (uuid: string) =>
        db.write((trx) =>
          trx
            .insertInto('blobs')
            .values(blobRow(uuid, { sha512: 'same' }))
            .onConflict((c) => c.column('sha512').where('state', '<>', deleted).doNothing())
            .returning('uuid')
            .executeTakeFirst(),
        )
      expect(await insert('1')).toEqual({ uuid: '1' })
      expect(await insert('2')).toBeUndefined()
    })

    it('keep a blob while a version names it', async () => {
      await db.write(async (trx) => {
        await trx.insertInto('blobs').values(blobRow('b')).execute()
        await trx.insertInto('artifacts').values(artifactRow('1', 'a')).execute()
        await trx
          .insertInto('versions')
          .values({ artifact_uuid: '1', idx: 1, blob_uuid: 'b', live: 0, created_at: 1 })
          .execute()
      })
      expect(await kindOf((trx) => trx.deleteFrom('blobs').execute())).toBe('foreign_key')
    })

    it('take checksums and leases away with a blob', async () => {
      await db.write(async (trx) => {
        await trx.insertInto('blobs').values(blobRow('b')).execute()
        await trx
          .insertInto('blob_blocks')
          .values({ blob_uuid: 'b', block_size: 1, sums: new Uint8Array(4) })
          .execute()
        await trx.insertInto('leases').values({ blob_uuid: 'b', namespace: 'a', expires_at: 1 }).execute()
        await trx.deleteFrom('blobs').execute()
      })
      expect(await db.read.selectFrom('blob_blocks').selectAll().execute()).toEqual([])
      expect(await db.read.selectFrom('leases').selectAll().execute()).toEqual([])
    })

    const refused: [string, string, Parameters<Database['write']>[0]][] = [
      [
        'a version of no blob',
        'foreign_key',
        async (trx) => {
          await trx.insertInto('artifacts').values(artifactRow('1', 'a')).execute()
          await trx
            .insertInto('versions')
            .values({ artifact_uuid: '1', idx: 1, blob_uuid: 'nothing', live: 1, created_at: 1 })
            .execute()
        },
      ],
      [
        'an artifact of no namespace',
        'foreign_key',
        (trx) => trx.insertInto('artifacts').values(artifactRow('1', 'nobody')).execute(),
      ],
      [
        'an unknown type',
        'check',
        (trx) =>
          trx
            .insertInto('artifacts')
            .values(artifactRow('1', 'a', { type: 'tape' as 'image' }))
            .execute(),
      ],
      [
        'an unknown state',
        'check',
        (trx) =>
          trx
            .insertInto('blobs')
            .values(blobRow('1', { state: 'lost' as 'created' }))
            .execute(),
      ],
      [
        'a deletion without its time',
        'check',
        (trx) => trx.updateTable('namespaces').set({ state: 'deleted' }).execute(),
      ],
      [
        'a negative size',
        'check',
        (trx) =>
          trx
            .insertInto('blobs')
            .values(blobRow('1', { size: -1 }))
            .execute(),
      ],
      [
        'half of the later digests',
        'check',
        (trx) =>
          trx
            .insertInto('blobs')
            .values(blobRow('1', { sha256: 'only' }))
            .execute(),
      ],
      [
        'blob metadata of no namespace',
        'check',
        (trx) =>
          trx
            .insertInto('metadata')
            .values({ object_type: 'blob', object_uuid: '1', namespace: '', key: 'k', value: '1' })
            .execute(),
      ],
      [
        'a missing value',
        'not_null',
        (trx) =>
          trx
            .updateTable('namespaces')
            .set({ epoch: null as unknown as string })
            .execute(),
      ],
      [
        'a second namespace of one name',
        'unique',
        (trx) => trx.insertInto('namespaces').values(namespaceRow('a')).execute(),
      ],
    ]
    it.each(refused)('refuse %s (%s)', async (_what, kind, work) => {
      expect(await kindOf(work)).toBe(kind)
    })

    it('undo the transaction, and leave the database usable', async () => {
      const violation = db.write(async (trx) => {
        await trx.insertInto('settings').values({ name: 'before', value: '' }).execute()
        await trx.insertInto('namespaces').values(namespaceRow('a')).execute()
      })
      await expect(violation).rejects.toSatisfy(isUniqueViolation)
      await setting('after')
      expect(await names()).toEqual(['after'])
    })
  })
})
