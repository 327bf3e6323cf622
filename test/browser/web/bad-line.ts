/** A large upload over a line that breaks three times, and whose tab is reloaded once; pausing, on a slow line; a tab that crashes. */
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { login, type Session } from '../../support/api.ts'
import type { RunningServer } from '../../support/server.ts'
import { admitAxe, checkByAxe } from './axe.ts'
import { checkCommands } from './commands-beside.ts'
import { type Line, openLine } from './line.ts'
import { check, MiB, makeFile, openPage, signIn, takePicture, uploadFiles, watch } from './stage.ts'

const size = 300 * MiB
const patienceMs = 180_000

export const badLine = async (browser: Browser, server: RunningServer, directory: string): Promise<void> => {
  await using line = await openLine(server.url)
  const { page, context } = await openPage(browser, line.url)
  await admitAxe(page)
  await page.reload()
  await signIn(page, 'system', server.systemKey, true)
  await page.getByRole('heading', { name: 'Artifacts' }).waitFor()
  const path = join(directory, 'large.img')
  const sha512 = await makeFile(path, size)

  line.cutAt(50 * MiB, 110 * MiB, 170 * MiB)
  const halted = line.haltAt(230 * MiB)
  await uploadFiles(page, path)
  await halted
  check('the line broke three times', line.cuts === 3, line.cuts)
  page.on('dialog', (dialog) => dialog.accept())
  // The connection of the upload stays as dead as it is; new ones pass
  line.release()
  await page.reload()
  await page.goto(`${line.url}/ui/#/uploads`)
  const interrupted = page.getByRole('heading', { name: 'Interrupted' })
  await interrupted.waitFor()
  check('after the reload the page knows of the upload', true)
  await checkByAxe(page, 'an interrupted upload')
  await checkCommands(page, 'an interrupted upload')
  await takePicture(page, 'interrupted')
  const before = line.sent
  await page.setInputFiles('input[type=file]', path)
  await page.getByRole('link', { name: 'large.img, version 1' }).waitFor({ timeout: patienceMs })
  check('the same file goes on where it was', line.sent - before < 200 * MiB, line.sent - before)
  const system = await login(server.url, 'system', server.systemKey)
  const versions = (await system.get('/artifacts/large.img/versions')).json
  check('it ends in the right SHA-512', versions.length === 1 && versions[0].sha512 === sha512, versions)
  await page.waitForFunction(
    () => !Object.keys(localStorage).some((key) => key.startsWith('holdfast.upload.')),
  )
  check('no record of it stays', true)

  await pausing(page, context, system, directory)
  await crash(page, context, system, line, server, directory)
  await context.close()
}

/** On a line that is slow enough to see it. */
const pausing = async (
  page: Page,
  context: BrowserContext,
  system: Session,
  directory: string,
): Promise<void> => {
  const cdp = await context.newCDPSession(page)
  await cdp.send('Network.enable')
  const slow = { offline: false, latency: 50, downloadThroughput: MiB, uploadThroughput: 4 * MiB }
  await cdp.send('Network.emulateNetworkConditions', slow)
  const other = join(directory, 'slow.img')
  const otherSha512 = await makeFile(other, 40 * MiB)
  await uploadFiles(page, other)
  const task = page.getByRole('listitem', { name: 'Upload of slow.img' })
  await task.getByText(/left/).first().waitFor()
  check('rate and remaining time are shown', /\/s/.test((await task.textContent()) ?? ''))
  await checkCommands(page, 'an upload under way')
  await takePicture(page, 'sending')
  await task.getByRole('button', { name: 'Pause' }).click()
  await task.getByText(/are kept on the server and expire|Nothing was kept/).waitFor()
  check('a paused upload says what is kept', true)
  await checkByAxe(page, 'a paused upload')
  await checkCommands(page, 'a paused upload')
  await takePicture(page, 'paused')
  await cdp.send('Network.emulateNetworkConditions', {
    ...slow,
    latency: 0,
    uploadThroughput: -1,
    downloadThroughput: -1,
  })
  await task.getByRole('button', { name: 'Resume' }).click()
  await page.getByRole('link', { name: 'slow.img, version 1' }).waitFor()
  const [resumed] = (await system.get('/artifacts/slow.img/versions')).json
  check('a resumed upload ends in the right SHA-512', resumed.sha512 === otherSha512, resumed)
}

/** The tab dies in the middle of an upload, and another one goes on with it. */
const crash = async (
  page: Page,
  context: BrowserContext,
  system: Session,
  line: Line,
  server: RunningServer,
  directory: string,
): Promise<void> => {
  const path = join(directory, 'crash.img')
  const sha512 = await makeFile(path, 40 * MiB)
  const halted = line.haltAt(line.sent + 20 * MiB)
  await uploadFiles(page, path)
  await halted
  const cdp = await context.newCDPSession(page)
  const crashed = page.waitForEvent('crash')
  // A tab that is gone answers nothing
  cdp.send('Page.crash').catch(() => {})
  await crashed
  line.release()

  const next = await context.newPage()
  watch(next, line.url)
  await next.goto(`${line.url}/ui/#/uploads`)
  await signIn(next, 'system', server.systemKey)
  await next.getByText('crash.img').first().waitFor()
  check('after a crash another tab knows of the upload', true)
  const before = line.sent
  await next.setInputFiles('input[type=file]', path)
  await next.getByRole('link', { name: 'crash.img, version 1' }).waitFor({ timeout: patienceMs })
  const [version] = (await system.get('/artifacts/crash.img/versions')).json
  check('and ends it in the right SHA-512', version.sha512 === sha512, version)
  check('without beginning anew', line.sent - before < 30 * MiB, line.sent - before)
}
