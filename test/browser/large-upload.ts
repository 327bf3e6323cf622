/**
 * A file of 1 GiB (`--mib N` for another size) sent by the page and by the command line in turns: how long each takes, and
 * how much memory the tab takes while it sends. The memory is judged; times are printed, for a quiet machine to compare.
 *
 * It wants Chromium: Debian's, or the one that `TEST_CHROMIUM` names; and 4 GiB of room for temporary files.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Browser } from 'playwright-core'
import { login } from '../support/api.ts'
import { startServer } from '../support/server.ts'
import { check, complaints, conclude, MiB, makeFile, openBrowser, openPage, signIn } from './web/stage.ts'

const { values } = parseArgs({
  options: { mib: { type: 'string', default: '1024' }, rounds: { type: 'string', default: '2' } },
})
const size = Number(values.mib) * MiB
const rounds = Number(values.rounds)
const patienceMs = 1_200_000
const mostBytes = 300 * MiB
const sampleMs = 200
const cli = fileURLToPath(new URL('../../packages/cli/src/main.js', import.meta.url))

/** Processes of the browser that run pages, by their ids. */
const renderersOf = async (browser: Browser): Promise<number[]> => {
  const session = await browser.newBrowserCDPSession()
  const { processInfo } = await session.send('SystemInfo.getProcessInfo')
  await session.detach()
  return processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id)
}

/** Resident bytes of a process: all of it, and with the pages it shares with others counted in proportion. */
const memoryOf = async (pid: number): Promise<{ resident: number; proportional: number }> => {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) * 1024
  return { resident: field('Rss'), proportional: field('Pss') }
}

/** Watches the largest of the tabs; answers its peaks when told to stop. */
const watchMemory = (browser: Browser) => {
  const peak = { resident: 0, proportional: 0 }
  let isOver = false
  const watching = (async () => {
    while (!isOver) {
      for (const pid of await renderersOf(browser)) {
        const { resident, proportional } = await memoryOf(pid)
        peak.resident = Math.max(peak.resident, resident)
        peak.proportional = Math.max(peak.proportional, proportional)
      }
      await new Promise((resolve) => setTimeout(resolve, sampleMs))
    }
  })()
  return async () => {
    isOver = true
    await watching
    return peak
  }
}

const directory = await mkdtemp(join(tmpdir(), 'holdfast-large-'))
const server = await startServer({
  settings: { HOLDFAST_LOG_LEVEL: 'warn', HOLDFAST_COLLECT_GRACE: '0', HOLDFAST_JOB_INTERVAL: '1000000' },
})
const browser = await openBrowser()
const times: Record<'page' | 'command line', number[]> = { page: [], 'command line': [] }
const inMiB = (bytes: number): string => `${Math.round(bytes / MiB)} MiB`

/** From the click to the link to the new version. */
const byPage = async (path: string, name: string): Promise<void> => {
  const { page, context } = await openPage(browser, server.url)
  await signIn(page, 'system', server.systemKey)
  await page.getByRole('link', { name: 'Upload' }).first().click()
  await page.setInputFiles('input[type=file]', path)
  const before = await Promise.all((await renderersOf(browser)).map(memoryOf))
  const stop = watchMemory(browser)
  const began = performance.now()
  await page.getByRole('button', { name: 'Upload', exact: true }).click()
  await page.getByRole('link', { name: `${name}, version 1` }).waitFor({ timeout: patienceMs })
  times.page.push((performance.now() - began) / 1000)
  const peak = await stop()
  const idle = Math.max(...before.map(({ resident }) => resident))
  console.log(
    `    memory of the tab: ${inMiB(peak.resident)} resident at most (${inMiB(peak.proportional)} without what it ` +
      `shares with others), ${inMiB(idle)} before`,
  )
  check(`the tab takes less than ${inMiB(mostBytes)}`, peak.resident < mostBytes, peak)
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

try {
  const system = await login(server.url, 'system', server.systemKey)
  console.log(`${inMiB(size)}, ${rounds} rounds, Chromium ${browser.version()}`)
  for (let round = 0; round < rounds; round++)
    for (const [way, send] of [['command line', byCommand] as const, ['page', byPage] as const]) {
      const name = `${way.replace(' ', '-')}-${round}.bin`
      const path = join(directory, name)
      const sha512 = await makeFile(path, size)
      const load = loadavg()[0]!.toFixed(1)
      await send(path, name)
      console.log(`    ${way}: ${times[way].at(-1)!.toFixed(1)} s (load of the machine before it: ${load})`)
      const [version] = (await system.get(`/artifacts/${name}/versions`)).json
      check(`${way}: the right SHA-512`, version.sha512 === sha512, version)
      await rm(path)
      await system.delete(`/artifacts/${name}`)
      await system.post('/admin/jobs/collect-blobs', { wait: 10 })
    }
  const best = (of: readonly number[]) => Math.min(...of)
  const [page, command] = [best(times.page), best(times['command line'])]
  console.log(
    `best of ${rounds}: page ${page.toFixed(1)} s, command line ${command.toFixed(1)} s, ${(page / command).toFixed(2)} times`,
  )
  check('no console error, and no request to another host', complaints.length === 0, complaints)
} finally {
  await browser.close()
  await server.remove()
  await rm(directory, { recursive: true, force: true })
}
conclude()
