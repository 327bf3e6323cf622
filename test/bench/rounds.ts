/** Rounds in which contestants take turns, so that what the machine does besides hits all of them alike. */
import { runCommand } from './load.ts'
import type { Figure, Sample } from './report.ts'

export interface Contestant {
  readonly name: string
  /** Does the task once; preparations and cleaning are not part of what the sample says. */
  run(round: number): Promise<Sample>
}

/** What is done besides, and not measured. */
export interface Preparations {
  /** Before the first measurement of a round. */
  beforeRound?(): Promise<void>
  /** Last before each measurement. */
  prepare?(): Promise<void>
}

/**
 * Lets each contestant do a task once a round, in an order that moves on with every round, after one round that does
 * not count. Before every measurement what is dirty in memory is written to the disk: nobody pays for another.
 */
export const playRounds = async (
  task: string,
  rounds: number,
  contestants: readonly Contestant[],
  { beforeRound, prepare }: Preparations = {},
): Promise<Figure[]> => {
  const samples = contestants.map((): Sample[] => [])
  for (let round = -1; round < rounds; round++) {
    await beforeRound?.()
    for (let turn = 0; turn < contestants.length; turn++) {
      const which = (turn + round + 1) % contestants.length
      const contestant = contestants[which]!
      await runCommand('sync')
      await prepare?.()
      const sample = await contestant.run(round)
      if (round < 0) continue
      samples[which]!.push(sample)
      console.log(`${task}, round ${round + 1}, ${contestant.name}: ${sample.seconds.toFixed(4)} s`)
    }
  }
  return contestants.map(({ name }, which) => ({ task, contestant: name, samples: samples[which]! }))
}

/** The same figures of several runs as if they were one. */
export const joinFigures = ([first = [], ...others]: readonly (readonly Figure[])[]): Figure[] =>
  first.map(({ task, contestant, samples }) => ({
    task,
    contestant,
    samples: [...samples, ...others.flatMap((figures) => samplesOf(figures, task, contestant))],
  }))

/** The samples of one contestant. */
export const samplesOf = (
  figures: readonly Figure[],
  task: string,
  contestant: string,
): readonly Sample[] => {
  const found = figures.find((figure) => figure.task === task && figure.contestant === contestant)
  if (!found) throw new Error(`${contestant} did not take part in ${task}`)
  return found.samples
}
