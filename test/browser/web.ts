/**
 * The web page in a real browser, against a real server: every flow of a person, and what the page must never do.
 *
 * It wants Chromium: Debian's, or the one that `TEST_CHROMIUM` names.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startServer } from '../support/server.ts'
import { administration } from './web/administration.ts'
import { artifact } from './web/artifact.ts'
import { badLine } from './web/bad-line.ts'
import { firstSteps } from './web/first-steps.ts'
import { fullDisk } from './web/full-disk.ts'
import { keyboard } from './web/keyboard.ts'
import { largeList } from './web/large-list.ts'
import { limits } from './web/limits.ts'
import { openUsedStore } from './web/seed.ts'
import { check, complaints, conclude, openBrowser } from './web/stage.ts'
import { lookAtViews } from './web/views.ts'

const directory = await mkdtemp(join(tmpdir(), 'holdfast-web-'))
const browser = await openBrowser()
const server = await startServer({ settings: { HOLDFAST_LOG_LEVEL: 'warn' } })
const flows: Record<string, () => Promise<void>> = {
  firstSteps: () => firstSteps(browser, server, directory),
  keyboard: () => keyboard(browser, server, directory),
  artifact: () => artifact(browser),
  administration: () => administration(browser),
  largeList: () => largeList(browser),
  fullDisk: () => fullDisk(browser, directory),
  badLine: () => badLine(browser, server, directory),
  limits: () => limits(browser, directory),
  views: async () => {
    const used = await openUsedStore()
    await lookAtViews(browser, used.server, used.artifact).finally(used.server.remove)
  },
}
const wanted = process.argv.slice(2)
try {
  for (const [name, flow] of Object.entries(flows)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue
    console.log(`-- ${name}`)
    const began = performance.now()
    await flow().catch((error: unknown) =>
      check(`${name} comes to its end`, false, error instanceof Error ? error.message : error),
    )
    console.log(`   ${((performance.now() - began) / 1000).toFixed(1)} s`)
  }
  check('no console error, and no request to another host', complaints.length === 0, complaints)
} finally {
  await browser.close()
  await server.remove()
  await rm(directory, { recursive: true, force: true })
}
conclude()
