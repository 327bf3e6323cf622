/**
 * Makes the disk fail under every operation, at every call: errors before and after the deed, short writes, a full disk,
 * stalls, wrong bits; once, or from then on. Whatever happens, the reply is true (success means done, an append or a
 * conversion that was refused changed nothing), the store goes on when the disk is well again, and after a restart an
 * independent checker finds every promise kept.
 *
 * `--runs` is the number of runs at most; all kinds of faults at all calls of all operations are somewhat less than
 * six hundred. This suite looks at the inside of the server: only there can one call fail.
 */
import { rm } from 'node:fs/promises'
import { isHoldfastError } from '@holdfast/api/errors'
import { startHashPipeline } from '../../packages/server/src/blobs/hash-pipeline.ts'
import { convert } from '../../packages/server/src/domain/convert.ts'
import { collectBlobs } from '../../packages/server/src/domain/jobs/collect-blobs.ts'
import { recover } from '../../packages/server/src/domain/recover.ts'
import { sendBlob } from '../../packages/server/src/domain/send-blob.ts'
import { appendToUpload, expireUploads } from '../../packages/server/src/domain/uploads.ts'
import { type Fault, FaultyFiles } from '../../packages/server/src/durability/faulty-files.ts'
import { openWorld } from '../../packages/server/src/durability/world.ts'
import { bytesOf, Random, Report, readOptions, sha512, within, wordsOf } from './harness.ts'
import { makeBase, makeClock, placeIn } from './power-base.ts'
import { Book, whole } from './power-book.ts'
import { findViolations } from './power-check.ts'
import { type Script, scripts } from './power-scripts.ts'
import { alice, PowerWork } from './power-work.ts'

const options = readOptions(500)
const random = new Random(options.seed)
const report = new Report('faulty-disk', options)
const hash = startHashPipeline({ workers: 1, slots: 8 })
const base = await makeBase(hash)
const began = Date.now()

/** Refused, these have changed nothing. Others have commits in the middle, and can be repeated. */
const unchangedWhenRefused = new Set([
  'append',
  'append, cut short',
  'convert, new content',
  'convert, known content',
  'convert a blob',
])

/** What no client waits for: the reason goes to the log as it is. */
const jobs = new Set([
  'expire',
  'collect',
  'quarantine',
  'verify a blob in quarantine that is right',
  'write a start file',
  ...scripts.map(({ name }) => name).filter((name) => name.startsWith('fetch')),
])

interface Plan {
  readonly words: string
  readonly fault: Fault
  /** Every later call fails as well, until the disk is replaced. */
  readonly isLasting: boolean
}

const plans: readonly Plan[] = [
  { words: 'EIO', fault: { kind: 'error', code: 'EIO' }, isLasting: false },
  { words: 'EIO after the deed', fault: { kind: 'late error', code: 'EIO' }, isLasting: false },
  { words: 'ENOSPC', fault: { kind: 'error', code: 'ENOSPC' }, isLasting: false },
  { words: 'a short write and ENOSPC', fault: { kind: 'short', code: 'ENOSPC' }, isLasting: false },
  { words: 'EIO from here on', fault: { kind: 'error', code: 'EIO' }, isLasting: true },
  { words: 'ENOSPC from here on', fault: { kind: 'short', code: 'ENOSPC' }, isLasting: true },
  { words: 'a stall', fault: { kind: 'stall', ms: 20 }, isLasting: false },
  { words: 'a wrong bit', fault: { kind: 'flip' }, isLasting: false },
]

