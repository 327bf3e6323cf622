/**
 * A really full disk: the data directory lies on a small tmpfs that is filled up again and again to the last few bytes,
 * so that everything meets ENOSPC where it happens to, SQLite's files included.
 *
 * Every reply is 200 and true, or 507 `storage_full` and nothing has changed; the server is killed and started on the
 * full disk; and when there is space again everything goes on, and what was promised is there.
 *
 * `--runs` is the number of requests on a full disk. Needs root, for the mount.
 */
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, login, type Session } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import { bytesOf, Random, Report, readOptions, sha512, within, wordsOf } from './harness.ts'
import { checkDataDirectory } from './kill-check.ts'

const options = readOptions(100)
const random = new Random(options.seed)
const report = new Report('disk-full', options)
const requestsPerRound = 10
const timeoutMs = 30_000
const KiB = 1024

const mount = mkdtempSync(join(tmpdir(), 'holdfast-full-'))
execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', mount])
const dataDir = join(mount, 'data')
const filler = join(mount, 'filler')

/** Leaves so many bytes. */
const fill = (left: number): void => {
  const file = openSync(filler, 'a')
  try {
    const block = Buffer.alloc(64 * KiB)
    for (let size = block.length; size >= 4 * KiB; size /= 2)
      for (;;) {
        try {
          writeSync(file, block, 0, size)
        } catch {
          break
        }
      }
  } finally {
    closeSync(file)
  }
  truncateSync(filler, Math.max(0, statSync(filler).size - left))
}
const makeSpace = async (): Promise<void> => {
  rmSync(filler, { force: true })
  // The server asks for the free space once a second.
  await sleep(1100)
}

let server!: RunningServer
let system!: Session
const start = async (): Promise<void> => {
  server = await startServer({
    dataDir,
    settings: {
      HOLDFAST_FREE_SPACE_RESERVE: '0',
      HOLDFAST_TOKEN_LIFETIME: '864000',
      HOLDFAST_LOG_LEVEL: 'error',
    },
  })
  system = await login(server.url, 'system', server.systemKey)
}

/** What was promised: bytes of uploads, and of artifacts the digests of their versions, newest last. */
const uploads = new Map<string, Buffer>()
const artifacts = new Map<string, { uuid: string; versions: string[] }>()
const contents = new Map<string, Buffer>()

interface Deed {
  readonly words: string
  readonly ask: () => Promise<Answer>
  /** Notes the success. */
  readonly done: (answer: Answer) => void
}

const choose = (): Deed => {
  const uuids = [...uploads.keys()]
  const names = [...artifacts.keys()]
  const kind = random.weighted({
    create: 2,
    append: 6,
    convert: 5,
    truncate: 1,
    remove: 2,
    metadata: 1,
    drop: 1,
  })
  if (['append', 'convert', 'truncate', 'drop'].includes(kind) && uuids.length > 0) {
    const uuid = random.pick(uuids)
    const bytes = uploads.get(uuid)!
    if (kind === 'append') {
      const more = bytesOf(`append ${random.next()}`, random.between(1, 400 * KiB))
      const headers = random.chance(0.5) ? { 'Upload-Offset': String(bytes.length) } : undefined
      return {
        words: `append of ${more.length} bytes${headers ? ' at an offset' : ''}`,
        ask: () => system.send('POST', `/upload/${uuid}`, { body: more, ...(headers && { headers }) }),
        done: () => uploads.set(uuid, Buffer.concat([bytes, more])),
      }
    }
    if (kind === 'truncate') {
      const size = random.between(0, bytes.length)
      return {
        words: 'truncation',
        ask: () => system.post(`/upload/${uuid}/truncate/${size}`),
        done: () => uploads.set(uuid, bytes.subarray(0, size)),
      }
    }
    if (kind === 'drop')
      return {
        words: 'deletion of an upload',
        ask: () => system.delete(`/upload/${uuid}`),
        done: () => uploads.delete(uuid),
      }
    if (bytes.length > 0) {
      const name = `artifact ${random.between(1, 4)}`
      return {
        words: 'conversion',
        ask: () => system.post(`/artifacts/upload/${encodeURIComponent(name)}`, { upload_uuid: uuid }),
        done: (answer) => {
          const digest = sha512(bytes)
          const versions = artifacts.get(name)?.versions ?? []
          contents.set(digest, bytes)
          if (versions.at(-1) !== digest) versions.push(digest)
          artifacts.set(name, { uuid: answer.json.uuid, versions: versions.slice(-3) })
          uploads.delete(uuid)
        },
      }
    }
  }
  if (kind === 'remove' && names.length > 0) {
    const name = random.pick(names)
    return {
      words: 'deletion of an artifact',
      ask: () => system.delete(`/artifacts/${artifacts.get(name)!.uuid}`),
      done: () => artifacts.delete(name),
    }
  }
  if (kind === 'metadata' && names.length > 0) {
    const { uuid } = artifacts.get(random.pick(names))!
    const body = { key: `key ${random.between(1, 3)}`, value: 'x'.repeat(random.between(1, 20_000)) }
    return { words: 'metadata', ask: () => system.post(`/artifacts/${uuid}/metadata`, body), done: () => {} }
  }
  return {
    words: 'creation of an upload',
    ask: () => system.post('/upload'),
    done: (answer) => uploads.set(answer.json.uuid, Buffer.alloc(0)),
  }
}

