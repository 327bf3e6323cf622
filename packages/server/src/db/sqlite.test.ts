/** What is promised of the embedded database alone: threads, crashes, full disks, plans. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { isHoldfastError } from '@holdfast/api/errors'
import { type Compilable, sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Database, deleted } from './database.ts'
import { openSqlite } from './sqlite.ts'
import { namespaceRow } from './test-dialects.ts'

let directory: string
let path: string
const opened: Database[] = []

const open = async (options: { closeTimeoutMs?: number } = {}) => {
  const db = await openSqlite({ path, ...options })
  opened.push(db)
  return db
}

const addSetting = (db: Database, name: string, value = '') =>
  db.write((trx) => trx.insertInto('settings').values({ name, value }).execute())
const countSettings = async (db: Database) =>
  (await db.read.selectFrom('settings').select('name').execute()).length
const isUnavailable = (error: unknown) => isHoldfastError(error, 'unavailable')

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-sqlite-'))
  path = join(directory, 'holdfast.db')
})
afterEach(async () => {
  await Promise.all(opened.splice(0).map((db) => db.close()))
  await rm(directory, { recursive: true })
})

describe('the writing connection', () => {
  it('has the settings that durability rests on', async () => {
    const db = await open()
    const pragma = (name: string) =>
      db.write(
        async (trx) => Object.values((await sql.raw(`PRAGMA ${name}`).execute(trx)).rows[0] as object)[0],
      )
    expect(await pragma('journal_mode')).toBe('wal')
    // NORMAL: commits are in order in the log, and LogFlush makes them durable.
    expect(await pragma('synchronous')).toBe(1)
    expect(await pragma('foreign_keys')).toBe(1)
  })

  it('lets the event loop turn while a transaction of another process is in the way', async () => {
    const db = await open()
    const other = new DatabaseSync(path)
    other.exec('BEGIN IMMEDIATE')
    const write = addSetting(db, 'x')
    // Were SQLite waiting for the other's lock in this thread, this thread could never give the lock back.
    for (let turn = 0; turn < 50; turn++) await nextTurn()
    expect(await countSettings(db)).toBe(0)
    other.exec('COMMIT')
    other.close()
    await write
    expect(await countSettings(db)).toBe(1)
  })

  it('lets the event loop turn during many transactions, and during a long one', async () => {
    const db = await open()
    let isOver = false
    let turns = 0
    const count = (async () => {
      for (; !isOver; turns++) await nextTurn()
    })()
    await Promise.all(Array.from({ length: 500 }, (_, i) => addSetting(db, `many-${i}`)))
    const [before, began] = [turns, performance.now()]
    await db.write(async (trx) => {
      while (performance.now() - began < 100) await sql`SELECT 1`.execute(trx)
    })
    isOver = true
    await count
    expect(before).toBeGreaterThan(1)
    expect(turns - before).toBeGreaterThan(1)
  })
})

describe('the flush of the log', () => {
  /** Opens a database whose flushes wait until they are let go, or fail. */
  const openHeld = async () => {
    const gates: PromiseWithResolvers<void>[] = []
    const db = await openSqlite({
      path,
      steps: {
        async flush(flush) {
          const gate = Promise.withResolvers<void>()
          gates.push(gate)
          await gate.promise
          await flush()
        },
      },
    })
    opened.push(db)
    return { db, gates }
  }
  const turns = async () => {
    for (let turn = 0; turn < 20; turn++) await nextTurn()
  }

  it('comes before anybody is told of a commit, or sees it', async () => {
    const { db, gates } = await openHeld()
    let isTold = false
    const write = addSetting(db, 'x').then(() => {
      isTold = true
    })
    await turns()
    expect(gates).toHaveLength(1)
    expect(isTold).toBe(false)
    expect(await countSettings(db)).toBe(0)
    gates[0]!.resolve()
    await write
    expect(await countSettings(db)).toBe(1)
  })

  it('also comes before the answers of those who have only seen a commit, or been refused because of it', async () => {
    const { db, gates } = await openHeld()
    const settled: string[] = []
    const write = addSetting(db, 'x').then(() => settled.push('write'))
    await turns()
    const look = db
      .write((trx) => trx.selectFrom('settings').select('name').execute())
      .then((rows) => settled.push(`saw ${rows.length}`))
    const refusal = db
      .write(async () => {
        throw new Error('there is one')
      })
      .catch(() => settled.push('refused'))
    const aside = db
      .readAside(db.read.selectFrom('settings').select('name').compile())
      .then((rows) => settled.push(`aside ${rows.length}`))
    await turns()
    expect(settled).toEqual([])
    gates[0]!.resolve()
    await Promise.all([write, look, refusal, aside])
    expect(settled.sort()).toEqual(['aside 1', 'refused', 'saw 1', 'write'])
    expect(gates).toHaveLength(1)
  })

  it('is shared by all who commit while another is under way', async () => {
    const { db, gates } = await openHeld()
    const first = addSetting(db, 'first')
    await turns()
    const others = Promise.all(Array.from({ length: 50 }, (_, i) => addSetting(db, `other-${i}`)))
    await turns()
    gates[0]!.resolve()
    await first
    // The first one's flush does not cover them, so they are not seen yet.
    expect(await countSettings(db)).toBe(1)
    await turns()
    expect(gates).toHaveLength(2)
    gates[1]!.resolve()
    await others
    expect(await countSettings(db)).toBe(51)
  })

  it('has no second chance: nothing more is written, what is durable is read, what is whole found again', async () => {
    const { db, gates } = await openHeld()
    const kept = addSetting(db, 'kept')
    await turns()
    gates[0]!.resolve()
    await kept
    const lost = addSetting(db, 'in doubt')
    await turns()
    const later = addSetting(db, 'later')
    const outcomes = Promise.allSettled([lost, later])
    gates[1]!.reject(Object.assign(new Error('the disk failed'), { code: 'EIO' }))
    for (const outcome of await outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'unavailable' } })
    await expect(addSetting(db, 'after')).rejects.toSatisfy(isUnavailable)
    expect(await countSettings(db)).toBe(1)
    expect(gates).toHaveLength(2)
    await db.close()
    // It was not brought into the database, where parts of it could be missing.
    expect((await stat(`${path}-wal`)).size).toBeGreaterThan(0)
    expect(await countSettings(await open())).toBeGreaterThanOrEqual(1)
  })
})

