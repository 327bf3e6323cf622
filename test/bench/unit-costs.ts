/**
 * What one of everything costs in a store over PostgreSQL and S3: the figures that docs/scaling.md multiplies.
 *
 *     node test/bench/unit-costs.ts [rows] [jobs] [requests] [s3] [verify] [--blobs 200000] [--requests 100]
 *
 * Needs TEST_POSTGRES_URL, and TEST_S3_URL for `requests` and `s3` (docs/testing.md). Absolute figures of one machine, on which
 * the database, the S3 service and the client run as well: say on which one when you quote them.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { digestsMade, login, publish, type Session, upload } from '../support/api.ts'
import { freePort } from '../support/ports.ts'
import { askPostgres, databaseUrlOf, dropDatabaseOf } from '../support/postgres.ts'
import { openTestS3 } from '../support/s3.ts'
import { type RunningServer, startServer } from '../support/server.ts'

const MiB = 1024 * 1024
const clockTicks = 100

/** Processor seconds that a process and its threads have used. */
const cpuOf = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / clockTicks
}

const timed = async <T>(work: () => Promise<T>): Promise<[T, number]> => {
  const began = performance.now()
  const result = await work()
  return [result, (performance.now() - began) / 1000]
}

/** Runs `work` so many times, `atOnce` at a time; seconds in all. */
const many = async (
  count: number,
  atOnce: number,
  work: (i: number) => Promise<unknown>,
): Promise<number> => {
  let next = 0
  const run = async () => {
    for (let i = next++; i < count; i = next++) await work(i)
  }
  const [, seconds] = await timed(() => Promise.all(Array.from({ length: atOnce }, run)))
  return seconds
}

const digits = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3))

/** As many blobs, each the only version of an artifact, with what comes with them: 4 MiB, three events, one use. */
const fill = async (url: string, blobs: number): Promise<void> => {
  const now = Date.now()
  const hex = (bytes: number) =>
    Array.from({ length: bytes / 16 }, () => `replace(gen_random_uuid()::text, '-', '')`).join(' || ')
  const namespaces = `INSERT INTO namespaces (name, state, epoch, created_at)
    SELECT 'tenant-' || i, 'created', 'e', ${now} FROM generate_series(0, 99) i`
  const uuids = `CREATE TABLE filling AS SELECT i, gen_random_uuid()::text COLLATE "C" AS blob, gen_random_uuid()::text COLLATE "C" AS artifact
    FROM generate_series(1, ${blobs}) i`
  await askPostgres(url, namespaces)
  await askPostgres(url, uuids)
  const info = `'{"mime-type":"application/octet-stream","file format":"raw","virtual size":4194304}'`
  for (const statement of [
    `INSERT INTO blobs (uuid, state, size, sha512, sha256, sha1, xxh128, created_at, info, node, verified_at)
     SELECT blob, 'created', ${4 * MiB}, ${hex(64)}, ${hex(32)}, left(${hex(32)}, 40), ${hex(16)}, ${now} - i, ${info}, 'node-1', ${now} FROM filling`,
    `INSERT INTO blob_blocks (blob_uuid, block_size, sums)
     SELECT blob, ${MiB}, uuid_send(gen_random_uuid()) FROM filling`,
    `INSERT INTO blob_uses (blob_uuid, namespace, used_at) SELECT blob, 'tenant-' || i % 100, ${now} FROM filling`,
    `INSERT INTO artifacts (uuid, namespace, name, type, source_url, state, shared, max_versions, next_index, created_at, updated_at, size)
     SELECT artifact, 'tenant-' || i % 100, 'artifact-' || i, 'other', 'sf://upload/tenant-' || i % 100 || '/artifact-' || i, 'created', 0, 3, 2, ${now} - i, ${now} - i, ${4 * MiB} FROM filling`,
    `INSERT INTO versions (artifact_uuid, idx, blob_uuid, live, created_at) SELECT artifact, 1, blob, 1, ${now} - i FROM filling`,
    `INSERT INTO conversions (upload_uuid, namespace, artifact_uuid, idx, request, created_at)
     SELECT blob, 'tenant-' || i % 100, artifact, 1, '{"name":"artifact-' || i || '","source_url":"sf://upload/tenant/artifact","namespace":"tenant","type":"other"}', ${now} - i FROM filling`,
    `INSERT INTO leases (blob_uuid, namespace, expires_at) SELECT blob, 'tenant-' || i % 100, ${now + 3_600_000} FROM filling`,
    `INSERT INTO metadata (object_type, object_uuid, namespace, key, value) SELECT 'artifact', artifact, '', 'build', '"' || i || '"' FROM filling`,
    `INSERT INTO metadata_values (object_type, object_uuid, namespace, key, digest, owner, shared, name, size, created_at, updated_at)
     SELECT 'artifact', artifact, '', 'build', ${hex(16)}, 'tenant-' || i % 100, 0, 'artifact-' || i, ${4 * MiB}, ${now} - i, ${now} - i FROM filling`,
    `INSERT INTO events (object_type, object_uuid, namespace, type, at, node, message, extra)
     SELECT CASE e WHEN 3 THEN 'blob' ELSE 'artifact' END, CASE e WHEN 3 THEN blob ELSE artifact END, 'tenant-' || i % 100, 'audit', ${now} - i, 'node-1', 'added version 1', '{"index":1,"request-id":"' || blob || '"}'
     FROM filling, generate_series(1, 3) e`,
    'DROP TABLE filling',
    'VACUUM ANALYZE',
  ])
    await askPostgres(url, statement)
}