/** Everything promised is there; with `bytes`, versions are downloaded too. */
const check = async (when: string, bytes: boolean): Promise<void> => {
  for (const [uuid, content] of uploads) {
    const { status, json } = await system.get(`/upload/${uuid}`)
    report.check(
      status === 200 && json.size === content.length,
      () => `${when}: upload ${uuid} of ${content.length} bytes is ${status} ${json?.size}`,
    )
  }
  for (const [name, { uuid, versions }] of artifacts) {
    const { status, json } = await system.get(`/artifacts/${uuid}`)
    const blobs = Object.values<{ uuid: string; size: number }>(status === 200 ? json.blobs : {})
    report.check(
      blobs.map((blob) => blob.size).join() === versions.map((digest) => contents.get(digest)!.length).join(),
      () => `${when}: "${name}" is ${status} with ${blobs.length} versions instead of ${versions.length}`,
    )
    for (const [at, blob] of bytes ? blobs.entries() : []) {
      const data = await system.get(`/blobs/${blob.uuid}/data`)
      report.check(
        data.status === 200 && sha512(data.bytes) === versions[at],
        () => `${when}: version ${at} of "${name}" is lost or altered: ${data.status}`,
      )
      report.count('versions compared')
    }
  }
  const listed = (await system.get('/upload')).json as unknown[]
  report.check(
    listed.length === uploads.size,
    () => `${when}: ${listed.length} of ${uploads.size} uploads listed`,
  )
}

const attempt = async (deed: Deed, isFull: boolean): Promise<void> => {
  const answer = await within(timeoutMs, deed.words, deed.ask())
  if (answer.status === 200) {
    deed.done(answer)
    report.count(isFull ? 'done on a full disk' : 'done with space')
    return
  }
  report.count(`refused with ${answer.status}`)
  report.check(
    isFull && answer.status === 507 && answer.json.code === 'storage_full',
    () => `${deed.words}${isFull ? ' on a full disk' : ''}: ${answer.status} ${answer.bytes}`,
  )
  await check(`after a refused ${deed.words}`, false)
  refused.push(deed)
}
let refused: Deed[] = []

/** A kill and a start without space; when that cannot be, it says so and starts once there is some. */
const restartFull = async (): Promise<void> => {
  await server.stop('SIGKILL')
  try {
    await start()
    report.count('starts on a full disk')
  } catch (error) {
    report.check(
      /full|ENOSPC|space/i.test(wordsOf(error)),
      () => `a start on a full disk ended without saying why: ${wordsOf(error).slice(-600)}`,
    )
    report.count('starts refused on a full disk')
    await makeSpace()
    await start()
  }
  await check('after a kill on the full disk', false)
}

const cleanUp = async (): Promise<void> => {
  await server?.stop('SIGKILL')
  execFileSync('umount', [mount])
  rmSync(mount, { recursive: true, force: true })
}
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void cleanUp().finally(() => process.exit(1)))

const began = Date.now()
try {
  await start()
  for (let done = 0; done < options.runs; ) {
    for (let n = 0; n < 3; n++) await attempt(choose(), false)
    // Space runs out a little later each time, so that it does in the middle of different things.
    fill(random.chance(0.3) ? 0 : random.between(0, 160) * 4 * KiB)
    refused = []
    for (let n = 0; n < requestsPerRound; n++, done++) await attempt(choose(), true)
    if (random.chance(0.2)) await restartFull()
    await makeSpace()
    await check('with space again', true)
    // The last refused request, if what it was about is still the same, is granted now.
    const again = refused.at(-1)
    if (again && ['creation of an upload', 'metadata'].includes(again.words)) await attempt(again, false)
    // Keeps the tmpfs from being full of what is wanted.
    for (const [uuid, bytes] of uploads)
      if (bytes.length > 1024 * KiB) {
        await system.delete(`/upload/${uuid}`)
        uploads.delete(uuid)
      }
  }
  await server.stop()
  await checkDataDirectory(dataDir, false, report)
} catch (error) {
  report.fail(error instanceof Error ? (error.stack ?? error.message) : wordsOf(error))
} finally {
  await cleanUp()
}
report.count('seconds', (Date.now() - began) / 1000)
report.finish()
