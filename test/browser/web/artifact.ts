/** One artifact: versions, labels, metadata, sharing, comparison, history that follows live, deletion; and finding it. */
import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Browser, Page } from 'playwright-core'
import { createNamespace, login, publish, type Session } from '../../support/api.ts'
import { type RunningServer, startServer } from '../../support/server.ts'
import { appears, check, openPage, signIn, until } from './stage.ts'

export const artifact = async (browser: Browser): Promise<void> => {
  const server = await startServer({ settings: { HOLDFAST_LOG_LEVEL: 'error' } })
  try {
    const system = await login(server.url, 'system', server.systemKey)
    const first = randomBytes(3000)
    const { uuid } = await publish(system, 'disk.img', first)
    await publish(system, 'disk.img', randomBytes(5000))
    await publish(system, 'other.img', first)
    const [{ uuid: blob }] = (await system.get(`/artifacts/${uuid}/versions`)).json
    await system.post(`/blobs/${blob}/metadata`, { key: 'built by', value: 'pipeline 7' })
    const { page, context } = await openPage(browser, server.url)
    await signIn(page, 'system', server.systemKey, true)
    await page.getByRole('link', { name: 'disk.img', exact: true }).click()
    await page.getByRole('heading', { name: 'disk.img' }).waitFor()
    await versions(page, first)
    await labels(page, system, uuid)
    await metadata(page, system, uuid)
    await sharing(page, system, uuid)
    await live(page, system)
    await search(page, server, system)
    await deletion(page, server, system, uuid)
    await context.close()
  } finally {
    await server.remove()
  }
}

const rowOf = (page: Page, version: number) =>
  page.getByRole('table', { name: 'Versions' }).getByRole('row', { name: new RegExp(`^${version} `) })

const versions = async (page: Page, first: Buffer): Promise<void> => {
  const oldest = rowOf(page, 1)
  await oldest.getByRole('link', { name: 'other.img' }).waitFor()
  check('who else has the same bytes is shown', true)
  await oldest.getByRole('button', { name: /Copy the SHA-512/ }).click()
  const copied = await page.evaluate(() => navigator.clipboard.readText())
  const sha512 = createHash('sha512').update(first).digest('hex')
  check('the whole digest is copied', copied === sha512, copied)
  await oldest.getByRole('button', { name: /Copy the command/ }).click()
  const command = await page.evaluate(() => navigator.clipboard.readText())
  check('and the command', /^holdfast artifact download --version 1 \S+ disk\.img$/.test(command), command)
  const [saved] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download version 1', exact: true }).click(),
  ])
  check('an old version is downloaded', (await readFile(await saved.path())).equals(first))

  await page.getByText('Compare two versions').click()
  const comparison = page.getByRole('table', { name: 'Comparison' })
  await comparison.getByRole('row', { name: /^size 2\.9 KiB 4\.9 KiB different/ }).waitFor()
  await comparison.getByRole('row', { name: /^sha-512 .* different/ }).waitFor()
  await comparison.getByRole('row', { name: /^metadata: built by .*pipeline 7.* different/ }).waitFor()
  await page.getByLabel('The second version', { exact: true }).selectOption('version 1')
  await comparison.getByRole('row', { name: /^sha-512 .* same/ }).waitFor()
  check('versions are compared', true)
}

const labels = async (page: Page, system: Session, uuid: string): Promise<void> => {
  await page.getByRole('button', { name: 'Label version 1', exact: true }).click()
  await page.getByRole('dialog').getByLabel('Label', { exact: true }).fill('stable')
  await page.getByRole('button', { name: 'Set the label', exact: true }).click()
  await rowOf(page, 1).getByRole('link', { name: 'stable' }).waitFor()
  const { json } = await system.get('/label/stable')
  const [first] = (await system.get(`/artifacts/${uuid}/versions`)).json.filter(
    ({ index }: { index: number }) => index === 1,
  )
  check('a label points where it was put', json.blob_uuid === first.uuid, json)
}

const metadata = async (page: Page, system: Session, uuid: string): Promise<void> => {
  const read = async () => (await system.get(`/artifacts/${uuid}/metadata`)).json
  await page.getByText('Set a value').click()
  await page.getByLabel('Key', { exact: true }).fill('commit')
  await page.getByLabel('Value', { exact: true }).fill('f3a91c07')
  await page.getByRole('button', { name: 'Set', exact: true }).click()
  await page.getByRole('row', { name: /commit f3a91c07/ }).waitFor()
  await page.getByRole('button', { name: 'Edit commit', exact: true }).click()
  await page.getByLabel('Value', { exact: true }).fill('0c95aa21')
  await page.getByRole('button', { name: 'Set', exact: true }).click()
  await page.getByRole('row', { name: /commit 0c95aa21/ }).waitFor()
  check('metadata is set and changed', (await read()).commit === '0c95aa21', await read())
  await page.getByLabel('Key', { exact: true }).fill('passing')
  await page.getByLabel('Value', { exact: true }).fill('yes')
  await page.getByRole('button', { name: 'Set', exact: true }).click()
  await page.getByRole('button', { name: 'Delete passing', exact: true }).click()
  await until(async () => !('passing' in (await read())))
  check('and deleted', true)
}

