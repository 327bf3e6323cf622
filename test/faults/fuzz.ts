/**
 * Throws malformed and merely odd requests at raw sockets of the server and holds it to this: never a 5xx but an
 * honest 507, every refusal in the form that the contract gives it, no connection that hangs, no crash, and neither
 * open files nor memory that grow.
 *
 * `--runs` is the number of connections, most with one request, some with several in a row.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isErrorCode } from '@holdfast/api/errors'
import { login, publish, send, upload } from '../support/api.ts'
import { startServer } from '../support/server.ts'
import { type FuzzRequest, RequestMaker, type Targets } from './fuzz-requests.ts'
import { comesTrue, memoryOf, openFilesOf, Random, Report, readOptions, sha512, wordsOf } from './harness.ts'

const options = readOptions(3000)
const report = new Report('fuzz', options)
const random = new Random(options.seed)

/** Connections at once. */
const width = 24
/** Silence after which the fuzzer takes a request for one that waits for more, and says that there is no more. */
const patienceMs = 400
/** Silence after a reply. */
const restMs = 30
/** Then the server has to end it within this time. */
const hangMs = 10_000
/** Connections after which the server is looked at, and given back what was deleted. */
const lookEvery = 250
const maxMemoryMiB = 400
/** Idle uploads keep their files open for the next append, so many at most. */
const maxKeptFiles = 2 * 128 + 16

const backupDir = await mkdtemp(join(tmpdir(), 'holdfast-fuzz-'))
const server = await startServer({
  settings: {
    HOLDFAST_LOG_LEVEL: 'error',
    HOLDFAST_TOKEN_LIFETIME: '864000',
    HOLDFAST_MAX_FILE_SIZE: '64MiB',
    HOLDFAST_FETCH_ATTEMPTS: '1',
    HOLDFAST_BACKUP_DIR: backupDir,
  },
})
const system = await login(server.url, 'system', server.systemKey)

/** A tenant with objects of every kind: made anew again and again, for the fuzzer deletes what it finds. */
const furnish = async (): Promise<Targets> => {
  const namespace = 'fuzz'
  const key = 'key of fuzz'
  await system.post('/auth/namespaces', { namespace, key_name: 'first', key })
  await system.post(`/auth/namespaces/${namespace}/keys`, { key_name: 'first', key })
  await system.put(`/auth/namespaces/${namespace}/limits`, {})
  const tenant = await login(server.url, namespace, key)
  for (const { uuid } of (await tenant.get('/upload')).json) await tenant.delete(`/upload/${uuid}`)
  await tenant.delete('/artifacts', { confirm: true })
  const artifact = await publish(tenant, 'disk', 'the content of a disk')
  await tenant.post('/label/newest', { blob_uuid: artifact.blob_uuid })
  const uploads = [await upload(tenant, 'some'), await upload(tenant, 'bytes')]
  return {
    // Mostly the tenant: what `system` may do, it may do to everything.
    tokens: [tenant.token, tenant.token, tenant.token, system.token],
    values: {
      namespace: [namespace, 'system', 'another'],
      external_namespace: ['system', 'another'],
      // Not the key in use: replacing it would end the rest of the run in 401.
      key_name: ['second', 'third'],
      key: ['a key', 'colour'],
      upload_uuid: uploads,
      artifact_ref: [artifact.uuid, 'disk'],
      blob_uuid: [artifact.blob_uuid],
      name: ['disk', 'newest', 'other'],
      index: ['1', '2'],
      size: ['0', '3', '10'],
      algorithm: ['sha512', 'sha256', 'sha1', 'xxh128', 'md5'],
      hash: [sha512(Buffer.from('the content of a disk'))],
      limit: ['1', '10'],
      max_versions: ['1', '3'],
      artifact_type: ['image', 'other'],
      event_type: ['audit'],
      sort: ['name', '-created_at'],
      job: ['collect-blobs', 'prune-history', 'expire-uploads'],
    },
  }
}

let maker = new RequestMaker(random, await furnish())

interface Reply {
  readonly status: number
  readonly head: string
  readonly body: string
}

/** The replies in what came over one connection, as far as their framing can be told. */
const readReplies = (received: Buffer): Reply[] => {
  const replies: Reply[] = []
  let rest = received.toString('latin1')
  while (rest.startsWith('HTTP/1.')) {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) break
    const head = rest.slice(0, end)
    const status = Number(head.slice(9, 12))
    const after = rest.slice(end + 4)
    const announced = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? after.length)
    // The reply to a HEAD announces bytes that do not come: then there is nothing, or the next reply.
    const length = status < 200 || after.startsWith('HTTP/1.') ? 0 : announced
    rest = after.slice(length)
    if (status >= 200) replies.push({ status, head, body: after.slice(0, length) })
  }
  return replies
}

