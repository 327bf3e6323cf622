/**
 * Memory of a client that moves one very large file up, and down over four connections: it must not depend on the size.
 * The peak of each process is what Linux says of it (VmHWM).
 *
 * `--runs` is the size of the file in GiB; the disk needs twice that. The file is a hole with a number at its end: what
 * it holds makes no difference to memory, and nothing has to be written before the measurement.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startServer } from '../support/server.ts'
import type { ClientJob, ClientNews } from './client-process.ts'
import { memoryOf, Report, readOptions, wordsOf } from './harness.ts'

const options = readOptions(4)
const report = new Report('client memory', options)
const GiB = 1024 ** 3
const connections = 4
const maxPeakMiB = 150
const size = options.runs * GiB + 1

const program = fileURLToPath(new URL('./client-process.ts', import.meta.url))
const directory = await mkdtemp(join(tmpdir(), 'holdfast-client-memory-'))
const source = join(directory, 'source')
const to = join(directory, 'target')
const server = await startServer({ settings: { HOLDFAST_LOG_LEVEL: 'warn', HOLDFAST_VERIFY_INTERVAL: '0' } })

/** Runs one transfer in a process of its own. */
const transfer = async (what: Pick<ClientJob, 'upload' | 'download'>): Promise<ClientNews> => {
  const job: ClientJob = { url: server.url, key: server.systemKey, state: join(directory, 'state'), ...what }
  const child = spawn(process.execPath, [program, JSON.stringify(job)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`the client ended with ${code}: ${text}`)
  return JSON.parse(text) as ClientNews
}

const measure = async (name: string, what: Pick<ClientJob, 'upload' | 'download'>): Promise<ClientNews> => {
  const began = performance.now()
  const news = await transfer(what)
  const seconds = (performance.now() - began) / 1000
  report.count(`${name}: MiB of memory at most`, news.peakMiB)
  report.count(`${name}: seconds`, seconds)
  report.check(
    news.peakMiB <= maxPeakMiB,
    `${name}: the client used ${news.peakMiB.toFixed(1)} MiB, more than ${maxPeakMiB}`,
  )
  return news
}

try {
  const file = await open(source, 'w')
  await file.write(Buffer.from([options.seed & 255]), 0, 1, size - 1)
  await file.close()
  const up = await measure('up', { upload: { source, name: 'large' } })
  report.check(up.moved === size, `${up.moved} bytes were sent instead of ${size}`)
  const down = await measure('down', { download: { artifact: 'large', to, connections } })
  report.check(down.verified === true, 'the download was not verified')
  report.check((await stat(to)).size === size, 'the download has another size')
  report.count('server: MiB of memory at most', (await memoryOf(server.pid)).peak)
} catch (error) {
  report.fail(wordsOf(error))
} finally {
  await server.remove()
  await rm(directory, { recursive: true, force: true })
}
report.finish()
process.exit()
