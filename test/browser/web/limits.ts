/** What the page says when the store refuses, and what one namespace sees of another. */
import { join } from 'node:path'
import { createClient } from '@holdfast/client'
import type { Browser } from 'playwright-core'
import { startServer } from '../../support/server.ts'
import { admitAxe } from './axe.ts'
import { atRest, check, MiB, makeFile, openPage, signIn, uploadFiles } from './stage.ts'
import { look } from './views.ts'

export const limits = async (browser: Browser, directory: string): Promise<void> => {
  const server = await startServer({ settings: { HOLDFAST_LOG_LEVEL: 'warn' } })
  try {
    const system = createClient({ url: server.url, namespace: 'system', key: server.systemKey })
    for (const namespace of ['red', 'blue']) {
      await system.namespaces.create({ namespace })
      await system.namespaces.addKey(namespace, 'first', `the key of ${namespace}`)
    }
    const path = join(directory, 'secret.bin')
    await makeFile(path, 5 * MiB)
    const red = await openPage(browser, server.url)
    await signIn(red.page, 'red', 'the key of red')
    await uploadFiles(red.page, path)
    await red.page.getByRole('link', { name: 'secret.bin, version 1' }).click()
    await red.page.getByText('Visible to: red and system').waitFor()
    check('the page says who sees an artifact', true)
    const address = red.page.url()

    const blue = await openPage(browser, server.url)
    await admitAxe(blue.page)
    await blue.page.reload()
    await signIn(blue.page, 'blue', 'the key of blue')
    await blue.page.getByText('Nothing is stored here yet').waitFor()
    check("another namespace's artifacts are not listed", true)
    await blue.page.goto(address)
    await blue.page.getByRole('alert').first().waitFor()
    const shown = (await blue.page.textContent('main')) ?? ''
    check('nor shown by their address', /not found/i.test(shown) && !shown.includes('secret.bin'), shown)
    await blue.page.goto(`${server.url}/ui/#/overview`)
    await blue.page.getByRole('heading', { name: 'Overview' }).waitFor()
    await blue.page.getByRole('row', { name: /blue/ }).waitFor()
    await atRest(blue.page)
    const overview = (await blue.page.textContent('main')) ?? ''
    check('nor counted in the overview', !/secret|\bred\b/.test(overview), overview)
    check(
      'the page offers no administration there',
      (await blue.page.getByRole('link', { name: 'Administration' }).count()) === 0,
    )

    await system.call('setLimits', { params: { namespace: 'blue' }, body: { max_bytes: MiB } })
    await uploadFiles(blue.page, path)
    const refusal = blue.page.getByRole('listitem', { name: 'Upload of secret.bin' }).getByRole('alert')
    const text = (await refusal.textContent()) ?? ''
    check('a reached quota is told, with what to do', /quota|limit/i.test(text) && /Delete/.test(text), text)
    await look(blue.page, 'a failed upload')
    await red.context.close()
    await blue.context.close()
  } finally {
    await server.remove()
  }
}
