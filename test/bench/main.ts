/**
 * Measures. `npm run bench` runs every part, `npm run bench -- PART [OPTIONS]` one; `npm run bench -- help` says what
 * there is. Prints tables, and writes every figure and ratio to a JSON file (`--json FILE`, by default
 * `bench-results.json`). With `--short` everything is small: that says whether the bench works, and nothing about speed.
 * Its last line is then a count, as that of every suite.
 *
 * A part is a file of its own beside this one that exports a `Bench`; add it to the table.
 */
import { writeFileSync } from 'node:fs'
import { type Bench, describeMachine, describeSource } from './bench.ts'
import { describeReport, formatFigures, formatOutcomes, type Report } from './report.ts'

const parts: Readonly<Record<string, () => Promise<{ bench: Bench }>>> = {
  upload: () => import('./upload.ts'),
  download: () => import('./download.ts'),
  convert: () => import('./convert.ts'),
  api: () => import('./api.ts'),
  scale: () => import('./scale.ts'),
  start: () => import('./start.ts'),
  client: () => import('./client.ts'),
  configurations: () => import('./configurations.ts'),
  nodes: () => import('./nodes.ts'),
}

const help = async (): Promise<void> => {
  console.log('Usage: npm run bench [-- [PART] [--short] [--json FILE] [OPTIONS OF THE PART]]\n')
  for (const [name, load] of Object.entries(parts)) {
    const { summary, options } = (await load()).bench
    console.log(`${name}: ${summary}`)
    for (const [option, [fallback, meaning]] of Object.entries(options))
      console.log(`  ${`--${option}`.padEnd(16)} ${meaning} (default: ${fallback})`)
  }
}

/** Takes `--json FILE` out of the words. */
const takeJson = (words: string[]): string => {
  const at = words.indexOf('--json')
  if (at < 0) return 'bench-results.json'
  const [, file] = words.splice(at, 2)
  if (file === undefined) throw new Error('--json needs a file name')
  return file
}

// `exit` then ends the peers and removes what they stored.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const words = process.argv.slice(2)
const file = takeJson(words)
const name = words[0]?.startsWith('--') ? undefined : words.shift()
if (name === 'help' || words.includes('--help')) await help()
else if (name !== undefined && !Object.hasOwn(parts, name)) {
  await help()
  process.exitCode = 2
} else {
  const chosen = name === undefined ? Object.keys(parts) : [name]
  const facts = { machine: describeMachine(), source: describeSource(), date: new Date().toISOString() }
  console.log(`${facts.machine}\n${facts.source}, ${facts.date}`)
  const reports: Record<string, Report> = {}
  let failed = 0
  for (const part of chosen) {
    console.log(`\n== ${part}`)
    try {
      const { bench } = await parts[part]!()
      // Of the options only `--short` is everybody's
      const report = await bench.run(words)
      reports[part] = report
      console.log(`\n${formatFigures(report.figures)}\n\n${formatOutcomes(report.outcomes)}`)
    } catch (error) {
      failed++
      console.error(`${part} failed:`, error)
    }
    const described = Object.fromEntries(
      Object.entries(reports).map(([key, found]) => [key, describeReport(found)]),
    )
    writeFileSync(file, `${JSON.stringify({ ...facts, words, parts: described }, null, 2)}\n`)
  }
  if (words.includes('--short')) console.log(`\n${chosen.length - failed} passed, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
}