const showRows = async (url: string): Promise<void> => {
  const tables = await askPostgres(
    url,
    `SELECT relname AS name, (SELECT reltuples::bigint FROM pg_class WHERE oid = relid) AS rows, pg_table_size(relid) AS heap, pg_indexes_size(relid) AS indexes
     FROM pg_stat_user_tables ORDER BY pg_total_relation_size(relid) DESC`,
  )
  const indexes = await askPostgres(
    url,
    `SELECT relname AS table, count(*) AS count FROM pg_stat_user_indexes GROUP BY relname`,
  )
  console.log('table               rows  bytes/row  index bytes/row  indexes')
  for (const { name, rows, heap, indexes: size } of tables as Record<string, number | string>[]) {
    if (Number(rows) < 1000) continue
    const count = indexes.find((index) => index.table === name)?.count
    const per = (bytes: number | string | undefined) => digits(Number(bytes) / Number(rows)).padStart(9)
    console.log(
      `${String(name).padEnd(16)} ${String(rows).padStart(8)} ${per(heap)}      ${per(size)}        ${count}`,
    )
  }
}

const runJob = async (system: Session, job: string): Promise<void> => {
  const target = `/admin/jobs/${job}`
  await system.post(target, { wait: 10 })
  while ((await system.get(target)).json.is_running) await new Promise((resolve) => setTimeout(resolve, 100))
  const { duration, report } = (await system.get(target)).json.last_run
  console.log(`job ${job}: ${digits(duration * 1000)} ms  ${JSON.stringify(report)}`)
}

const showJobs = async (url: string, system: Session, blobs: number): Promise<void> => {
  await runJob(system, 'collect-blobs')
  await runJob(system, 'collect-blobs')
  await runJob(system, 'sample-usage')
  await runJob(system, 'prune-history')
  const old = Date.now() - 86_400_000
  await askPostgres(
    url,
    `WITH lost AS (DELETE FROM versions WHERE blob_uuid IN (SELECT uuid FROM blobs ORDER BY uuid LIMIT ${Math.min(2000, blobs)}) RETURNING blob_uuid),
      ended AS (DELETE FROM leases WHERE blob_uuid IN (SELECT blob_uuid FROM lost))
     UPDATE blobs SET unreferenced_at = ${old} WHERE uuid IN (SELECT blob_uuid FROM lost)`,
  )
  await runJob(system, 'collect-blobs')
}

