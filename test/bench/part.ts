/** What the parts of the benchmark share: options, a directory for a run, and a server that is watched meanwhile. */
import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Holdfast } from './peers/holdfast.ts'
import type { Peer } from './peers/peer.ts'
import { watchCost } from './process-cost.ts'
import type { Sample } from './report.ts'

/** Options by name: default and meaning. */
export type Options = Readonly<Record<string, readonly [fallback: string, meaning: string]>>

/** Reads `--name value` words; `--short` replaces defaults. */
export const parseOptions = (
  options: Options,
  short: Readonly<Record<string, string>>,
  words: readonly string[],
): Record<string, string> => {
  const known = Object.fromEntries(Object.keys(options).map((name) => [name, { type: 'string' as const }]))
  const { values } = parseArgs({
    args: [...words],
    options: { ...known, short: { type: 'boolean' as const } },
  })
  const defaults = Object.fromEntries(Object.entries(options).map(([name, [fallback]]) => [name, fallback]))
  const { short: isShort, ...given } = values as Record<string, string> & { short?: boolean }
  const chosen: Record<string, string> = { ...defaults, ...(isShort ? short : {}), ...given }
  if (!(Number.isInteger(Number(chosen.rounds)) && Number(chosen.rounds) > 0))
    throw new Error(`not a number of rounds: ${chosen.rounds}`)
  return chosen
}

/** Remembers what has to be stopped at the end. */
export type Closing = <T extends { stop(): Promise<void> }>(part: T) => T

/** Runs a part in a directory of its own (in $TMPDIR), and leaves nothing behind: no process and no file. */
export const withDirectory = async <T>(
  work: (directory: string, closing: Closing) => Promise<T>,
): Promise<T> => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  const abandon = () => rmSync(directory, { recursive: true, force: true })
  process.once('exit', abandon)
  const running: { stop(): Promise<void> }[] = []
  try {
    return await work(directory, (part) => {
      running.push(part)
      return part
    })
  } finally {
    for (const part of running.reverse()) await part.stop().catch((error) => console.error(error))
    await rm(directory, { recursive: true, force: true })
    process.off('exit', abandon)
  }
}

/** Lets `work` load a peer and adds what that cost its processes; of ours also how long its event loop was blocked. */
export const measured = async (peer: Peer | Holdfast, work: () => Promise<Sample>): Promise<Sample> => {
  if ('loopDelay' in peer) await peer.loopDelay()
  const cost = watchCost(peer.pid)
  const sample = await work()
  const spent = cost()
  return { ...sample, ...spent, ...('loopDelay' in peer && { loopDelay: await peer.loopDelay() }) }
}