/** One operation with a fault at one call; `call` 0: none, to count the calls. Tells how many calls there were. */
const run = async (script: Script, plan: Plan | undefined, call: number): Promise<number> => {
  const directory = await placeIn(base.tree, base.database)
  const words = `${script.name}: ${plan?.words ?? 'no fault'} at call ${call}`
  const clock = makeClock()
  const faulty = new FaultyFiles()
  const book = new Book()
  const open = (files?: ReturnType<FaultyFiles['wrap']>) =>
    openWorld({ directory, hash, clock, boot: 1, isMigrated: true, ...(files && { files }) })
  const wrong: string[] = []
  try {
    const world = await open(faulty.wrap())
    const store = new PowerWork(world, book, clock, () => {})
    await script.prepare(store)
    const first = faulty.calls
    const uploadsBefore = new Map(store.uploads.map((uuid) => [uuid, book.upload(uuid)!.content]))
    if (plan)
      faulty.choose = (number, what) =>
        canMeet(plan.fault, what) && (number === first + call || (plan.isLasting && number > first + call))
          ? plan.fault
          : undefined
    const error = await within(20_000, words, store.world && script.work(store)).then(
      () => undefined,
      (reason: unknown) => reason ?? new Error('undefined'),
    )
    const calls = faulty.calls - first
    faulty.choose = () => undefined
    report.count(error ? 'refused' : 'done')
    if (error) wrong.push(...complaints(error, plan, jobs.has(script.name)))
    // A flush that failed may come late.
    if (error && unchangedWhenRefused.has(script.name))
      for (const [uuid, content] of uploadsBefore) {
        const size = (await world.uploadFiles.status(uuid))?.size
        if (size !== content.length && size !== (await lostFrom(store, uuid)))
          wrong.push(`refused, but the upload has ${size} of ${content.length} bytes`)
      }
    if (plan?.fault.kind === 'flip') await healAll(store, book)
    if (!plan?.isLasting) await goOn(store, wrong)
    await world.close()

    const again = await open()
    try {
      await recover(again)
      if (plan?.fault.kind === 'flip') await healAll(new PowerWork(again, book, clock, () => {}), book)
      wrong.push(...findViolations(directory, book, { isPowerCut: false, isQuiet: false }))
      clock.advance(again.config.uploadExpiry + again.config.collectGrace + 1)
      await expireUploads(again)
      await collectBlobs(again, new AbortController().signal)
      clock.advance(again.config.collectGrace + 1)
      await collectBlobs(again, new AbortController().signal)
      wrong.push(...findViolations(directory, book, { isPowerCut: false, isQuiet: true }))
    } finally {
      await again.close()
    }
    if (plan && faulty.faults > 0) report.count(`with ${plan.words}`)
    report.check(
      wrong.length === 0,
      () => `${words}\n  ${error ? `refused: ${wordsOf(error)}\n  ` : ''}${wrong.join('\n  ')}`,
    )
    return calls
  } catch (error) {
    report.fail(`${words}: ${error instanceof Error ? error.stack : wordsOf(error)}`)
    return 0
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** Looking at things needs no space. */
const canMeet = (fault: Fault, what: string): boolean =>
  !('code' in fault && fault.code === 'ENOSPC' && /^(read|stat|list|truncate|open (read|write))$/.test(what))

/** What a refusal must not say. */
const complaints = (error: unknown, plan: Plan | undefined, isJob: boolean): string[] => {
  if (!plan || plan.fault.kind === 'stall') return [`refused without a reason: ${wordsOf(error)}`]
  if (plan.fault.kind === 'flip')
    return isHoldfastError(error, 'blob_damaged') ? [] : [`a wrong bit was answered by ${wordsOf(error)}`]
  const { code } = error as { code?: string }
  // EIO is an internal error, also to the client; a full disk is told as such.
  const allowed = ['storage_full', 'blob_damaged', ...(isJob ? ['ENOSPC', 'EIO', 'fetch_failed'] : ['EIO'])]
  return allowed.includes(code!) && (isJob || plan.fault.code === 'EIO' || code !== 'EIO')
    ? []
    : [`${plan.fault.code} was answered by ${wordsOf(error)}`]
}

/** A read that lied may have put good blobs in quarantine; the next verification takes them out again. */
const healAll = async (store: PowerWork, book: Book): Promise<void> => {
  const rows = await store.world.db.read
    .selectFrom('blobs')
    .select('sha512')
    .where('state', '=', 'quarantined')
    .execute()
  for (const row of rows) if (!book.damaged.has(row.sha512)) await store.verify(row.sha512)
}

/** Where an upload goes on of which a failed flush has lost the end: a plain append is told so, and adds nothing. */
const lostFrom = async ({ world }: PowerWork, uuid: string): Promise<unknown> => {
  const stream = (async function* () {})()
  const signal = new AbortController().signal
  const input = { stream, contentLength: 0, expectedOffset: undefined, signal }
  const error = await appendToUpload(world, alice, uuid, input).catch((reason: unknown) => reason)
  return isHoldfastError(error, 'upload_damaged') ? error.detail?.offset : undefined
}

/** The disk is well again and nobody has restarted anything: clients go on with their uploads. */
const goOn = async (store: PowerWork, wrong: string[]): Promise<void> => {
  const { world, book } = store
  for (const uuid of [...book.uploads.keys()]) {
    const row = await world.db.read
      .selectFrom('uploads')
      .select('uuid')
      .where('uuid', '=', uuid)
      .executeTakeFirst()
    const status = row && (await world.uploadFiles.status(uuid))
    if (!status) continue
    const beliefs = (book.uploads.get(uuid) ?? []).flatMap((belief) => belief ?? [])
    const isLost = status.size === (await lostFrom(store, uuid))
    const believed = beliefs.find(
      ({ content, least }) => (isLost || status.size >= least) && status.size <= content.length,
    )
    if (!believed) {
      wrong.push(`upload ${uuid} has ${status.size} bytes`)
      continue
    }
    const content = Buffer.concat([believed.content.subarray(0, status.size), bytesOf('tail', 40)])
    const name = `goes on ${uuid}`
    const goOnFrom = async (offset: number): Promise<void> => {
      book.uploads.set(uuid, [whole(content.subarray(0, offset))])
      await store.append(uuid, content.subarray(offset), true)
      const digest = sha512(content)
      await convert(world, alice, { name, uploadUuid: uuid, artifactType: 'other', sha512: digest })
    }
    await goOnFrom(status.size)
    book.uploads.set(uuid, [undefined])
    report.count('uploads that went on')
  }
}

/** Downloads of a blob of several blocks, with a fault at every read: right bytes or none. */
const readFaults = async (): Promise<void> => {
  const content = bytesOf('blocks', 3 * 1024 * 1024 + 500)
  const directory = await placeIn(base.tree, base.database)
  const clock = makeClock()
  const faulty = new FaultyFiles()
  const world = await openWorld({ directory, hash, clock, boot: 1, isMigrated: true, files: faulty.wrap() })
  try {
    const store = new PowerWork(world, new Book(), clock, () => {})
    const uuid = await store.create()
    await store.append(uuid, content, false)
    await store.convert(uuid, 'a')
    const read = async (): Promise<{ sent: Buffer; error: unknown }> => {
      const blob = await world.db.read
        .selectFrom('blobs')
        .selectAll()
        .where('uuid', '=', uuid)
        .executeTakeFirstOrThrow()
      const parts: Buffer[] = []
      const error = await sendBlob(world, blob, {
        offset: 0,
        length: content.length,
        write: async (chunk) => void parts.push(Buffer.from(chunk)),
        signal: new AbortController().signal,
      }).then(
        () => undefined,
        (reason) => reason,
      )
      return { sent: Buffer.concat(parts), error }
    }
    for (const plan of plans)
      for (let call = 1; call <= 8; call++) {
        const first = faulty.calls
        let isHit = false
        faulty.choose = (number, what) => {
          if (number !== first + call || !canMeet(plan.fault, what)) return undefined
          isHit = true
          return plan.fault
        }
        const { sent, error } = await read()
        faulty.choose = () => undefined
        if (!isHit) continue
        report.count('downloads with a fault')
        const isTrue = error ? isHoldfastError(error, 'blob_damaged') : sent.length === content.length
        report.check(
          isTrue && sent.equals(content.subarray(0, sent.length)),
          () => `download with ${plan.words} at call ${call}: ${sent.length} bytes, ${wordsOf(error)}`,
        )
        await healAll(store, store.book)
        const after = await read()
        report.check(
          after.sent.equals(content),
          `after ${plan.words} at call ${call} the blob is not served any more`,
        )
      }
  } finally {
    await world.close()
    await rm(directory, { recursive: true })
  }
}

await readFaults()
const trials: { script: Script; plan: Plan; call: number }[] = []
for (const script of scripts) {
  const calls = await run(script, undefined, 0)
  report.count('calls', calls)
  for (const plan of plans) for (let call = 1; call <= calls; call++) trials.push({ script, plan, call })
}
const chosen = trials.map((trial) => ({ trial, order: random.next() })).sort((a, b) => a.order - b.order)
const queue = chosen.slice(0, options.runs).map(({ trial }) => trial)
await Promise.all(
  Array.from({ length: 4 }, async () => {
    for (let trial = queue.pop(); trial; trial = queue.pop()) {
      await run(trial.script, trial.plan, trial.call)
      report.count('runs')
    }
  }),
)
await hash.close()
report.count('seconds', (Date.now() - began) / 1000)
report.finish()
