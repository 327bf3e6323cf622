/**
 * A real browser uploads through the client's build for browsers, is reloaded half-way, and goes on. The connection is
 * brought to a halt at the byte where the page is then reloaded, so that nothing depends on how fast the machine is.
 *
 * It wants Chromium: Debian's, or the one that `TEST_CHROMIUM` names.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, open as openFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { login } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import type { Login } from './page/page.ts'
import { servePage } from './page-server.ts'

const MiB = 1024 * 1024
const executablePath = process.env.TEST_CHROMIUM ?? '/usr/bin/chromium'
const timeout = 60_000
/** With which an upload to Holdfast begins. */
const firstChunk = 4 * MiB

let passed = 0
let failed = 0
const check = (what: string, isRight: boolean, found?: unknown): void => {
  if (isRight) passed += 1
  else failed += 1
  const seen = found === undefined ? '' : `: ${JSON.stringify(found)}`
  console.log(`${isRight ? 'ok' : 'FAILED'}  ${what}${isRight ? '' : seen}`)
}

const makeFile = async (path: string, size: number): Promise<string> => {
  const hash = createHash('sha512')
  const file = await openFile(path, 'w')
  for (let at = 0; at < size; at += MiB) {
    const block = randomBytes(Math.min(MiB, size - at))
    hash.update(block)
    await file.write(block)
  }
  await file.close()
  return hash.digest('hex')
}

/** How many uploads the page could go on with. */
const recordsOf = (page: Page): Promise<number> =>
  page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith('holdfast.upload.')).length)

/** The whole suite, in one page of a browser, against one server. */
const run = async (browser: Browser, server: RunningServer, directory: string): Promise<void> => {
  await using pages = await servePage(server.url, join(directory, 'page'))
  const context = await browser.newContext()
  context.setDefaultTimeout(timeout)
  const page = await context.newPage()
  const workers: string[] = []
  const complaints: string[] = []
  page.on('worker', (worker) => workers.push(worker.url()))
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    // A refused request is one, which the client has to live with; what the page's policy forbids is another
    const isRefusal = message.text().startsWith('Failed to load resource')
    if (message.type() === 'error' && !isRefusal) complaints.push(message.text())
  })
  console.log(`Chromium ${browser.version()}`)
  const credentials: Login = { namespace: 'system', key: server.systemKey }
  const system = await login(server.url, 'system', server.systemKey)
  const stored = async (name: string) => (await system.get(`/artifacts/${name}/versions`)).json

  /** Loads the page and chooses a file: a page forgets its files when it is reloaded. */
  const open = async (path: string): Promise<void> => {
    await page.goto(pages.url)
    await page.setInputFiles('#file', path)
  }
  const upload = (name: string) =>
    page.evaluate(([to, as]) => window.client.upload(to, as), [credentials, name] as const)
  /** Begins an upload, and reloads the page when this many bytes have gone out. */
  const interrupt = async (path: string, name: string, bytes: number): Promise<void> => {
    pages.restart(bytes)
    await open(path)
    const lost = upload(name).catch(() => 'lost')
    const first = await Promise.race([lost, pages.halted()])
    if (first === 'lost') throw new Error('the upload ended before it could be interrupted')
    await page.reload()
    await lost
    await page.setInputFiles('#file', path)
  }

  const file = join(directory, 'large.bin')
  const size = 200 * MiB
  const sha512 = await makeFile(file, size)
  await interrupt(file, 'large', size / 2)
  const { acknowledged } = pages
  pages.restart()
  const result = await upload('large')
  console.log(`reloaded after ${acknowledged} acknowledged bytes of ${size}; continued at ${result.resumed}`)
  check('an upload goes on after a reload, not from the beginning', result.resumed > 0, result)
  check('nothing that was acknowledged is lost', result.resumed >= acknowledged, result)
  // The halted request still has a few bytes on their way to the server, which move the end under the first chunk
  const inVain = pages.appended - (size - result.resumed)
  check('only what is missing is sent, but for one small chunk', inVain <= firstChunk, inVain)
  check('the browser knows the SHA-512', result.sha512 === sha512, result)
  const versions = await stored('large')
  check('there is one version', versions.length === 1 && result.version === 1, versions)
  check('the server has the right SHA-512', versions[0].sha512 === sha512, versions)
  check('the server has the right size', versions[0].size === size, versions)
  const hashers = workers.filter((url) => /\/hash-worker-[^/]*\.js$/.test(url))
  check('a Web Worker hashes, before the reload and after', hashers.length === 2, workers)
  check('no record of the upload stays', (await recordsOf(page)) === 0)

  // The line halts half-way: over the loopback the hash may well be slower than the sending, and then there is no hit
  pages.restart(size / 2)
  await open(file)
  const again = await upload('again')
  check('content that the server has is found', again.hit && again.blobUuid === result.blobUuid, again)
  check('and the rest is not sent', again.sent < size, again)
  pages.restart()

  const back = await page.evaluate(([from, as]) => window.client.download(from, as), [
    credentials,
    'large',
  ] as const)
  check('a download is verified', back.verified, back)
  check('a download brings the same bytes', back.sha512 === sha512, back)

  const changing = join(directory, 'changing.bin')
  await makeFile(changing, 20 * MiB)
  await interrupt(changing, 'changing', 10 * MiB)
  check('an interrupted upload leaves a record', (await recordsOf(page)) === 1)
  const newDigest = await makeFile(changing, 20 * MiB)
  await open(changing)
  pages.restart()
  const changed = await upload('changing')
  check('a file that was changed begins anew', changed.resumed === 0, changed)
  const changedVersions = await stored('changing')
  check(
    'a changed file is not glued to the old one',
    changedVersions.length === 1 && changedVersions[0].sha512 === newDigest,
    changedVersions,
  )
  check('the page has nothing to complain about', complaints.length === 0, complaints)
}

const directory = await mkdtemp(join(tmpdir(), 'holdfast-browser-'))
// The sandbox of Chromium does not work for root, as whom the suites run
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'], timeout })
const server = await startServer({ settings: { HOLDFAST_LOG_LEVEL: 'warn' } })
try {
  await run(browser, server, directory)
} finally {
  await browser.close()
  await server.remove()
  await rm(directory, { recursive: true, force: true })
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