describe('reads', () => {
  it('see their own process at once, and another from the next turn of the event loop on', async () => {
    const db = await open()
    await addSetting(db, 'own')
    expect(await countSettings(db)).toBe(1)
    const other = new DatabaseSync(path)
    other.exec("INSERT INTO settings (name, value) VALUES ('other', '')")
    other.close()
    await nextTurn()
    expect(await countSettings(db)).toBe(2)
    await Promise.all([countSettings(db), addSetting(db, 'another')])
    expect(await countSettings(db)).toBe(3)
  })
})

describe('the log', () => {
  it('is brought into the database and begins anew while others read and write', async () => {
    const db = await open()
    let isOver = false
    const reads = (async () => {
      while (!isOver) {
        await db.read.selectFrom('settings').select('name').limit(1).execute()
        await sleep(1)
      }
    })()
    // How often the log began anew stands in its head: https://sqlite.org/fileformat2.html#walformat
    const beginnings = async () => (await readFile(`${path}-wal`)).readUInt32BE(12)
    await addSetting(db, 'first')
    const before = { size: (await stat(path)).size, beginnings: await beginnings() }
    let count = 1
    while ((await beginnings()) === before.beginnings) {
      for (let transaction = 0; transaction < 25; transaction++) {
        const rows = Array.from({ length: 200 }, () => ({ name: `${count++}`, value: '' }))
        await db.write((trx) => trx.insertInto('settings').values(rows).execute())
      }
      // All of it can be copied only while nothing is added.
      await sleep(50)
    }
    isOver = true
    await reads
    expect((await stat(path)).size).toBeGreaterThan(before.size)
    expect(await countSettings(db)).toBe(count)
    expect((await sql`PRAGMA integrity_check`.execute(db.read)).rows).toEqual([{ integrity_check: 'ok' }])
  })
})

describe('a full database', () => {
  it('answers storage_full, changes nothing, and works again when there is room', async () => {
    const db = await open()
    await addSetting(db, 'before')
    const limit = (pages: number) =>
      db.write((trx) => sql.raw(`PRAGMA max_page_count = ${pages}`).execute(trx))
    await limit(1) // SQLite takes the present size as the least
    const failed = db.write(async (trx) => {
      await trx.insertInto('settings').values({ name: 'small', value: '' }).execute()
      await trx
        .insertInto('settings')
        .values({ name: 'large', value: 'x'.repeat(1_000_000) })
        .execute()
        .catch(() => {}) // a transaction is lost even to work that will not hear of it
    })
    await expect(failed).rejects.toSatisfy((error) => isHoldfastError(error, 'storage_full'))
    expect(await countSettings(db)).toBe(1)
    await limit(1_000_000)
    await addSetting(db, 'large', 'x'.repeat(1_000_000))
    expect(await countSettings(db)).toBe(2)
  })
})

describe('a crash', () => {
  it('loses no write that was acknowledged, and keeps nothing of one that was not', async () => {
    const script = `
      import { openSqlite } from ${JSON.stringify(new URL('./sqlite.ts', import.meta.url).href)}
      const db = await openSqlite({ path: ${JSON.stringify(path)} })
      const insert = (trx, name) => trx.insertInto('settings').values({ name, value: '' }).execute()
      await db.write((trx) => insert(trx, 'acknowledged'))
      await db.write(async (trx) => {
        await insert(trx, 'unfinished')
        process.stdout.write('now')
        await new Promise((resolve) => setTimeout(resolve, 60_000))
      })`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exit = once(child, 'exit')
    const said = await Promise.race([once(child.stdout, 'data'), exit])
    expect(String(said[0])).toBe('now')
    child.kill('SIGKILL')
    await exit
    expect(existsSync(`${path}-wal`)).toBe(true)
    const db = await open()
    expect(await db.read.selectFrom('settings').select('name').execute()).toEqual([{ name: 'acknowledged' }])
    await addSetting(db, 'later')
  })
})

