/**
 * Measures. `npm run bench -- NAME [OPTIONS]`; without a name it says what there is.
 *
 * A benchmark is a file of its own beside this one that exports a `Bench`; add it to the table.
 */
import type { Bench } from './bench.ts'

const benches: Readonly<Record<string, () => Promise<Bench>>> = {
  client: async () => (await import('./client.ts')).bench,
}

const [name, ...words] = process.argv.slice(2)
const load = Object.hasOwn(benches, name ?? '') ? benches[name!] : undefined
if (load === undefined) {
  console.log('Usage: npm run bench -- NAME [OPTIONS]\n')
  for (const [known, loadIt] of Object.entries(benches)) {
    const { summary, options } = await loadIt()
    console.log(`${known}: ${summary}`)
    for (const [option, meaning] of Object.entries(options)) console.log(`  ${option.padEnd(16)} ${meaning}`)
  }
  // Asked for what there is, this is the answer; asked for something else, it is an error
  process.exitCode = name === undefined || name === 'help' || name === '--help' ? 0 : 2
} else await (await load()).run(words)
