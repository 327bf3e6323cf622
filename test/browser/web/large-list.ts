/** A store with 100,000 artifacts: the list asks for pages, and shows no more than one. */
import type { Browser } from 'playwright-core'
import { fillStore } from '../../bench/fill.ts'
import { startServer } from '../../support/server.ts'
import { atRest, check, openPage, signIn } from './stage.ts'

const count = 100_000
const pageRows = 50

export const largeList = async (browser: Browser): Promise<void> => {
  const settings = { HOLDFAST_LOG_LEVEL: 'error', HOLDFAST_VERIFY_INTERVAL: '0' }
  const first = await startServer({ settings })
  await first.stop()
  const { names } = fillStore(first.dataDir, count)
  const server = await startServer({ settings, dataDir: first.dataDir })
  try {
    const { page, context } = await openPage(browser, server.url)
    const sizes: { path: string; bytes: number }[] = []
    page.on('response', async (reply) => {
      if (!reply.url().includes('/artifacts?')) return
      const bytes = await reply.body().then(
        (body) => body.length,
        () => 0,
      )
      sizes.push({ path: reply.url().slice(server.url.length), bytes })
    })
    const rows = page.locator('table.list tbody tr')
    const timed = async (what: string, act: () => Promise<unknown>) => {
      const began = performance.now()
      await act()
      console.log(`    ${what}: ${Math.round(performance.now() - began)} ms`)
      const [shown, nodes] = [
        await rows.count(),
        await page.evaluate(() => document.querySelectorAll('*').length),
      ]
      check(`${what}: one page is shown, of so many`, shown > 0 && shown <= pageRows && nodes < 2500, {
        shown,
        nodes,
      })
    }
    await signIn(page, 'system', server.systemKey, true)
    await timed('the first page', () => page.getByRole('link', { name: names[2]! }).waitFor())
    await timed('the next page', async () => {
      await page.getByRole('button', { name: 'Next' }).click()
      await page.getByText('Page 2').waitFor()
      await page.getByRole('link', { name: names[2]! }).waitFor({ state: 'detached' })
    })
    await timed('a search by name', async () => {
      await page.getByLabel('Name begins with').fill(names[1]!)
      await page.getByRole('link', { name: names[1]! }).waitFor()
      await page.waitForFunction(() => document.querySelectorAll('table.list tbody tr').length === 1)
    })
    await page.getByLabel('Name begins with').fill('')
    await timed('only images', async () => {
      await page.getByLabel('Type').selectOption('image')
      await page.locator('table.list tbody tr', { hasText: 'other' }).first().waitFor({ state: 'detached' })
      await page
        .locator('table.list tbody tr', { hasText: 'image' })
        .nth(pageRows - 1)
        .waitFor()
    })
    await timed('by size', async () => {
      await page.getByLabel('Order').selectOption('-size')
      await page.waitForURL(/sort=-size/)
      await atRest(page)
    })
    check(
      'every list was asked for with a limit, and none was long',
      sizes.length > 4 && sizes.every(({ path, bytes }) => /limit=\d+/.test(path) && bytes < 200_000),
      sizes,
    )
    await page.goto(`${server.url}/ui/#/overview`)
    await page.getByRole('table', { name: 'Use by namespace' }).getByText('100,000').waitFor()
    await page
      .getByText(/97\.7 GiB/)
      .first()
      .waitFor()
    check('the overview tells of all of them', true)
    await context.close()
  } finally {
    await server.remove()
  }
}
