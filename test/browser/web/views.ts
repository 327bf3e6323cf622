/**
 * Every view, wide and as narrow as a small phone, light and dark: what axe finds, whether anything sticks out at the side, and
 * whether buttons can be read while they have the focus or the pointer; and whether every action has its command. `TEST_SCREENSHOTS` names a directory for pictures.
 */
import type { Browser, Page } from 'playwright-core'
import type { RunningServer } from '../../support/server.ts'
import { admitAxe, checkByAxe, controlFindings } from './axe.ts'
import { checkCommands } from './commands-beside.ts'
import { atRest, check, openPage, signIn, takePicture } from './stage.ts'

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
    'deletion of a version': { ...theArtifact, act: openDialog('Delete version 1') },
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
    overview: {
      ...overview,
      act: async (page) => {
        await page.locator('.chart canvas').waitFor()
        for (const name of ['Biggest artifacts', 'Use by namespace', 'Damaged blobs', 'Recent failures'])
          await page.getByRole('table', { name }).waitFor()
      },
    },
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
    'deletion of a namespace': {
      path: '/administration/builds',
      heading: 'builds',
      act: openDialog('Delete this namespace'),
    },
    'no such view': { path: '/nowhere', heading: 'Nothing here' },
    // Last, because they stay on the page
    'a finished upload': {
      path: '/uploads',
      heading: 'Upload',
      act: async (page) => {
        await page.setInputFiles('input[type=file]', someFiles.slice(0, 1))
        await page.getByRole('button', { name: 'Upload', exact: true }).click()
        await page.getByRole('link', { name: /^debian-13-netinst\.iso, version/ }).waitFor()
      },
    },
    'a finished download': {
      path: '/uploads',
      heading: 'Upload',
      act: async (page) => {
        const link = page.getByRole('link', { name: /^debian-13-netinst\.iso, version/ })
        const version = (await link.textContent())!.split(' ').at(-1)
        await link.click()
        await page.getByRole('button', { name: `Download version ${version}`, exact: true }).click()
        await page.getByText('checked and saved').waitFor()
      },
    },
  }
}

const looks = [
  { width: 1280, dark: false },
  { width: 1280, dark: true },
  { width: 360, dark: true },
  { width: 360, dark: false },
]

/**
 * Looks at one view in all ways. axe has to be admitted. `controls`: the kinds of buttons that need not be looked at again,
 * by light and dark.
 */
export const look = async (
  page: Page,
  name: string,
  controls: readonly Set<string>[] = [new Set(), new Set()],
): Promise<void> => {
  // Where no button is pointed at
  await page.mouse.move(0, 0)
  await atRest(page)
  await checkCommands(page, name)
  for (const { width, dark } of looks) {
    const how = `${name}, ${width}${dark ? ' dark' : ''}`
    await page.setViewportSize({ width, height: 800 })
    await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' })
    await checkByAxe(page, how)
    await takePicture(page, `${name}-${width}-${dark ? 'dark' : 'light'}`)
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    check(`nothing sticks out: ${how}`, over <= 0, over)
    const faint = await controlFindings(page, controls[Number(dark)]!)
    check(`what is pointed at can be read: ${how}`, faint.length === 0, faint)
  }
}

/** Looks at them as `system`; `artifact` is the UUID of one with several versions. */
export const lookAtViews = async (
  browser: Browser,
  server: RunningServer,
  artifact: string,
): Promise<void> => {
  const { page, context } = await openPage(browser, server.url)
  const controls = [new Set<string>(), new Set<string>()]
  await admitAxe(page)
  await page.reload()
  await page.getByRole('button', { name: 'Sign in' }).waitFor()
  await look(page, 'sign-in', controls)
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
    await look(page, name, controls)
  }
  await context.close()
}
