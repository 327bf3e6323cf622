/** A disk that is really full: the data directory lies on a small filesystem of its own. Wants to be root. */
import { execFileSync } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { login } from '../../support/api.ts'
import { startServer } from '../../support/server.ts'
import { check, MiB, makeFile, openPage, signIn, uploadFiles } from './stage.ts'

export const fullDisk = async (browser: Browser, directory: string): Promise<void> => {
  const dataDir = join(directory, 'small-disk')
  await mkdir(dataDir)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'tmpfs', dataDir])
  try {
    const server = await startServer({
      dataDir,
      settings: { HOLDFAST_LOG_LEVEL: 'silent', HOLDFAST_FREE_SPACE_RESERVE: String(2 * MiB) },
    })
    try {
      const { page, context } = await openPage(browser, server.url)
      await signIn(page, 'system', server.systemKey, true)
      const [small, large] = [join(directory, 'fits.bin'), join(directory, 'does-not-fit.bin')]
      const sha512 = await makeFile(small, 10 * MiB)
      await makeFile(large, 60 * MiB)
      await uploadFiles(page, small)
      await page.getByRole('link', { name: 'fits.bin, version 1' }).waitFor()
      await uploadFiles(page, large)
      const task = page.getByRole('listitem', { name: 'Upload of does-not-fit.bin' })
      const text = (await task.getByRole('alert').textContent()) ?? ''
      check(
        'a disk that is full is told, with what to do',
        /space/i.test(text) && /administrator/.test(text),
        text,
      )
      await task.getByText('Nothing was sent.').waitFor()
      check('and what was kept', true)

      const system = await login(server.url, 'system', server.systemKey)
      const [version] = (await system.get('/artifacts/fits.bin/versions')).json
      check('what was stored before is whole', version.sha512 === sha512, version)
      check(
        'and nothing of the other is visible',
        (await system.get('/artifacts/does-not-fit.bin')).status === 404,
      )
      await page.getByRole('link', { name: 'Overview' }).click()
      await page
        .getByRole('table', { name: 'Recent failures' })
        .getByText(/not enough free space/)
        .first()
        .waitFor()
      check('the administrator sees that it failed', true)
      const another = join(directory, 'fits-too.bin')
      await makeFile(another, MiB)
      await uploadFiles(page, another)
      await page.getByRole('link', { name: 'fits-too.bin, version 1' }).waitFor()
      check('and what still fits is still taken', true)
      await context.close()
    } finally {
      await server.stop()
    }
  } finally {
    execFileSync('umount', [dataDir])
  }
}
