/** Namespaces, keys, trusts, limits and jobs, by the page; and the overview that the administrator sees of it all. */
import { randomBytes } from 'node:crypto'
import type { Browser, Page } from 'playwright-core'
import { login, publish, upload } from '../../support/api.ts'
import { type RunningServer, startServer } from '../../support/server.ts'
import { appears, atRest, check, openPage, signIn, until } from './stage.ts'

export const administration = async (browser: Browser): Promise<void> => {
  const server = await startServer({
    settings: { HOLDFAST_LOG_LEVEL: 'error', HOLDFAST_COLLECT_GRACE: '0', HOLDFAST_JOB_INTERVAL: '1000000' },
  })
  try {
    const { page, context } = await openPage(browser, server.url)
    await signIn(page, 'system', server.systemKey, true)
    const key = await namespaceAndKey(page)
    await keyWorks(browser, server, key)
    await trustsAndLimits(page, server, key)
    await jobs(page, server)
    await overview(page, server)
    await removal(page, server)
    await context.close()
  } finally {
    await server.remove()
  }
}

const namespaceAndKey = async (page: Page): Promise<string> => {
  await page.getByRole('link', { name: 'Administration' }).click()
  await page.getByLabel('New namespace', { exact: true }).fill('crew')
  check(
    'the command beside it follows what is typed',
    await appears(page.getByText('holdfast namespace create crew')),
  )
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('link', { name: 'crew' }).click()
  await page.getByRole('heading', { name: 'crew', exact: true }).waitFor()
  check('a namespace is created', true)
  await page.getByLabel('Name of a new key', { exact: true }).fill('laptop')
  await page.getByRole('button', { name: 'Make a key', exact: true }).click()
  const notice = page.getByRole('status').filter({ hasText: 'shown this once' })
  const key = (await notice.locator('code').textContent()) ?? ''
  check('a new key is shown, long enough not to be guessed', key.length >= 32, key.length)
  await page.reload()
  await page.getByRole('heading', { name: 'Keys' }).waitFor()
  await page.getByText('laptop', { exact: true }).waitFor()
  check('and never again', !(await page.content()).includes(key))
  return key
}

const keyWorks = async (browser: Browser, server: RunningServer, key: string): Promise<void> => {
  const { page, context } = await openPage(browser, server.url)
  await signIn(page, 'crew', key)
  await page.getByText('Nothing is stored here yet').waitFor()
  check('the new key signs in', true)
  await page.getByRole('link', { name: 'Access' }).click()
  await page.getByRole('row', { name: /crew/ }).waitFor()
  await atRest(page)
  const shown = (await page.textContent('main')) ?? ''
  check(
    'others than system see no jobs and make no namespaces',
    !/Jobs|New namespace|collection/.test(shown),
    shown,
  )
  await page.getByRole('link', { name: 'crew', exact: true }).click()
  await page.getByText('0 B, no limit').waitFor()
  await atRest(page)
  check('a namespace sees its limits and cannot set them', (await page.getByText('Set limits').count()) === 0)
  await context.close()
}

const trustsAndLimits = async (page: Page, server: RunningServer, key: string): Promise<void> => {
  const crew = await login(server.url, 'crew', key)
  await page.getByLabel('Trust another namespace', { exact: true }).fill('friends')
  await page.getByRole('button', { name: 'Trust it', exact: true }).click()
  await page.getByRole('button', { name: 'Take back the trust in friends', exact: true }).waitFor()
  const full = async () => (await crew.get('/auth/namespaces/crew')).json.trust.full
  check('a trust is given', (await full()).includes('friends'), await full())
  await page.getByRole('button', { name: 'Take back the trust in friends', exact: true }).click()
  await until(async () => !(await full()).includes('friends'))
  check('and taken back', true)

  await page.getByRole('spinbutton', { name: 'GiB' }).fill('0.5')
  await page.getByRole('spinbutton', { name: 'Artifacts' }).fill('3')
  const command = 'holdfast namespace limits crew --bytes 0.5GiB --artifacts 3 --uploads 10000'
  check('limits have their command', await appears(page.getByText(command)))
  await page.getByRole('button', { name: 'Set limits', exact: true }).click()
  await page.getByText('0 B of 512.0 MiB').waitFor()
  const { limits } = (await crew.get('/auth/namespaces/crew/usage')).json
  check('limits are set', limits.max_bytes === 2 ** 29 && limits.max_artifacts === 3, limits)

  await page.getByRole('button', { name: 'Delete the key laptop', exact: true }).click()
  await until(async () => (await crew.get('/artifacts')).status === 401)
  check('a deleted key ends its tokens', true)
}

