/**
 * The long forms of the fault suites, one after the other, each in a process of its own: `npm run soak`, some hours.
 * `npm run soak -- kill fuzz` runs only those. Each prints its seed, its counts and its memory; a last table sums up.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** What `--runs` of each long form counts: kills, states of a disk, sequences, connections, files, seconds, strikes, rounds. */
const longForms: Readonly<Record<string, number>> = {
  kill: 1000,
  'power-loss': 20_000,
  model: 10_000,
  isolation: 1,
  fuzz: 100_000,
  client: 500,
  load: 120,
  postgres: 500,
  s3: 300,
  nodes: 500,
  'rolling-restart': 30,
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !(name in longForms))
if (unknown.length > 0) throw new Error(`no such suite: ${unknown.join(', ')}`)

const summary: string[] = []
for (const [name, runs] of Object.entries(longForms)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const began = Date.now()
  const file = fileURLToPath(new URL(`${name}.ts`, import.meta.url))
  const child = spawn(process.execPath, [file, '--runs', `${runs}`], { stdio: ['ignore', 'pipe', 'inherit'] })
  let lastLine = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    process.stdout.write(text)
    lastLine = text.trimEnd().split('\n').at(-1) || lastLine
  })
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) process.exitCode = 1
  const minutes = ((Date.now() - began) / 60_000).toFixed(1)
  summary.push(`${name.padEnd(10)} ${`${runs}`.padStart(7)} runs ${minutes.padStart(7)} minutes  ${lastLine}`)
}
console.log(`\n${summary.join('\n')}`)
