/** Figures of a benchmark, the ratios between them, and both as tables and as JSON. */
import { formatTable, MiB, median } from './bench.ts'

/** One measurement. */
export interface Sample {
  readonly seconds: number
  /** What was moved, where that is the point. */
  readonly bytes?: number
  /** What was done, where that is the point: requests. */
  readonly count?: number
  /** Of the server, with all its processes and threads. */
  readonly cpuSeconds?: number
  /** Bytes, summed over the server's processes. */
  readonly peakRss?: number
  /** 99th percentile of the time, in ms, for which the server's event loop took up nothing new. */
  readonly loopDelay?: number
}

/** What one contestant did in one task, a sample a round. */
export interface Figure {
  readonly task: string
  readonly contestant: string
  readonly samples: readonly Sample[]
}

export interface Target {
  readonly atLeast?: number
  readonly atMost?: number
}

/** A number that a target may stand for: a ratio between two contestants of the same run, or a measure of ours. */
export interface Outcome {
  readonly what: string
  readonly unit: 'x' | 'ms' | 'MiB'
  /** One a round. */
  readonly values: readonly number[]
  readonly target?: Target
}

/** What a part of the benchmark found. */
export interface Report {
  readonly figures: readonly Figure[]
  readonly outcomes: readonly Outcome[]
}

/** Work a second: bytes where bytes were moved, else what was counted, else whole runs. */
const speedOf = ({ seconds, bytes, count }: Sample): number => (bytes ?? count ?? 1) / seconds

const perRound = (
  ours: readonly Sample[],
  theirs: readonly Sample[],
  ratio: (ours: Sample, theirs: Sample) => number,
): number[] => ours.map((sample, round) => ratio(sample, theirs[round]!))

/** How many times as fast ours was, round by round. */
export const speedRatio = (
  what: string,
  ours: readonly Sample[],
  theirs: readonly Sample[],
  target?: Target,
): Outcome => ({
  what,
  unit: 'x',
  values: perRound(ours, theirs, (a, b) => speedOf(a) / speedOf(b)),
  ...(target && { target }),
})

/** How many times as long ours took for the same work, round by round. */
export const timeRatio = (
  what: string,
  ours: readonly Sample[],
  theirs: readonly Sample[],
  target?: Target,
): Outcome => ({
  what,
  unit: 'x',
  values: perRound(ours, theirs, (a, b) => speedOf(b) / speedOf(a)),
  ...(target && { target }),
})

/** How many times as much CPU ours took, round by round. */
export const cpuRatio = (
  what: string,
  ours: readonly Sample[],
  theirs: readonly Sample[],
  target?: Target,
): Outcome => {
  // A tick of the clock is the least that can be told
  const cpu = ({ cpuSeconds = 0 }: Sample) => Math.max(cpuSeconds, 0.01)
  return {
    what,
    unit: 'x',
    values: perRound(ours, theirs, (a, b) => cpu(a) / cpu(b)),
    ...(target && { target }),
  }
}

/** The highest peak of memory in any of these. */
export const memoryOutcome = (
  what: string,
  samples: readonly Pick<Sample, 'peakRss'>[],
  target?: Target,
): Outcome => ({
  what,
  unit: 'MiB',
  values: [Math.max(...samples.map(({ peakRss = 0 }) => peakRss)) / MiB],
  ...(target && { target }),
})

/** Whether a target was reached, by the median. */
export const isReached = ({ values, target }: Outcome): boolean | undefined => {
  if (!target) return undefined
  const value = median(values)
  return (
    value >= (target.atLeast ?? Number.NEGATIVE_INFINITY) &&
    value <= (target.atMost ?? Number.POSITIVE_INFINITY)
  )
}

/** What may be asked for when there are no samples of a field. */
const medianOf = (samples: readonly Sample[], field: keyof Sample): number | undefined => {
  const values = samples.flatMap((sample) => sample[field] ?? [])
  return values.length === 0 ? undefined : median(values)
}

const cell = (value: number | undefined, digits: number): string =>
  value === undefined ? '' : value.toFixed(digits)

/** Seconds in as many digits as mean something. */
const secondsCell = (seconds: number): string => seconds.toFixed(seconds < 0.1 ? 4 : seconds < 10 ? 2 : 1)

const rateCell = (samples: readonly Sample[]): string => {
  const rate = median(samples.map(speedOf))
  if (samples[0]?.bytes !== undefined) return `${(rate / MiB).toFixed(0)} MiB/s`
  return samples[0]?.count === undefined ? '' : `${rate.toFixed(0)} /s`
}

/** The figures of a part, as Markdown. */
export const formatFigures = (figures: readonly Figure[]): string =>
  formatTable(
    ['', 'contestant', 'seconds', 'from', 'to', 'rate', 'CPU s', 'peak MiB'],
    figures.map(({ task, contestant, samples }) => {
      const seconds = samples.map((sample) => sample.seconds)
      const times = [median(seconds), Math.min(...seconds), Math.max(...seconds)].map(secondsCell)
      const peak = samples.some(({ peakRss }) => peakRss !== undefined)
        ? Math.max(...samples.map(({ peakRss = 0 }) => peakRss)) / MiB
        : undefined
      const cpu = cell(medianOf(samples, 'cpuSeconds'), 2)
      return [task, contestant, ...times, rateCell(samples), cpu, cell(peak, 0)]
    }),
  )

const amount = (value: number, unit: Outcome['unit']): string =>
  unit === 'x' ? `${value.toFixed(2)}x` : `${value.toFixed(unit === 'ms' ? 1 : 0)} ${unit}`

const targetCell = ({ target, unit }: Outcome): string => {
  if (target?.atLeast !== undefined) return `>= ${amount(target.atLeast, unit)}`
  return target?.atMost === undefined ? '' : `<= ${amount(target.atMost, unit)}`
}

/** Ratios and measures with their targets, as Markdown. */
export const formatOutcomes = (outcomes: readonly Outcome[]): string =>
  formatTable(
    ['', 'median', 'from', 'to', 'target', 'reached'],
    outcomes.map((outcome) => {
      const { what, unit, values } = outcome
      const reached = isReached(outcome)
      const cells = [median(values), Math.min(...values), Math.max(...values)].map((value) =>
        amount(value, unit),
      )
      return [what, ...cells, targetCell(outcome), reached === undefined ? '' : reached ? 'yes' : 'no']
    }),
  )

/** The same for machines: medians and spread beside each value. */
export const describeReport = ({ figures, outcomes }: Report): object => ({
  figures,
  outcomes: outcomes.map((outcome) => ({
    ...outcome,
    median: median(outcome.values),
    lowest: Math.min(...outcome.values),
    highest: Math.max(...outcome.values),
    reached: isReached(outcome),
  })),
})
