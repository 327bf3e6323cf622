/**
 * Every view, light and dark, wide and as narrow as a small phone: what axe finds, and whether anything sticks out at the
 * side. `TEST_SCREENSHOTS` names a directory for pictures of them.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Browser, ElementHandle, JSHandle, Page } from 'playwright-core'
import type { RunningServer } from '../../support/server.ts'
import { atRest, check, openPage, signIn } from './stage.ts'

const axePath = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

interface Finding {
  readonly id: string
  readonly impact: string
  readonly nodes: readonly string[]
}

/**
 * Serious and critical findings of axe in all of the page, or the colours of one control. axe comes by the browser's own
 * tools, as the page's policy allows no foreign script.
 */
const findings = async (page: Page, control?: ElementHandle<Element>): Promise<Finding[]> =>
  await page.evaluate(async (element) => {
    // biome-ignore lint/suspicious/noExplicitAny: axe is there only in this page
    const { axe } = window as any
    const { violations } = await (element ? axe.run(element, { runOnly: ['color-contrast'] }) : axe.run())
    type Node = { html: string; failureSummary: string }
    return violations
      .filter(({ impact }: { impact: string }) => impact === 'serious' || impact === 'critical')
      .map(({ id, impact, nodes }: { id: string; impact: string; nodes: Node[] }) => ({
        id,
        impact,
        nodes: nodes.slice(0, 3).map((node) => `${node.html.slice(0, 200)} ${node.failureSummary}`),
      }))
  }, control)

/** The first of each kind of button and link, by the kind's name. */
const controlsOf = (page: Page): Promise<JSHandle<Record<string, Element>>> =>
  page.evaluateHandle(() => {
    const kinds: Record<string, Element> = {}
    const scope = document.querySelector('dialog[open]') ?? document
    for (const control of scope.querySelectorAll('a, button:enabled, summary')) {
      const around = control.closest('dialog, nav, .problem')?.nodeName ?? 'page'
      if (control.checkVisibility())
        kinds[`${control.nodeName} ${control.className} in ${around}`] ??= control
    }
    return kinds
  })

/** The colours of each kind of button and link that is not in `looked`, while it has the focus and while it is pointed at. */
const controlFindings = async (page: Page, looked: Set<string>): Promise<Finding[]> => {
  const found: Finding[] = []
  for (const [kind, handle] of await (await controlsOf(page)).getProperties()) {
    if (looked.has(kind)) continue
    looked.add(kind)
    const control = handle.asElement()! as ElementHandle<Element>
    await control.focus()
    found.push(...(await findings(page, control)))
    await control.hover()
    found.push(...(await findings(page, control)))
  }
  await page.mouse.move(0, 0)
  return found
}

const someFiles = [
  'debian-13-netinst.iso',
  'a name that is long enough to need more than one line.qcow2',
].map((name) => ({ name, mimeType: 'application/octet-stream', buffer: Buffer.alloc(5000) }))

interface LookedAt {
  readonly path: string
  /** The heading by which the view is known to be there. */
  readonly heading: string
  /** What is done there, and waited for. */
  readonly act?: (page: Page) => Promise<void>
}

const openDialog = (button: string) => async (page: Page) => {
  await page.getByRole('button', { name: button }).click()
  await page.getByRole('dialog').waitFor()
}

const viewsOf = (artifact: string): Record<string, LookedAt> => {
  const theArtifact = { path: `/artifacts/${artifact}`, heading: 'golden-image.qcow2' }
  const overview = { path: '/overview', heading: 'Overview' }
  return {
    artifacts: { path: '/artifacts', heading: 'Artifacts' },
    artifact: theArtifact,
    comparison: {
      ...theArtifact,
      act: async (page) => {
        await page.getByText('Compare two versions').click()
        await page.getByRole('table', { name: 'Comparison' }).waitFor()
      },
    },
    deletion: { ...theArtifact, act: openDialog('Delete this artifact') },
    labelling: { ...theArtifact, act: openDialog('Label version 1') },
    'nothing found': {
      path: '/artifacts?name=no-such-name',
      heading: 'Artifacts',
      act: (page) => page.getByText('Nothing fits these filters').waitFor(),
    },
    'no such artifact': {
      path: '/artifacts/00000000-0000-4000-8000-000000000000',
      heading: 'Artifact',
      act: (page) => page.getByRole('alert').waitFor(),
    },
    uploads: { path: '/uploads', heading: 'Upload' },
    'chosen files': {
      path: '/uploads',
      heading: 'Upload',
      act: async (page) => {
        await page.setInputFiles('input[type=file]', someFiles)
        await page.getByRole('heading', { name: '2 files to upload' }).waitFor()
      },
    },
    overview: { ...overview, act: (page) => page.locator('.chart canvas').waitFor() },
    figures: {
      ...overview,
      act: async (page) => {
        await page.locator('.chart canvas').waitFor()
        await page.getByRole('radio', { name: '90 days' }).check()
        await page.getByText('The figures as a table').click()
        await page.getByRole('table', { name: /What is stored/ }).waitFor()
      },
    },
    administration: { path: '/administration', heading: 'Administration' },
    namespace: { path: '/administration/builds', heading: 'builds' },
    'no such view': { path: '/nowhere', heading: 'Nothing here' },
  }
}

/** Looks at them as `system`; `artifact` is the UUID of one with several versions. */
export const lookAtViews = async (
  browser: Browser,
  server: RunningServer,
  artifact: string,
): Promise<void> => {
  for (const dark of [false, true])
    for (const width of [1280, 360]) await lookAt(browser, server, artifact, width, dark)
}

const lookAt = async (
  browser: Browser,
  server: RunningServer,
  artifact: string,
  width: number,
  dark: boolean,
): Promise<void> => {
  const pictures = process.env.TEST_SCREENSHOTS
  const look = `${width}${dark ? ' dark' : ''}`
  const { page, context } = await openPage(browser, server.url, { width, dark })
  const controls = new Set<string>()
  const judge = async (name: string) => {
    await atRest(page)
    if (pictures) {
      const file = `${name.replaceAll(' ', '-')}-${width}-${dark ? 'dark' : 'light'}.png`
      await page.screenshot({ path: join(pictures, file), fullPage: true })
    }
    const found = await findings(page)
    check(`axe finds nothing serious: ${name}, ${look}`, found.length === 0, found)
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    check(`nothing sticks out: ${name}, ${look}`, over <= 0, over)
    const faint = await controlFindings(page, controls)
    check(`what is pointed at can be read: ${name}, ${look}`, faint.length === 0, faint)
  }
  await page.addInitScript({ path: axePath })
  await page.reload()
  await page.getByRole('button', { name: 'Sign in' }).waitFor()
  await judge('sign-in')
  await signIn(page, 'system', server.systemKey, true)
  await page.getByRole('heading', { name: 'Artifacts' }).waitFor()
  for (const [name, { path, heading, act }] of Object.entries(viewsOf(artifact))) {
    // Past a view without anything, so that nothing is left of the one before
    await page.goto(`${server.url}/ui/#/nowhere`)
    await page.getByRole('heading', { name: 'Nothing here' }).waitFor()
    await page.goto(`${server.url}/ui/#${path}`)
    await page.getByRole('heading', { name: heading, exact: true, level: 1 }).waitFor()
    await atRest(page)
    await act?.(page)
    await judge(name)
  }
  await context.close()
}
