/** The whole way by keys alone: no pointer is used in this file. */
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import type { RunningServer } from '../../support/server.ts'
import { check, makeFile, openPage } from './stage.ts'

const most = 60

/** What has the focus, as a screen reader would name it, roughly. */
const focused = (page: Page): Promise<string> =>
  page.evaluate(() => {
    const element = document.activeElement as HTMLInputElement | null
    const label = element?.getAttribute('aria-label') ?? element?.labels?.[0]?.textContent
    return `${element?.localName}: ${label ?? element?.textContent ?? ''}`.trim()
  })

/** Presses Tab until that has the focus. */
const tabTo = async (page: Page, what: RegExp): Promise<void> => {
  const passed: string[] = []
  for (let presses = 0; presses < most; presses++) {
    const now = await focused(page)
    if (what.test(now)) return
    passed.push(now)
    await page.keyboard.press('Tab')
  }
  throw new Error(`Tab does not lead to ${what}: ${passed.join(', ')}`)
}

/** Whether one can see where the focus is. */
const hasOutline = (page: Page): Promise<boolean> =>
  page.evaluate(() => {
    const { outlineStyle, boxShadow, textDecorationLine } = getComputedStyle(document.activeElement!)
    return outlineStyle !== 'none' || boxShadow !== 'none' || textDecorationLine !== 'none'
  })

export const keyboard = async (browser: Browser, server: RunningServer, directory: string): Promise<void> => {
  const { page, context } = await openPage(browser, server.url)
  // From the start: only when somebody listens does the browser leave choosing files to the test
  page.on('filechooser', () => {})
  const path = join(directory, 'by keys.bin')
  await makeFile(path, 100_000)
  await page.getByRole('button', { name: 'Sign in' }).waitFor()
  check('the first field has the focus', /Namespace/.test(await focused(page)), await focused(page))
  await page.keyboard.type('system')
  await page.keyboard.press('Tab')
  await page.keyboard.type(server.systemKey)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Artifacts' }).waitFor()
  check('one signs in by keys', true)
  check(
    'the heading of the view has the focus',
    /^h1: Artifacts/.test(await focused(page)),
    await focused(page),
  )

  await tabTo(page, /^a: Upload/)
  check('the focus can be seen', await hasOutline(page))
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Upload', exact: true }).waitFor()
  await tabTo(page, /^input: Drop files here/)
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.keyboard.press('Enter')])
  await chooser.setFiles(path)
  await page.getByRole('heading', { name: 'A file to upload' }).waitFor()
  await tabTo(page, /^input: Name of the artifact/)
  await page.keyboard.press('Enter')
  await page.getByRole('link', { name: 'by keys.bin, version 1' }).waitFor()
  check('a file is uploaded by keys', true)

  await tabTo(page, /^a: by keys\.bin, version 1/)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'by keys.bin' }).waitFor()
  await tabTo(page, /^button: Delete this artifact/)
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  const inDialog = () =>
    page.evaluate(() => document.querySelector('dialog')!.contains(document.activeElement))
  check(
    'a dialog takes the focus, and puts it where Enter does no harm',
    /Cancel/.test(await focused(page)) && (await inDialog()),
  )
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  check('and gives it back', /Delete this artifact/.test(await focused(page)), await focused(page))

  await page.keyboard.press('Home')
  await page.evaluate(() => (document.activeElement as HTMLElement).blur())
  await tabTo(page, /^button: To the content/)
  await page.keyboard.press('Enter')
  check('one can skip to the content', /^h1: by keys/.test(await focused(page)), await focused(page))
  await tabTo(page, /^button: Download version 1/)
  const [saved] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')])
  check('a version is downloaded by keys', saved.suggestedFilename() === 'by keys.bin')
  await context.close()
}