/** Sends one connection's worth, and answers what came back; undefined when the server let it hang. */
const exchange = async ({ parts }: FuzzRequest): Promise<Buffer | undefined> => {
  const { hostname, port } = new URL(server.url)
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
  socket.on('error', () => {})
  const received: Buffer[] = []
  let lastNews = Date.now()
  let isClosed = false
  socket.on('data', (data) => {
    received.push(data)
    lastNews = Date.now()
  })
  socket.on('end', () => socket.end())
  socket.on('close', () => {
    isClosed = true
  })
  for (const part of parts) {
    if (isClosed) break
    await new Promise<void>((resolve) => {
      // A server that reads no further must not keep the fuzzer.
      const timer = setTimeout(resolve, 2000)
      socket.write(part, () => {
        clearTimeout(timer)
        resolve()
      })
    })
    if (parts.length > 1) await sleep(random.between(0, 20))
  }
  lastNews = Date.now()
  while (!isClosed && Date.now() - lastNews < (received.length > 0 ? restMs : patienceMs)) await sleep(5)
  if (!isClosed) {
    // Answered, or waiting for the rest: either way the end of what we send has to be the end of it all.
    socket.end()
    const deadline = Date.now() + hangMs
    while (!isClosed && Date.now() < deadline) await sleep(10)
  }
  const isHung = !isClosed
  socket.destroy()
  return isHung ? undefined : Buffer.concat(received)
}

const judge = (request: FuzzRequest, received: Buffer | undefined): void => {
  const { words } = request
  const wire = () => JSON.stringify(Buffer.concat(request.parts).toString('latin1').slice(0, 1500))
  if (!report.check(received !== undefined, () => `${words}: the connection hangs\n  ${wire()}`)) return
  const replies = readReplies(received!)
  if (replies.length === 0) report.count('closed without a reply')
  for (const { status, head, body } of replies) {
    report.count(`status ${status}`)
    const isHonest = status === 507 && /"code":"(storage_full|quota_exceeded)"/.test(body)
    report.check(status < 500 || isHonest, () => `${words}: ${status} ${body.slice(0, 300)}\n  ${wire()}`)
    report.check(/^x-request-id: \S/im.test(head), () => `${words}: no X-Request-ID: ${head}\n  ${wire()}`)
    if (status < 400 || body === '') continue
    report.check(
      isRefusal(status, body),
      () => `${words}: not the form of a refusal: ${body.slice(0, 300)}\n  ${wire()}`,
    )
  }
}

const isRefusal = (status: number, body: string): boolean => {
  try {
    const reply = JSON.parse(body)
    return typeof reply.error === 'string' && reply.status === status && isErrorCode(reply.code)
  } catch {
    return false
  }
}

/** Resident memory through the run, MiB. */
const samples: number[] = []
let sent = 0

/** What is done now and then beside the fuzzing. */
const lookAfter = async (): Promise<void> => {
  const { status } = await send(server.url, 'GET', '/healthz')
  report.check(status === 200, `/healthz answers ${status} after ${sent} connections`)
  maker = new RequestMaker(random, await furnish())
  const { now } = await memoryOf(server.pid)
  samples.push(now)
  if (sent % 10_000 === 0)
    console.log(`fuzz: ${sent} connections, ${now.toFixed(0)} MiB, ${report.failed} violations`)
}

const connection = async (until: number): Promise<void> => {
  while (sent < until) {
    sent += 1
    const request = maker.next()
    judge(request, await exchange(request))
  }
}

const medianOf = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const began = Date.now()
try {
  // What a server opens once and keeps is opened by now.
  for (let warm = 0; warm < 100; warm += 1) await exchange(maker.next())
  await sleep(500)
  const before = { files: await openFilesOf(server.pid), memory: await memoryOf(server.pid) }
  while (sent < options.runs) {
    const until = Math.min(options.runs, sent + lookEvery)
    await Promise.all(Array.from({ length: width }, () => connection(until)))
    await lookAfter()
  }
  // Uploads that were appended to keep their two files open for a while: two by two, and no more than some.
  const settled = async () => (await openFilesOf(server.pid)) <= before.files + maxKeptFiles
  report.check(await comesTrue(settled, 10_000), 'the number of open files has grown')
  const after = { files: await openFilesOf(server.pid), memory: await memoryOf(server.pid) }
  report.count('connections', sent)
  report.count('seconds', (Date.now() - began) / 1000)
  report.count('open files before', before.files)
  report.count('open files after', after.files)
  report.count('MiB resident before', before.memory.now)
  report.count('MiB resident after', after.memory.now)
  report.count('MiB resident at most', after.memory.peak)
  report.check(after.memory.peak < maxMemoryMiB, `the server took ${after.memory.peak.toFixed(0)} MiB`)
  // The first half fills caches and pools and lets the heap find its size.
  const steady = samples.slice(Math.floor(samples.length / 2))
  const half = Math.ceil(steady.length / 2)
  const [early, late] = [medianOf(steady.slice(0, half)), medianOf(steady.slice(half))]
  report.count('MiB resident in the third quarter', early)
  report.count('MiB resident in the fourth quarter', late)
  if (steady.length >= 4)
    report.check(late < early * 1.1 + 16, `memory grew from ${early.toFixed(0)} to ${late.toFixed(0)} MiB`)
} catch (error) {
  report.fail(`${wordsOf(error)}\n${error instanceof Error ? error.stack : ''}`)
} finally {
  report.check(server.process.exitCode === null && server.process.signalCode === null, 'the server has ended')
  if (report.failed > 0) console.log(server.output().slice(-4000))
  await server.remove()
  await rm(backupDir, { recursive: true, force: true })
}
report.finish()
process.exit()
