/**
 * Cuts the power at every point of recorded work and starts a store on what may be left.
 *
 * The file operations of real work on a real store are recorded; from the recording follow the states that the disk may
 * legally be in when the power fails (disk-states.ts: flushed bytes and names are there, all others each for itself
 * kept, lost, cut short or zeros). The database is taken to be what SQLite promises, the last commit. From each state
 * the real recovery runs, sometimes cut short itself, and an independent checker compares with what clients were
 * promised. Also each step is one where the process may be killed: then all before it is there, and nothing after it.
 *
 * `--runs` is the number of states to try at least. The scripted operations are those of docs/durability.md, which has to
 * name their steps as they are.
 *
 * This suite looks at the inside of the server: only there can the power fail between two steps.
 */
import { readFile } from 'node:fs/promises'
import { Random, Report, readOptions } from './harness.ts'
import { tryBackups } from './power-backup.ts'
import { PowerLab, stepsOf } from './power-lab.ts'
import { randomWork, scripts } from './power-scripts.ts'

const options = readOptions(1000)
const random = new Random(options.seed)
const report = new Report('power-loss', options)
const lab = new PowerLab(report, random.fork())
const began = Date.now()
/** The long form kills at every step before it cuts the power, the short one at one of each operation. */
const isLong = options.runs > 5000

const documented = new Map<string, string[]>()
const page = await readFile(new URL('../../docs/durability.md', import.meta.url), 'utf8')
for (const [, name, steps] of page.matchAll(/^```steps (.+)\n([\s\S]*?)^```/gm))
  documented.set(
    name!,
    steps!.split('\n').flatMap((line) => line.replace(/#.*/, '').trim() || []),
  )

for (const script of scripts) {
  const recorded = await lab.record(script.work, script.prepare)
  const steps = stepsOf(recorded)
  const before = lab.states
  await lab.tryAll(script.name, recorded, isLong ? 16 : 8)
  console.log(`${script.name}: ${steps.length} steps, ${lab.states - before} states`)
  if (process.env.SHOW_STEPS) console.log(steps.map((step) => `    ${step}`).join('\n'))
  const words = documented.get(script.name)
  if (!script.isUnordered)
    report.check(
      words?.join('\n') === steps.join('\n'),
      () => `docs/durability.md has other steps for "${script.name}":\n${steps.join('\n')}`,
    )
  report.count('named steps', steps.length)
  // Killed at a step, started again, gone on with, and then the power fails.
  for (const step of isLong ? steps.keys() : [Math.floor(random.next() * steps.length)]) {
    const killed = await lab.recordKilled(script.work, script.prepare, step + 1)
    await lab.tryAll(`${script.name}, killed at "${steps[step]}"`, killed, 3)
    report.count('steps killed at before a power cut')
  }
  documented.delete(script.name)
}
for (const { name, steps, states } of await tryBackups(report, random.fork(), isLong ? 16 : 4)) {
  console.log(`${name}: ${steps.length} steps, ${states} states`)
  if (process.env.SHOW_STEPS) console.log(steps.map((step) => `    ${step}`).join('\n'))
  report.check(
    documented.get(name)?.join('\n') === steps.join('\n'),
    () => `docs/durability.md has other steps for "${name}":\n${steps.join('\n')}`,
  )
  report.count('named steps', steps.length)
  documented.delete(name)
}
report.check(documented.size === 0, () => `docs/durability.md has unknown steps: ${[...documented.keys()]}`)

for (let run = 1; run === 1 || lab.states < options.runs; run++) {
  const work = random.fork()
  const recorded = await lab.record((store) => randomWork(store, work, 20))
  const before = lab.states
  await lab.tryAll(`random work ${run}`, recorded, 7)
  console.log(`random work ${run}: ${stepsOf(recorded).length} steps, ${lab.states - before} states`)
}

await lab.close()
report.count('states', lab.states)
report.count('seconds', (Date.now() - began) / 1000)
report.finish()
