/** What benchmarks have in common: how they are called, what machine they ran on, and how their figures are printed. */
import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import type { Options } from './part.ts'
import type { Report } from './report.ts'

export interface Bench {
  /** One line. */
  readonly summary: string
  readonly options: Options
  /** Measures, as the words after its name say. Throws when a peer cannot be set up. */
  run(words: readonly string[]): Promise<Report>
}

export const MiB = 1024 * 1024

const units: Readonly<Record<string, number>> = { '': 1, KiB: 1024, MiB, GiB: 1024 * MiB }

/** Bytes in words such as `256MiB`; throws for anything else. */
export const parseSize = (text: string): number => {
  const [, digits, unit] = /^(\d+)([KMG]iB|)$/.exec(text) ?? []
  const bytes = Number(digits) * (units[unit ?? ''] ?? Number.NaN)
  if (!Number.isSafeInteger(bytes) || bytes <= 0) throw new Error(`not a size: ${text}; say 256MiB or 1GiB`)
  return bytes
}

export const describeSize = (bytes: number): string => {
  const [name, unit] = Object.entries(units).findLast(([, one]) => bytes % one === 0)!
  return `${bytes / unit} ${name || 'bytes'}`
}

/** The facts without which a figure means nothing. */
export const describeMachine = (): string => {
  const cores = cpus()
  const memory = Math.round(totalmem() / 1024 ** 3)
  return `${cores.length} x ${cores[0]?.model.trim()}, ${memory} GiB of memory, Linux ${release()}, Node ${process.version}`
}

/** The state of the source, so that figures can be repeated. */
export const describeSource = (): string => {
  const git = (...words: string[]) => execFileSync('git', words, { encoding: 'utf8' }).trim()
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ' with changes'
    return `${git('rev-parse', '--short=12', 'HEAD')}${changed}`
  } catch {
    return 'unknown'
  }
}

export const median = (figures: readonly number[]): number => {
  const sorted = figures.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Rows under their headings in Markdown, so that they can be put into the documentation as they are. */
export const formatTable = (headings: readonly string[], rows: readonly (readonly string[])[]): string => {
  const widths = headings.map((heading, i) => Math.max(heading.length, ...rows.map((row) => row[i]!.length)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`
  const rule = `| ${widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return [line(headings), rule, ...rows.map(line)].join('\n')
}
