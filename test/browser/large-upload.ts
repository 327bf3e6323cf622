/**
 * A file of 1 GiB (`--mib N` for another size) sent by the page and by the command line in turns, and by a bare page, which
 * is the least that this browser can do: how long each takes, and how much memory the tab takes while it sends. The memory is
 * judged; times are printed, for a quiet machine to compare.
 *
 * It wants Chromium: Debian's, or the one that `TEST_CHROMIUM` names; and 4 GiB of room for temporary files.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Browser, Page } from 'playwright-core'
import { fetchFreeMemory } from '../bench/free-memory.ts'
import { login, type Session } from '../support/api.ts'
import { startServer } from '../support/server.ts'
import { sendBare } from './web/bare-page.ts'
import { check, complaints, conclude, MiB, makeFile, openBrowser, openPage, signIn } from './web/stage.ts'

const { values } = parseArgs({
  options: { mib: { type: 'string', default: '1024' }, rounds: { type: 'string', default: '2' } },
})
const size = Number(values.mib) * MiB
const rounds = Number(values.rounds)
const patienceMs = 1_200_000
const mostBytes = 300 * MiB
const cli = fileURLToPath(new URL('../../packages/cli/src/main.js', import.meta.url))

/** Processes of the browser that run pages, by their ids. */
const renderersOf = async (browser: Browser): Promise<number[]> => {
  const session = await browser.newBrowserCDPSession()
  const { processInfo } = await session.send('SystemInfo.getProcessInfo')
  await session.detach()
  return processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id)
}

/** Resident bytes of the largest of the tabs, now and at their most since `forgetPeaks`. */
const memoryOf = async (pids: readonly number[]): Promise<{ now: number; peak: number }> => {
  const texts = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')))
  const largest = (name: string) =>
    Math.max(
      ...texts.map((text) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) * 1024),
    )
  return { now: largest('VmRSS'), peak: largest('VmHWM') }
}

/** The system begins to count anew how much memory they take at most. */
const forgetPeaks = (pids: readonly number[]): Promise<unknown> =>
  Promise.all(pids.map((pid) => writeFile(`/proc/${pid}/clear_refs`, '5').catch(() => {})))

/** Waits for a link in the page, which tells by itself: looking for it again and again would take the processor from the upload. */
const linkAppears = (page: Page, text: string): Promise<void> =>
  page.evaluate(
    ({ text, patienceMs }) =>
      new Promise<void>((resolve, reject) => {
        const look = () => {
          if ([...document.links].some((link) => link.textContent === text)) resolve()
        }
        new MutationObserver(look).observe(document.body, { childList: true, subtree: true })
        look()
        setTimeout(() => reject(new Error(document.body.innerText)), patienceMs)
      }),
    { text, patienceMs },
  )

const directory = await mkdtemp(join(tmpdir(), 'holdfast-large-'))
const server = await startServer({
  settings: { HOLDFAST_LOG_LEVEL: 'warn', HOLDFAST_COLLECT_GRACE: '0', HOLDFAST_JOB_INTERVAL: '1000000' },
})
const browser = await openBrowser()
const ways = ['command line', 'page', 'bare page', 'bare page that hashes'] as const
const times = Object.fromEntries(ways.map((way) => [way, [] as number[]])) as Record<
  (typeof ways)[number],
  number[]
>
const inMiB = (bytes: number): string => `${Math.round(bytes / MiB)} MiB`

/** From the click to the link to the new version. */
const byPage = async (path: string, name: string): Promise<void> => {
  const { page, context } = await openPage(browser, server.url)
  await signIn(page, 'system', server.systemKey)
  await page.getByRole('link', { name: 'Upload' }).first().click()
  await page.setInputFiles('input[type=file]', path)
  const tabs = await renderersOf(browser)
  const before = await memoryOf(tabs)
  await forgetPeaks(tabs)
  const began = performance.now()
  await page.getByRole('button', { name: 'Upload', exact: true }).click()
  await linkAppears(page, `${name}, version 1`)
  times.page.push((performance.now() - began) / 1000)
  const { peak } = await memoryOf(tabs)
  console.log(`    memory of the tab: ${inMiB(peak)} resident at most, ${inMiB(before.now)} before`)
  check(`the tab takes less than ${inMiB(mostBytes)}`, peak < mostBytes, peak)
  await context.close()
}

/** From the start of the process to its end. */
const byCommand = async (path: string, name: string): Promise<void> => {
  const began = performance.now()
  const child = spawn(process.execPath, [cli, 'artifact', 'upload', name, path], {
    env: {
      ...process.env,
      SHAKENFIST_API_URL: server.url,
      SHAKENFIST_NAMESPACE: 'system',
      SHAKENFIST_KEY: server.systemKey,
      HOME: directory,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [code] = await once(child, 'exit')
  times['command line'].push((performance.now() - began) / 1000)
  if (code !== 0) throw new Error(`the command line ended with ${code}`)
}

/** Only the bytes, from a page that does nothing else. */
const byBarePage = async (path: string, system: Session, isHashed: boolean): Promise<void> => {
  const { page, context } = await openPage(browser, server.url)
  const { uuid } = (await system.post('/upload', { size })).json
  const url = `${server.url}/upload/${uuid}`
  const way = isHashed ? 'bare page that hashes' : 'bare page'
  times[way].push(await sendBare(page, path, { url, token: system.token, isHashed }))
  await context.close()
  await system.delete(`/upload/${uuid}`)
}

try {
  const system = await login(server.url, 'system', server.systemKey)
  console.log(`${inMiB(size)}, ${rounds} rounds, Chromium ${browser.version()}`)
  const measure = async (way: (typeof ways)[number], send: () => Promise<void>): Promise<void> => {
    const load = loadavg()[0]!.toFixed(1)
    await fetchFreeMemory(directory, size)
    await send()
    console.log(`    ${way}: ${times[way].at(-1)!.toFixed(1)} s (load of the machine before it: ${load})`)
  }
  for (let round = 0; round < rounds; round++)
    for (const [way, send] of [['command line', byCommand] as const, ['page', byPage] as const]) {
      const name = `${way.replace(' ', '-')}-${round}.bin`
      const path = join(directory, name)
      const sha512 = await makeFile(path, size)
      await measure(way, () => send(path, name))
      const [version] = (await system.get(`/artifacts/${name}/versions`)).json
      check(`${way}: the right SHA-512`, version.sha512 === sha512, version)
      await system.delete(`/artifacts/${name}`)
      await system.post('/admin/jobs/collect-blobs', { wait: 10 })
      if (way === 'page') {
        await measure('bare page', () => byBarePage(path, system, false))
        await measure('bare page that hashes', () => byBarePage(path, system, true))
      }
      await rm(path)
    }
  const best = (way: (typeof ways)[number]) => Math.min(...times[way])
  for (const way of ways) {
    const ratio = (best(way) / best('command line')).toFixed(2)
    console.log(`best of ${rounds}: ${way} ${best(way).toFixed(1)} s, ${ratio} times the command line`)
  }
  check('no console error, and no request to another host', complaints.length === 0, complaints)
} finally {
  await browser.close()
  await server.remove()
  await rm(directory, { recursive: true, force: true })
}
conclude()
