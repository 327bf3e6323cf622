import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { dataPaths } from '../../blobs/paths.ts'
import { type Config, parseConfig } from '../../config.ts'
import { createPostgresDatabase, postgresUrl } from '../../db/test-dialects.ts'
import { blobRow, makeNamespaces, refer, storeBlob } from '../../domain/blob-fixture.ts'
import { quarantineBlob } from '../../domain/quarantine.ts'
import { append, upload } from '../../domain/upload-fixture.ts'
import { createUpload } from '../../domain/uploads.ts'
import type { Parts } from '../../parts.ts'
import { openParts } from '../../start.ts'
import { callerOf } from '../../test-parts.ts'
import { awkwardRows, insertAwkwardRows } from './awkward-rows.ts'
import { digestOfTable } from './compare-tables.ts'
import { refuseMovedStore } from './marks.ts'
import { type MigrateOptions, migrateStore, reopenStore } from './migrate-store.ts'
import { type Progress, silentProgress } from './progress.ts'
import { tableNames } from './tables.ts'

const log = pino({ level: 'silent' })
const alice = callerOf('alice')
let root: string
const drops: (() => Promise<void>)[] = []
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'holdfast-migrate-'))
})
afterEach(async () => {
  for (const drop of drops.splice(0)) await drop()
  await rm(root, { recursive: true })
})

const embedded = (name: string): Config => ({
  ...parseConfig({}),
  nodeName: 'node-1',
  dataDir: join(root, name),
  freeSpaceReserve: 0,
})
/** Where a store can be moved to, and by how much later it is stopped each time. */
const places = [
  { name: 'SQLite', step: 3, make: async () => embedded('new') },
  ...(postgresUrl
    ? [
        {
          name: 'PostgreSQL',
          step: 8,
          make: async (): Promise<Config> => {
            const { url, drop } = await createPostgresDatabase(postgresUrl!)
            drops.push(drop)
            return { ...embedded('new'), databaseUrl: url }
          },
        },
      ]
    : []),
]

/** Works with a store as long as it is open, whatever its mark. */
const withStore = async <T>(config: Config, work: (parts: Parts) => Promise<T>): Promise<T> => {
  const releases: (() => unknown)[] = []
  try {
    return await work(await openParts(config, log, releases, { isMigrating: true }))
  } finally {
    for (const release of releases.reverse()) await release()
  }
}
const migrate = (from: Config, to: Config, more: Partial<MigrateOptions> = {}) =>
  migrateStore({
    from,
    to,
    allowDamage: false,
    dropUploads: false,
    signal: new AbortController().signal,
    log,
    progress: silentProgress,
    ...more,
  })
/** Of every table; without what a migration itself writes. */
const digests = (config: Config) =>
  withStore(config, async ({ db }) => {
    await db.write(async (trx) => {
      await trx.deleteFrom('events').where('message', '=', 'moved here by a migration').execute()
      await trx.deleteFrom('settings').where('name', '=', 'verification-asked-at').execute()
    })
    const found: Record<string, unknown> = {}
    for (const table of tableNames) found[table] = await digestOfTable(db.read, table)
    return found
  })
const blobFile = (config: Config, uuid: string) => dataPaths(config.dataDir).blob(uuid)
const hasStarted = (config: Config) => withStore(config, ({ db }) => refuseMovedStore(db))

/** A store with a bit of everything. */
const fill = (config: Config) =>
  withStore(config, async (parts) => {
    await makeNamespaces(parts, 'system', 'alice')
    await insertAwkwardRows(parts.db)
    const contents = [randomBytes(3_000_000), Buffer.alloc(0), Buffer.from('small')]
    const blobs = []
    for (const content of contents) {
      const { uuid } = await storeBlob(parts, content)
      await refer(parts, 'alice', `artifact ${blobs.length}`, uuid)
      blobs.push({ uuid, content })
    }
    const { uuid: aside } = await storeBlob(parts, Buffer.from('set aside'))
    await quarantineBlob(parts, aside, 'a test says so')
    const unfinished = await upload(parts, alice, 'begun')
    await append(parts, alice, unfinished, ' and not ended')
    const { uuid: empty } = await createUpload(parts, alice, { size: 100 })
    return { blobs, aside, unfinished, empty }
  })