const sharing = async (page: Page, system: Session, uuid: string): Promise<void> => {
  await page.getByText('Visible to: system.').waitFor()
  await page.getByRole('button', { name: 'Share with everybody', exact: true }).click()
  await page.getByText(/Visible to: everybody with a key/).waitFor()
  check('sharing is told in one sentence', (await system.get(`/artifacts/${uuid}`)).json.shared === true)
  await page.getByRole('button', { name: 'Stop sharing', exact: true }).click()
  await page.getByText('Visible to: system.').waitFor()
}

/** The page is not touched in between. */
const live = async (page: Page, system: Session): Promise<void> => {
  const events = page.getByRole('region', { name: 'Events' })
  check('an event is not there before it happens', (await events.getByText('added version 3').count()) === 0)
  await publish(system, 'disk.img', randomBytes(7000))
  await events.getByText('added version 3').waitFor()
  await rowOf(page, 3).getByText('6.8 KiB').waitFor()
  check('events follow live, and what they tell of is shown', true)
}

const search = async (page: Page, server: RunningServer, system: Session): Promise<void> => {
  await page.goto(`${server.url}/ui/#/artifacts`)
  const list = page.locator('table.list tbody tr')
  const shows = async (...names: string[]) => {
    const found = () => list.locator('th a').allTextContents()
    await until(async () => (await found()).sort().join() === names.sort().join())
  }
  await shows('disk.img', 'other.img', 'stable')
  await page.getByLabel('Label', { exact: true }).fill('stable')
  await page.getByLabel('Label', { exact: true }).press('Enter')
  await shows('disk.img', 'other.img')
  check('the list is filtered by label', true)
  await page.getByLabel('Label', { exact: true }).fill('no such label')
  await page.getByLabel('Label', { exact: true }).press('Enter')
  await page.getByText('Nothing fits these filters.').waitFor()
  await page.getByLabel('Label', { exact: true }).fill('')
  await page.getByLabel('Label', { exact: true }).press('Enter')
  await page.getByLabel('Metadata', { exact: true }).fill('commit=0c95aa21')
  await page.getByLabel('Metadata', { exact: true }).press('Enter')
  await shows('disk.img')
  check('and by metadata', true)
  await page.getByLabel('Metadata', { exact: true }).fill('')
  await page.getByLabel('Metadata', { exact: true }).press('Enter')
  await page.getByRole('combobox', { name: 'Type' }).selectOption('label')
  await shows('stable')
  await page.getByRole('combobox', { name: 'Type' }).selectOption('all')
  await page.getByLabel('Name begins with', { exact: true }).fill('oth')
  await shows('other.img')
  check('and by type and name', true)
  await page.getByLabel('Name begins with', { exact: true }).fill('')
  await page.getByRole('combobox', { name: 'State' }).selectOption('error')
  await page.getByText('Nothing fits these filters.').waitFor()
  const theirs = await createNamespace(server.url, system, 'crew')
  await publish(theirs, 'theirs.img', 'their bytes')
  await page.goto(`${server.url}/ui/#/uploads`)
  await page.getByRole('heading', { name: 'Upload', exact: true }).waitFor()
  await page.goto(`${server.url}/ui/#/artifacts`)
  await shows('disk.img', 'other.img', 'stable', 'theirs.img')
  await page.getByRole('combobox', { name: 'Namespace' }).selectOption(theirs.namespace)
  await shows('theirs.img')
  check('and by state and namespace', true)
  const command = `holdfast artifact list --namespace ${theirs.namespace}`
  check('the command beside it has the same conditions', await appears(page.getByText(command)))
}

const deletion = async (page: Page, server: RunningServer, system: Session, uuid: string): Promise<void> => {
  await page.goto(`${server.url}/ui/#/artifacts/${uuid}`)
  const dialog = page.getByRole('dialog')
  const told = async () => (await dialog.textContent()) ?? ''
  await page.getByRole('button', { name: 'Delete version 1', exact: true }).click()
  check(
    'what other versions hold stays, and it is said',
    /Goes:.*version 1 of disk\.img.*Stays:.*the bytes \(2\.9 KiB\)/.test(await told()),
    await told(),
  )
  await dialog.getByRole('button', { name: 'Cancel', exact: true }).click()
  await page.getByRole('button', { name: 'Delete version 2', exact: true }).click()
  check(
    'what nobody else holds goes, and it is said',
    /a while later its 4\.9 KiB/.test(await told()),
    await told(),
  )
  await dialog.getByRole('button', { name: 'Delete version 2', exact: true }).click()
  await rowOf(page, 2).waitFor({ state: 'detached' })
  const left = (await system.get(`/artifacts/${uuid}/versions`)).json.map(
    ({ index }: { index: number }) => index,
  )
  check('a version is deleted, and no other', left.sort().join() === '1,3', left)
  await page.getByRole('button', { name: 'Delete this artifact', exact: true }).click()
  check('a deletion names its command', /holdfast artifact delete/.test(await told()))
  await dialog.getByRole('button', { name: 'Delete disk.img', exact: true }).click()
  // Only then it is done; the view of the artifact has links to others, too
  await page.getByRole('heading', { name: 'Artifacts', exact: true, level: 1 }).waitFor()
  check('an artifact is deleted', (await system.get(`/artifacts/${uuid}`)).json.state === 'deleted')
}
