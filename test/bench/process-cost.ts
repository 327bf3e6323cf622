/** What a server costs while it is measured: CPU seconds and peak memory of all its processes, as Linux counts them. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

/** Clock ticks a second in `/proc/PID/stat`: the same on every Linux that Node runs on. */
const ticksPerSecond = 100

export interface Cost {
  readonly cpuSeconds: number
  /** Bytes: the sum over its processes of what each had resident at most. */
  readonly peakRss: number
}

/** Begins to count; the function it returns tells what came together since. */
export const watchCost = (pid: number): (() => Cost) => {
  const before = cpuOf(treeOf(pid))
  for (const one of treeOf(pid)) forgetPeakRss(one)
  return () => {
    const tree = treeOf(pid)
    return {
      cpuSeconds: cpuOf(tree) - before,
      peakRss: tree.reduce((sum, one) => sum + peakRssOf(one), 0),
    }
  }
}

/** A process and its descendants. */
const treeOf = (root: number): number[] => {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const stat = statOf(Number(name))
      return stat ? [[Number(name), Number(stat[1])] as const] : []
    })
  const found = [root]
  for (const pid of found) for (const [child, parent] of parents) if (parent === pid) found.push(child)
  return found
}

/** The fields of `/proc/PID/stat` after the name, which may contain anything; the first is the state. */
const statOf = (pid: number): string[] | undefined => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    // It ended meanwhile.
    return undefined
  }
}

/** User and system time of all threads, in seconds. */
const cpuOf = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => {
    const stat = statOf(pid)
    return stat ? sum + (Number(stat[11]) + Number(stat[12])) / ticksPerSecond : sum
  }, 0)

/** 0 for a process that has ended since. */
const peakRssOf = (pid: number): number => {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'utf8')
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}

const forgetPeakRss = (pid: number): void => {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5')
  } catch {
    // It ended meanwhile.
  }
}