/** Passes requests on, and counts them. */
const countRequests = async (target: string) => {
  const counts = new Map<string, number>()
  const { hostname, port } = new URL(target)
  const server = createServer((incoming, reply) => {
    counts.set(incoming.method!, (counts.get(incoming.method!) ?? 0) + 1)
    const { method, url, headers } = incoming
    const outgoing = request({ hostname, port, method, path: url, headers }, (answer) => {
      reply.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(reply)
    })
    incoming.pipe(outgoing)
  })
  const own = await freePort()
  await new Promise<void>((resolve) => server.listen(own, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${own}`,
    take() {
      const taken = Object.fromEntries(counts)
      counts.clear()
      return taken
    },
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

const showRequests = async (
  url: string,
  server: RunningServer,
  system: Session,
  takeCounts: () => Record<string, number>,
  count: number,
): Promise<void> => {
  const written = async () =>
    Number((await askPostgres(url, `SELECT pg_current_wal_lsn() - '0/0'::pg_lsn AS bytes`))[0]!.bytes)
  const show = async (what: string, times: number, atOnce: number, work: (i: number) => Promise<unknown>) => {
    await work(-1 - atOnce)
    takeCounts()
    const [before, cpu] = [await written(), cpuOf(server.pid)]
    const seconds = await many(times, atOnce, work)
    const s3 = Object.entries(takeCounts()).map(([method, total]) => `${digits(total / times)} ${method}`)
    console.log(
      `${what}, ${atOnce} at once: ${digits(times / seconds)}/s, ${digits((seconds * 1000 * atOnce) / times)} ms, server ${digits(((cpuOf(server.pid) - cpu) * 1000) / times)} ms CPU, ` +
        `log of the database ${digits(((await written()) - before) / times)} bytes, S3 ${s3.join(' + ') || 'none'}`,
    )
  }
  const [found] = (await askPostgres(
    url,
    `SELECT b.sha512, v.artifact_uuid AS uuid FROM blobs b JOIN versions v ON v.blob_uuid = b.uuid OFFSET ${blobs >> 1} LIMIT 1`,
  )) as { sha512: string; uuid: string }[]
  for (const atOnce of [1, 8]) {
    await show('look up a SHA-512', 3 * count, atOnce, () =>
      system.get(`/blob_checksums/sha512/${found!.sha512}`),
    )
    await show('show an artifact', 3 * count, atOnce, () => system.get(`/artifacts/${found!.uuid}`))
    await show('list 100 artifacts', count, atOnce, () => system.get('/artifacts?limit=100'))
    const uploads: string[] = []
    await show('create an upload', count, atOnce, async () => {
      uploads.push((await system.post('/upload')).json.uuid)
    })
    await show('append 64 KiB', count, atOnce, (i) =>
      system.send('POST', `/upload/${uploads.at(i)}`, { body: randomBytes(64 * 1024) }),
    )
    await show('convert 64 KiB', count, atOnce, (i) =>
      system.post(`/artifacts/upload/unit-${atOnce}-${i}`, { upload_uuid: uploads.at(i) }),
    )
  }
  const [large, seconds] = await timed(() => upload(system, randomBytes(100 * MiB)))
  takeCounts()
  const [, convertSeconds] = await timed(() => system.post('/artifacts/upload/large', { upload_uuid: large }))
  console.log(
    `append 100 MiB: ${digits(seconds * 1000)} ms; convert it: ${digits(convertSeconds * 1000)} ms, S3 ${JSON.stringify(takeCounts())}`,
  )
}

const showS3 = async (): Promise<void> => {
  const { client, bucket: Bucket } = (await openTestS3('/unit-costs'))!
  const Body = randomBytes(4096)
  const key = (i: number) => `unit-costs/${i}`
  for (const atOnce of [1, 16]) {
    const show = async (what: string, work: (i: number) => Promise<unknown>) => {
      const cpu = process.cpuUsage()
      const seconds = await many(500, atOnce, work)
      const { user, system } = process.cpuUsage(cpu)
      console.log(
        `S3 ${what}, ${atOnce} at once: ${digits(500 / seconds)}/s, client ${digits((user + system) / 500_000)} ms CPU`,
      )
    }
    await show('PUT of 4 KiB', (i) => client.putObject({ Bucket, Key: key(i), Body }))
    await show('HEAD', (i) => client.headObject({ Bucket, Key: key(i) }))
    await show('GET of 4 KiB', async (i) =>
      (await client.getObject({ Bucket, Key: key(i) })).Body!.transformToByteArray(),
    )
  }
  const [page, seconds] = await timed(() => client.listObjectsV2({ Bucket, Prefix: 'unit-costs/' }))
  console.log(`S3 list of ${page.KeyCount} names: ${digits(seconds * 1000)} ms`)
  await many(500, 16, (i) => client.deleteObject({ Bucket, Key: key(i) }))
}

const showVerification = async (server: RunningServer, system: Session): Promise<void> => {
  const size = 512 * MiB
  const { blob_uuid } = await publish(system, 'verified', randomBytes(size))
  await digestsMade(system)
  const cpu = cpuOf(server.pid)
  const [, seconds] = await timed(async () => {
    await system.post(`/admin/blobs/${blob_uuid}/verification`, {})
    while ((await system.get(`/admin/blobs/${blob_uuid}/verification`)).json?.state === 'running')
      await new Promise((resolve) => setTimeout(resolve, 50))
  })
  const used = cpuOf(server.pid) - cpu
  console.log(
    `verify 512 MiB: ${digits(size / MiB / seconds)} MiB/s, ${digits(size / MiB / used)} MiB for a second of CPU`,
  )
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    blobs: { type: 'string', default: '200000' },
    requests: { type: 'string', default: '100' },
  },
})
const wanted = new Set(positionals.length > 0 ? positionals : ['rows', 'jobs', 'requests', 's3', 'verify'])
const blobs = Number(values.blobs)
const directory = await mkdtemp(join(tmpdir(), 'holdfast-costs-'))
const counting = process.env.TEST_S3_URL ? await countRequests(process.env.TEST_S3_URL) : undefined
const server = await startServer({
  dataDir: directory,
  settings: {
    HOLDFAST_LOG_LEVEL: 'error',
    HOLDFAST_JOB_INTERVAL: '100000',
    HOLDFAST_VERIFY_INTERVAL: '0',
    HOLDFAST_VERIFY_RATE: '0',
    ...(counting && { HOLDFAST_S3_ENDPOINT: counting.url }),
  },
})
try {
  const system = await login(server.url, 'system', server.systemKey)
  const url = databaseUrlOf(directory)
  if (!url) throw new Error('TEST_POSTGRES_URL does not name a server')
  if (['rows', 'jobs', 'requests'].some((part) => wanted.has(part))) {
    const [, seconds] = await timed(() => fill(url, blobs))
    console.log(`filled with ${blobs} blobs in ${digits(seconds)} s`)
  }
  if (wanted.has('rows')) await showRows(url)
  if (wanted.has('requests'))
    await showRequests(url, server, system, counting?.take ?? (() => ({})), Number(values.requests))
  if (wanted.has('jobs')) await showJobs(url, system, blobs)
  if (wanted.has('verify')) await showVerification(server, system)
  if (wanted.has('s3')) await showS3()
} finally {
  await server.remove()
  counting?.close()
  await rm(directory, { recursive: true, force: true })
  await dropDatabaseOf(directory)
}
