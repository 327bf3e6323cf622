/**
 * What the suite of the web page stands on: Chromium, counted checks, and pages that are watched: a console error or a
 * request to another host than the store fails the suite, whatever the flow was about.
 */
import { createHash, randomBytes } from 'node:crypto'
import { open as openFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Browser,
  type BrowserContext,
  chromium,
  type Locator,
  type Page,
  type Request,
} from 'playwright-core'

export const MiB = 1024 * 1024
export const timeout = 60_000
const executablePath = process.env.TEST_CHROMIUM ?? '/usr/bin/chromium'

/** The sandbox of Chromium does not work for root, as whom the suites run. */
export const openBrowser = (): Promise<Browser> =>
  chromium.launch({ executablePath, args: ['--no-sandbox'], timeout })

let passed = 0
let failed = 0

/** Counts one check, and tells what was found when it fails. */
export const check = (what: string, isRight: boolean, found?: unknown): void => {
  if (isRight) passed += 1
  else failed += 1
  const seen = isRight || found === undefined ? '' : `: ${JSON.stringify(found)?.slice(0, 2000)}`
  console.log(`${isRight ? 'ok' : 'FAILED'}  ${what}${seen}`)
}

/** The last line of the suite, and its exit code. */
export const conclude = (): void => {
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1
}

/** Writes random bytes; answers their SHA-512. */
export const makeFile = async (path: string, size: number): Promise<string> => {
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

/** Waits until it is so. */
export const until = async (isSo: () => Promise<boolean>): Promise<void> => {
  const deadline = Date.now() + timeout
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`not so in ${timeout} ms: ${isSo}`)
    await sleep(100)
  }
}

/** Whether something comes into view, be it a moment later. */
export const appears = (what: Locator): Promise<boolean> =>
  what.waitFor().then(
    () => true,
    () => false,
  )

/** What pages have complained about so far. */
export const complaints: string[] = []

/** A refused or cut request is logged by the browser itself, and is what the page has to live with. */
const isRequestNews = (text: string): boolean => text.startsWith('Failed to load resource')

const underWay = new WeakMap<Page, Set<Request>>()

/** Notes everything that this page must not do, and what it waits for. `url`: the store it belongs to. */
export const watch = (page: Page, url: string): void => {
  const { origin } = new URL(url)
  const requests = new Set<Request>()
  underWay.set(page, requests)
  page.on('request', (request) => {
    // With another document, what the last one asked for is over
    if (request.isNavigationRequest()) requests.clear()
    else if (request.resourceType() === 'fetch') requests.add(request)
  })
  page.on('requestfinished', (request) => requests.delete(request))
  page.on('requestfailed', (request) => requests.delete(request))
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`))
  page.on('console', (message) => {
    if (message.type() === 'error' && !isRequestNews(message.text())) complaints.push(message.text())
  })
  page.on('request', (request) => {
    if (!request.url().startsWith(origin) && !/^(blob|data):/.test(request.url()))
      complaints.push(`a request to ${request.url()}`)
  })
}

export interface PageOptions {
  readonly width?: number
  readonly height?: number
  readonly dark?: boolean
}

/** A tab of its own, at the page of a store. */
export const openPage = async (
  browser: Browser,
  url: string,
  { width = 1280, height = 800, dark = false }: PageOptions = {},
): Promise<{ page: Page; context: BrowserContext }> => {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: dark ? 'dark' : 'light',
    // What is half-way faded in has no colours to be judged by
    reducedMotion: 'reduce',
    permissions: ['clipboard-read', 'clipboard-write'],
  })
  context.setDefaultTimeout(timeout)
  const page = await context.newPage()
  watch(page, url)
  await page.goto(`${url}/ui/`)
  return { page, context }
}

/** Waits until a watched page is at rest: no request is under way, what came of the last is drawn, and nothing moves. */
export const atRest = async (page: Page): Promise<void> => {
  const requests = underWay.get(page)!
  const isStill = () =>
    page.evaluate(async () => {
      // Effects run after a frame, and may ask for more
      for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame)
      await new Promise((done) => setTimeout(done))
      const moves = document.getAnimations().some(({ playState }) => playState === 'running')
      return !moves && document.querySelector('[aria-busy=true]') === null
    })
  await until(
    async () => (await isStill()) && requests.size === 0 && (await isStill()) && requests.size === 0,
  )
}

/** Takes a picture of all of a page, or of what can be seen when a dialog is open, if `TEST_SCREENSHOTS` names a directory. */
export const takePicture = async (page: Page, name: string): Promise<void> => {
  const directory = process.env.TEST_SCREENSHOTS
  if (!directory) return
  const fullPage = (await page.locator('dialog[open]').count()) === 0
  await page.screenshot({ path: join(directory, `${name.replaceAll(' ', '-')}.png`), fullPage })
}

/** Signs in by the form. */
export const signIn = async (page: Page, namespace: string, key: string, stay = false): Promise<void> => {
  await page.getByRole('textbox', { name: 'Namespace' }).fill(namespace)
  await page.getByLabel('Key', { exact: true }).fill(key)
  await page.getByLabel('Stay signed in').setChecked(stay)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

/** Chooses files in the upload view and sends them. */
export const uploadFiles = async (page: Page, ...paths: string[]): Promise<void> => {
  await page.getByRole('link', { name: 'Upload' }).first().click()
  await page.setInputFiles('input[type=file]', paths)
  await page.getByRole('button', { name: 'Upload', exact: true }).click()
}