describe('files', () => {
  it('belong to their owner alone, and the log is merged and removed on close', async () => {
    const db = await open()
    await addSetting(db, 'x')
    for (const file of [path, `${path}-wal`]) expect((await stat(file)).mode & 0o777).toBe(0o600)
    await db.close()
    expect(existsSync(`${path}-wal`)).toBe(false)
    expect(await countSettings(await open())).toBe(1)
  })

  it('are copied in a consistent state while writes go on, and never over an existing file', async () => {
    const db = await open()
    await Promise.all(Array.from({ length: 20 }, (_, i) => addSetting(db, `before-${i}`)))
    const copy = join(directory, 'copy.db')
    const backup = db.backupTo!(copy)
    await Promise.all([backup, addSetting(db, 'while')])
    await expect(db.backupTo!(copy)).rejects.toThrow('EEXIST')
    expect((await stat(copy)).mode & 0o777).toBe(0o600)
    const restored = await openSqlite({ path: copy })
    opened.push(restored)
    expect(await countSettings(restored)).toBeGreaterThanOrEqual(20)
    expect((await sql`PRAGMA integrity_check`.execute(restored.read)).rows).toEqual([
      { integrity_check: 'ok' },
    ])
  })
})

describe('close', () => {
  it('does not wait for ever for a transaction that never ends', async () => {
    const db = await open({ closeTimeoutMs: 50 })
    const reached = Promise.withResolvers<void>()
    const never = Promise.withResolvers<void>()
    const stuck = db.write(async (trx) => {
      await trx.insertInto('settings').values({ name: 'stuck', value: '' }).execute()
      reached.resolve()
      await never.promise
    })
    await reached.promise
    await db.close()
    never.resolve()
    await expect(stuck).rejects.toSatisfy(isUnavailable)
    expect(await countSettings(await open())).toBe(0)
  })
})

describe('the planner', () => {
  it('finds an index for the questions that are asked all the time', async () => {
    const db = await open()
    await db.write((trx) => trx.insertInto('namespaces').values(namespaceRow('a')).execute())
    const { read } = db
    const page = read.selectFrom('artifacts').select('uuid').where('state', '<>', deleted).limit(10)
    const questions: Record<string, Compilable> = {
      blobs_live_sha512: read
        .selectFrom('blobs')
        .selectAll()
        .where('sha512', '=', 'x')
        .where('state', '<>', deleted),
      blobs_by_sha256: read.selectFrom('blobs').selectAll().where('sha256', '=', 'x'),
      blobs_unreferenced: read
        .selectFrom('blobs')
        .select('uuid')
        .where('state', '<>', deleted)
        .where('unreferenced_at', '<=', 5)
        .orderBy('unreferenced_at'),
      blobs_without_digests: read
        .selectFrom('blobs')
        .select('uuid')
        .where('state', '<>', deleted)
        .where('sha256', 'is', null)
        .orderBy('created_at'),
      blobs_by_verified_at: read
        .selectFrom('blobs')
        .select('uuid')
        .where('state', '<>', deleted)
        .orderBy('verified_at')
        .limit(10),
      artifacts_live_identity: read
        .selectFrom('artifacts')
        .selectAll()
        .where('namespace', '=', 'a')
        .where('type', '=', 'image')
        .where('source_url', '=', 'u')
        .where('state', '<>', deleted),
      artifacts_live_by_namespace_and_name: page
        .selectAll()
        .where('namespace', '=', 'a')
        .where('name', '=', 'n'),
      artifacts_shared_by_name: page.where('shared', '=', sql.lit(1)).where('name', '=', 'n'),
      versions_by_blob: read
        .selectFrom('versions')
        .selectAll()
        .where('blob_uuid', '=', 'b')
        .where('live', '=', 1),
      versions_by_liveness: read
        .selectFrom('versions')
        .selectAll()
        .where('artifact_uuid', '=', 'x')
        .where('live', '=', 1)
        .orderBy('idx'),
      trusts_by_trusted: read.selectFrom('trusts').select('namespace').where('trusted', '=', 'a'),
    }
    for (const [index, question] of Object.entries(questions)) {
      const { sql: text, parameters } = question.compile()
      const plan = new DatabaseSync(path, { readOnly: true })
      const steps = plan.prepare(`EXPLAIN QUERY PLAN ${text}`).all(...(parameters as string[]))
      plan.close()
      const details = steps.map((step) => String(step.detail)).join('; ')
      expect(details).toContain(index)
      expect(details).not.toContain('TEMP B-TREE')
    }
  })
})