const jobs = async (page: Page, server: RunningServer): Promise<void> => {
  const system = await login(server.url, 'system', server.systemKey)
  const { uuid } = await publish(system, 'thrown-away', randomBytes(4000))
  await system.delete(`/artifacts/${uuid}`)
  await page.goto(`${server.url}/ui/#/administration`)
  await page.getByText('The next run removes 1 blob (3.9 KiB)').waitFor()
  const preview = page.getByRole('table', { name: 'Blobs that nothing refers to' })
  await preview.getByText(/no version and no lease/).waitFor()
  check('a dry run says what would go, and why', true)
  const before = (await system.get('/admin/collection')).json
  check('and changes nothing', before.due.blobs === 1, before)
  await page.getByRole('button', { name: 'Run now: collect-blobs', exact: true }).click()
  await page
    .getByRole('row', { name: /collect-blobs/ })
    .getByText('collected 1')
    .waitFor()
  check('a job is run now, and tells what it did', true)
  await page.getByRole('button', { name: 'Look again', exact: true }).click()
  await page.getByText('Every blob is referred to.').waitFor()
  check('another look finds nothing left', true)
}

const overview = async (page: Page, server: RunningServer): Promise<void> => {
  const system = await login(server.url, 'system', server.systemKey)
  const content = randomBytes(2 ** 20)
  await publish(system, 'twice', content)
  await publish(system, 'twice again', content)
  await system.post('/auth/namespaces/crew/keys', { key_name: 'other', key: 'another key of crew' })
  const crew = await login(server.url, 'crew', 'another key of crew')
  await upload(crew, randomBytes(3000))
  await crew.post('/upload', { size: 2 ** 30 })
  const counted = async () => {
    await system.post('/admin/jobs/sample-usage', { wait: 10 })
    const { newest, samples } = (await system.get('/admin/usage')).json
    return newest.logical_bytes >= 2 ** 21 && samples.length > 1
  }
  await until(counted)
  await page.goto(`${server.url}/ui/#/overview`)
  await page.getByRole('img', { name: /What is stored went from/ }).waitFor()
  await page.locator('.chart canvas').waitFor()
  const tiles = (await page.locator('.tiles').first().textContent()) ?? ''
  check('what deduplication saves is told', /Deduplication saves1\.0 MiB/.test(tiles), tiles)
  await page.getByText('The figures as a table').click()
  const rows = await page
    .getByRole('table', { name: /What is stored/ })
    .getByRole('row')
    .count()
  check('the chart has its figures as a table', rows >= 3, rows)
  for (const range of ['90 days', '10 years']) {
    await page.getByRole('radio', { name: range }).check()
    await page.locator(`text=holdfast admin usage --days ${range === '90 days' ? 90 : 3650}`).waitFor()
  }
  check('other times can be looked at', true)
  const uploads = page.getByRole('table', { name: 'Uploads in progress' })
  await uploads.getByRole('row', { name: /crew.*2\.9 KiB/ }).waitFor()
  check(
    "everybody's uploads are shown, and when they expire",
    /in 1 day/.test((await uploads.textContent()) ?? ''),
  )
  const failures = page.getByRole('table', { name: 'Recent failures' })
  await failures.getByRole('row', { name: /create upload.*crew.*quota/ }).waitFor()
  check('what failed of late is shown', true)
  const use = page.getByRole('table', { name: 'Use by namespace' })
  await use.getByRole('row', { name: /crew.*0 % of 512\.0 MiB/ }).waitFor()
  check('the use of quotas is shown', true)
  await page
    .getByRole('table', { name: 'Nodes' })
    .getByRole('row', { name: /this page comes from it up / })
    .waitFor()
  check('the nodes are shown', true)
}

const removal = async (page: Page, server: RunningServer): Promise<void> => {
  await page.goto(`${server.url}/ui/#/administration/crew`)
  await page.getByRole('button', { name: 'Delete this namespace', exact: true }).click()
  const dialog = page.getByRole('dialog')
  check('a deletion says what goes and what stays', /Goes:.*Stays:/.test((await dialog.textContent()) ?? ''))
  await dialog.getByRole('button', { name: 'Delete crew', exact: true }).click()
  await page.getByRole('heading', { name: 'Administration' }).waitFor()
  await page.getByRole('row', { name: /^system/ }).waitFor()
  check('a namespace is deleted', (await page.getByRole('link', { name: 'crew' }).count()) === 0)
}
