/**
 * Every view, light and dark, wide and as narrow as a small phone: what axe finds, and whether anything sticks out at the
 * side. `TEST_SCREENSHOTS` names a directory for pictures of them.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import type { RunningServer } from '../../support/server.ts'
import { check, openPage, signIn } from './stage.ts'

const axePath = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

interface Finding {
  readonly id: string
  readonly impact: string
  readonly nodes: readonly string[]
}

/** Serious and critical findings of axe. Through the browser's own tools, as the page's policy allows no foreign script. */
const findings = async (page: Page): Promise<Finding[]> => {
  const known = await page.evaluate(() => 'axe' in window)
  if (!known) await page.addInitScript({ path: axePath })
  if (!known) await page.reload()
  return await page.evaluate(async () => {
    // biome-ignore lint/suspicious/noExplicitAny: axe is there only in this page
    const { violations } = await (window as any).axe.run()
    return violations
      .filter(({ impact }: { impact: string }) => impact === 'serious' || impact === 'critical')
      .map(({ id, impact, nodes }: { id: string; impact: string; nodes: { html: string }[] }) => ({
        id,
        impact,
        nodes: nodes.slice(0, 3).map(({ html }) => html.slice(0, 200)),
      }))
  })
}

const someFiles = [
  'debian-13-netinst.iso',
  'a name that is long enough to need more than one line.qcow2',
].map((name) => ({ name, mimeType: 'application/octet-stream', buffer: Buffer.alloc(5000) }))

/** What can be brought up on every view: its place, and what is done there. */
const viewsOf = (
  artifact: string,
): Record<string, { path: string; act?: (page: Page) => Promise<void> }> => ({
  artifacts: { path: '/artifacts' },
  artifact: { path: `/artifacts/${artifact}` },
  comparison: {
    path: `/artifacts/${artifact}`,
    act: (page) => page.getByText('Compare two versions').click(),
  },
  deletion: {
    path: `/artifacts/${artifact}`,
    act: (page) => page.getByRole('button', { name: 'Delete this artifact' }).click(),
  },
  labelling: {
    path: `/artifacts/${artifact}`,
    act: (page) => page.getByRole('button', { name: 'Label version 1' }).click(),
  },
  'nothing found': { path: '/artifacts?name=no-such-name' },
  'no such artifact': {
    path: '/artifacts/00000000-0000-4000-8000-000000000000',
    act: (page) => page.getByRole('alert').waitFor(),
  },
  uploads: { path: '/uploads' },
  'chosen files': {
    path: '/uploads',
    act: async (page) => {
      await page.setInputFiles('input[type=file]', someFiles)
      await page.getByRole('heading', { name: '2 files to upload' }).waitFor()
    },
  },
  overview: { path: '/overview', act: (page) => page.locator('.chart canvas').waitFor() },
  figures: {
    path: '/overview',
    act: async (page) => {
      await page.locator('.chart canvas').waitFor()
      await page.getByRole('radio', { name: '90 days' }).check()
      await page.getByText('The figures as a table').click()
    },
  },
  administration: { path: '/administration' },
  namespace: { path: '/administration/builds' },
  'no such view': { path: '/nowhere' },
})

const settle = async (page: Page): Promise<void> => {
  await page.waitForFunction(
    () => document.querySelector('main h1') !== null && !document.querySelector('[aria-busy=true]'),
  )
  await page.waitForLoadState('networkidle')
}

/** Looks at them as `system`; `artifact` is the UUID of one with several versions. */
export const lookAtViews = async (
  browser: Browser,
  server: RunningServer,
  artifact: string,
): Promise<void> => {
  const pictures = process.env.TEST_SCREENSHOTS
  for (const dark of [false, true]) {
    for (const width of [1280, 360]) {
      const look = `${width}${dark ? ' dark' : ''}`
      const { page, context } = await openPage(browser, server.url, { width, dark })
      const take = async (name: string) => {
        if (pictures)
          await page.screenshot({
            path: join(pictures, `${name.replaceAll(' ', '-')}-${width}-${dark ? 'dark' : 'light'}.png`),
            fullPage: true,
          })
      }
      const first = await findings(page)
      check(`axe finds nothing serious: sign-in, ${look}`, first.length === 0, first)
      await take('sign-in')
      await signIn(page, 'system', server.systemKey, true)
      await page.getByRole('heading', { name: 'Artifacts' }).waitFor()
      for (const [name, { path, act }] of Object.entries(viewsOf(artifact))) {
        await page.goto(`${server.url}/ui/#/`)
        await page.goto(`${server.url}/ui/#${path}`)
        await settle(page)
        await act?.(page)
        const found = await findings(page)
        check(`axe finds nothing serious: ${name}, ${look}`, found.length === 0, found)
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        check(`nothing sticks out: ${name}, ${look}`, over <= 0, over)
        await take(name)
      }
      await context.close()
    }
  }
}