test('the rows of the tests have every column, with a value and, where it may be, without one', async () => {
  const config = embedded('old')
  await fill(config)
  await withStore(config, async ({ db }) => {
    const tables = await db.read.introspection.getTables()
    for (const { name, columns } of tables.filter(({ name }) => (tableNames as string[]).includes(name)))
      for (const column of columns) {
        const rows = await db.read
          .selectFrom(name as 'events')
          .selectAll()
          .execute()
        const values = rows.map((row) => row[column.name as 'id'] as unknown)
        const where = `${name}.${column.name}`
        expect(
          values.some((value) => value !== null),
          where,
        ).toBe(true)
        if (column.isNullable && !column.isAutoIncrementing)
          expect(
            values.some((value) => value === null),
            where,
          ).toBe(true)
      }
  })
})

describe.each(places)('to $name', ({ make, step }) => {
  test('everything is there, and is there again after the way back', async () => {
    const [old, back] = [embedded('old'), embedded('back')]
    const { blobs, aside, unfinished, empty } = await fill(old)
    // A number that was given to an event which is gone is not given again.
    const last = await withStore(old, async ({ db }) => {
      const { id } = await db.read
        .selectFrom('events')
        .select((eb) => eb.fn.max('id').as('id'))
        .executeTakeFirstOrThrow()
      await db.write((trx) => trx.deleteFrom('events').where('id', '=', id).execute())
      return id
    })
    const before = await digests(old)
    const to = await make()
    const report = await migrate(old, to)
    expect(report).toMatchObject({ blobs: 3, bytes: 3_000_005, damaged: [], uploads: 2 })
    expect(report!.tables.get('events')!.rows).toBeGreaterThan(awkwardRows.events.length)
    expect(await digests(to)).toEqual(before)
    await withStore(to, async (parts) => {
      expect(await parts.uploadFiles.status(unfinished)).toMatchObject({ size: 19, durableSize: 19 })
      expect(await parts.uploadFiles.status(empty)).toMatchObject({ size: 0 })
      expect(await append(parts, alice, unfinished, '!')).toMatchObject({ size: 20 })
      const sealed = await parts.uploadFiles.seal(unfinished)
      expect(sealed.sha512).toBe(createHash('sha512').update('begun and not ended!').digest('hex'))
      await sealed.release()
      await refer(parts, 'alice', 'after', blobs[0]!.uuid)
      const { id } = await parts.db.read
        .selectFrom('events')
        .select((eb) => eb.fn.max('id').as('id'))
        .executeTakeFirstOrThrow()
      expect(id).toBeGreaterThan(last)
    })
    const changed = await digests(to)
    await migrate(to, back)
    expect(await digests(back)).toEqual(changed)
    for (const { uuid, content } of blobs)
      expect((await readFile(blobFile(back, uuid))).equals(content)).toBe(true)
    expect(await readFile(dataPaths(back.dataDir).quarantined(aside), 'utf8')).toBe('set aside')
    for (const name of ['token.key'])
      expect(await readFile(join(back.dataDir, name))).toEqual(await readFile(join(old.dataDir, name)))
    expect(existsSync(join(back.dataDir, 'uploads', 'arriving'))).toBe(false)
  })

  test('only one of the two can be started, and a repetition does nothing', async () => {
    const old = embedded('old')
    await fill(old)
    await expect(hasStarted(old)).resolves.toBeUndefined()
    const to = await make()
    await migrate(old, to)
    await expect(hasStarted(to)).resolves.toBeUndefined()
    await expect(hasStarted(old)).rejects.toThrow(/was moved to .* and goes on there/)
    expect(await migrate(old, to)).toBeUndefined()
    await expect(migrate(old, embedded('elsewhere'))).rejects.toThrow(/was moved to .* not to/)
    expect(await reopenStore(old, log)).toMatchObject({ state: 'left' })
    await expect(hasStarted(old)).resolves.toBeUndefined()
    expect(await reopenStore(old, log)).toBeUndefined()
    expect(await reopenStore(to, log)).toBeUndefined()
  })

  test('a damaged blob is told of and not taken for good, and all the rest is copied', async () => {
    const old = embedded('old')
    const { blobs } = await fill(old)
    const [altered, missing, good] = [blobs[0]!.uuid, blobs[1]!.uuid, blobs[2]!.uuid]
    await appendFile(blobFile(old, altered), '!')
    await rm(blobFile(old, missing))
    const to = await make()
    const notes: string[] = []
    const progress: Progress = { ...silentProgress, note: (text) => void notes.push(text) }
    await expect(migrate(old, to, { progress })).rejects.toThrow(
      /^2 blobs are damaged or missing; everything else/,
    )
    expect(notes.join('\n')).toContain(`${altered} is damaged and was not copied`)
    await expect(hasStarted(to)).rejects.toThrow(/only a part/)
    await expect(hasStarted(old)).rejects.toThrow(/is being moved/)
    expect(existsSync(blobFile(to, good))).toBe(true)
    expect([altered, missing].map((uuid) => existsSync(blobFile(to, uuid)))).toEqual([false, false])
    // One is brought back; the other is nowhere.
    await writeFile(blobFile(old, altered), blobs[0]!.content)
    const report = await migrate(old, to, { allowDamage: true })
    expect(report).toMatchObject({ blobs: 2, damaged: [{ uuid: missing }] })
    await withStore(to, async (parts) => {
      expect((await blobRow(parts, altered)).state).toBe('created')
      expect((await blobRow(parts, missing)).state).toBe('quarantined')
      const history = await parts.db.read
        .selectFrom('events')
        .selectAll()
        .where('object_uuid', '=', missing)
        .execute()
      expect(history.at(-1)!.extra).toContain('in the store that was moved here its file is missing')
    })
  })

  test('a place that holds something else is refused and not touched', async () => {
    const old = embedded('old')
    await fill(old)
    const to = await make()
    await withStore(to, (parts) => makeNamespaces(parts, 'somebody'))
    const before = await digests(to)
    await expect(migrate(old, to)).rejects.toThrow(/holds a store already/)
    expect(await digests(to)).toEqual(before)
    const directory = { ...(await make()), dataDir: join(root, 'mine') }
    await mkdir(directory.dataDir)
    await writeFile(join(directory.dataDir, 'notes.txt'), 'mine')
    await expect(migrate(old, directory)).rejects.toThrow(/is not empty/)
    // Nothing has begun.
    await expect(hasStarted(old)).resolves.toBeUndefined()
  })

  test('a part that another migration has left is refused', async () => {
    const [old, other] = [embedded('old'), embedded('other')]
    const { blobs } = await fill(old)
    await fill(other)
    await rm(blobFile(old, blobs[0]!.uuid))
    const to = await make()
    await expect(migrate(old, to)).rejects.toThrow(/damaged or missing/)
    await expect(migrate(other, to)).rejects.toThrow(/a part of a store that was being moved there/)
    expect(await reopenStore(old, log)).toMatchObject({ state: 'leaving' })
    await expect(hasStarted(old)).resolves.toBeUndefined()
    await expect(migrate(old, to)).rejects.toThrow(/not by this migration/)
  })

  test('uploads of another node stop it, or are left behind', async () => {
    const old = embedded('old')
    await fill(old)
    const to = { ...(await make()), nodeName: 'node-2' }
    await expect(migrate(old, to)).rejects.toThrow(/unfinished uploads of the node node-1/)
    expect(await migrate(old, to, { dropUploads: true })).toMatchObject({ uploads: 0 })
    expect((await digests(to)).uploads).toMatchObject({ rows: 0 })
  })

  test('one that was stopped goes on, whatever had come so far', async () => {
    const old = embedded('old')
    const { blobs } = await fill(old)
    const before = await digests(old)
    const to = await make()
    for (let count = 1; ; count += step) {
      const stop = new AbortController()
      let left = count
      const progress: Progress = {
        ...silentProgress,
        add() {
          if (--left === 0) stop.abort(new Error('stopped by the test'))
        },
      }
      const report = await migrate(old, to, { progress, signal: stop.signal }).catch(
        (error: Error) => error.message,
      )
      if (typeof report !== 'string') break
      expect(report).toBe('stopped by the test')
      await expect(hasStarted(to)).rejects.toThrow(/only a part/)
    }
    expect(await digests(to)).toEqual(before)
    for (const { uuid, content } of blobs)
      expect((await readFile(blobFile(to, uuid))).equals(content)).toBe(true)
  })
})

for (const { make } of places.slice(1))
  test('text that PostgreSQL does not store is named', async () => {
    const old = embedded('old')
    await fill(old)
    await withStore(old, ({ db }) =>
      db.write((trx) =>
        trx.updateTable('artifacts').set({ error: 'a\0b' }).where('error', 'is not', null).execute(),
      ),
    )
    await expect(migrate(old, await make())).rejects.toThrow(
      /^artifacts "a1000000.*: error holds the character/,
    )
  })
