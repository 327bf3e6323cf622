/** Signing in, the way of a file to the store and back, and what others see of it. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import type { RunningServer } from '../../support/server.ts'
import { appears, check, MiB, makeFile, openPage, signIn, uploadFiles } from './stage.ts'

/** As if a person had dragged them from a folder: on a view, wherever the pointer is. */
const dropFiles = async (page: Page, ...names: string[]): Promise<void> => {
  const dataTransfer = await page.evaluateHandle((all) => {
    const transfer = new DataTransfer()
    for (const name of all) transfer.items.add(new File([`content of ${name}`], name))
    return transfer
  }, names)
  await page.dispatchEvent('main', 'dragover', { dataTransfer })
  await page.dispatchEvent('main', 'drop', { dataTransfer })
}

export const firstSteps = async (
  browser: Browser,
  server: RunningServer,
  directory: string,
): Promise<void> => {
  const { page, context } = await openPage(browser, server.url)
  await signIn(page, 'system', 'not the key')
  const refusal = await page.getByRole('alert').textContent()
  check('a wrong key is refused in words', /key/i.test(refusal ?? ''), refusal)
  check('a wrong key shows nothing', (await page.getByRole('heading', { name: 'Artifacts' }).count()) === 0)

  await signIn(page, 'system', server.systemKey)
  await page.getByRole('heading', { name: 'Artifacts' }).waitFor()
  const kept = await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage }))
  check('nothing is stored without agreement', kept === '{}', kept)

  const path = join(directory, 'debian 12.qcow2')
  const sha512 = await makeFile(path, 20 * MiB)
  await uploadFiles(page, path)
  const task = page.getByRole('listitem', { name: 'Upload of debian 12.qcow2' })
  await task.getByRole('link', { name: 'debian 12.qcow2, version 1' }).click()
  await page.getByRole('heading', { name: 'debian 12.qcow2' }).waitFor()
  const digest = await page.getByTitle(sha512).count()
  check('an upload ends in a version with the right SHA-512', digest === 1)

  const [saved] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download version 1' }).click(),
  ])
  const back = createHash('sha512')
    .update(await readFile(await saved.path()))
    .digest('hex')
  check('a download brings the same bytes', back === sha512)
  check('a download has its name', saved.suggestedFilename() === 'debian 12.qcow2', saved.suggestedFilename())

  // Small enough to be looked up before anything is sent; of a larger one, a fast line may have taken all by then
  const small = join(directory, 'notes.txt')
  await makeFile(small, 2 * MiB)
  await uploadFiles(page, small)
  await page.getByRole('link', { name: 'notes.txt, version 1' }).waitFor()
  await uploadFiles(page, small)
  await page.getByText('already there, nothing sent').waitFor()
  check('content that is there already is not sent', true)

  await dropFiles(page, 'first.txt', 'second.txt')
  await page.getByRole('heading', { name: '2 files to upload' }).waitFor()
  await page.getByRole('radio', { name: 'Other file' }).check()
  const command = 'holdfast artifact upload --type other --each first.txt second.txt'
  check('several files have one command', await appears(page.getByText(command)))
  await page.getByRole('button', { name: 'Upload', exact: true }).click()
  for (const name of ['first.txt', 'second.txt'])
    await page.getByRole('link', { name: `${name}, version 1` }).waitFor()
  check('files that are dropped are uploaded, several at once', true)

  await page.getByRole('link', { name: 'Artifacts' }).first().click()
  await page.getByRole('row', { name: /debian 12\.qcow2/ }).waitFor()
  const row = await page.getByRole('row', { name: /debian 12\.qcow2/ }).textContent()
  check('the list tells size and age', /20\.0 MiB/.test(row ?? '') && /ago|just now/.test(row ?? ''), row)

  await page.reload()
  await page.getByRole('button', { name: 'Sign in' }).waitFor()
  check('without agreement a reload signs out', true)
  await signIn(page, 'system', server.systemKey, true)
  await page.getByRole('heading', { name: 'Artifacts' }).waitFor()
  const stored = await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage }))
  check('the key is never stored', !stored.includes(server.systemKey) && stored.includes('token'), stored)
  await page.reload()
  await page.getByRole('row', { name: /debian 12\.qcow2/ }).waitFor()
  check('with agreement a reload goes on', true)
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByRole('button', { name: 'Sign in' }).waitFor()
  check('signing out forgets the token', (await page.evaluate(() => sessionStorage.length)) === 0)
  await context.close()
}
