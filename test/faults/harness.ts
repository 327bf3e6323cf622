/**
 * What every fault suite needs: options, numbers that a seed repeats, counts, and a last line that says how it ended.
 */
import { createCipheriv, createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

export interface SuiteOptions {
  /** Repeats the random choices of a run; what the timing of processes does with them differs every time. */
  readonly seed: number
  /** Kills, sequences, requests or seconds: what the suite counts. */
  readonly runs: number
}

/** `--seed N` and `--runs N`, with a fresh seed and the short form's size when absent. */
export const readOptions = (shortRuns: number): SuiteOptions => {
  const { values } = parseArgs({ options: { seed: { type: 'string' }, runs: { type: 'string' } } })
  const whole = (text: string | undefined, fallback: number, name: string): number => {
    const number = text === undefined ? fallback : Number(text)
    if (!Number.isSafeInteger(number) || number < 0)
      throw new Error(`--${name} wants a whole number: ${text}`)
    return number
  }
  return {
    seed: whole(values.seed, Math.floor(Math.random() * 2 ** 31), 'seed'),
    runs: whole(values.runs, shortRuns, 'runs'),
  }
}

/** Random numbers that a seed repeats (mulberry32). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** At least 0, below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from `least` to `most`, both possible. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new Error('nothing to pick from')
    return list[Math.floor(this.next() * list.length)]!
  }

  /** One of the keys, each as often as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][]
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [key, weight] of entries) {
      left -= weight
      if (left < 0) return key
    }
    return entries.at(-1)![0]
  }

  /** A generator of its own, so that what one client does does not change the choices of another. */
  fork(): Random {
    return new Random(Math.floor(this.next() * 2 ** 32))
  }
}

/** Bytes that look random and that the label repeats. */
export const bytesOf = (label: string, size: number): Buffer => {
  const key = createHash('sha256').update(label).digest()
  return createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16)).update(Buffer.alloc(size))
}

export const sha512 = (...parts: readonly Buffer[]): string => {
  const hash = createHash('sha512')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

/** Counts what a suite did and what it found wrong. */
export class Report {
  readonly #name: string
  readonly #counts = new Map<string, number>()
  readonly #complaints: string[] = []
  #passed = 0
  #failed = 0

  constructor(name: string, options: SuiteOptions) {
    this.#name = name
    console.log(`${name}: --seed ${options.seed} --runs ${options.runs}`)
  }

  get failed(): number {
    return this.#failed
  }

  /** Adds to a count that is printed at the end. */
  count(what: string, by = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + by)
  }

  /** Keeps the largest of some figures. */
  highest(what: string, figure: number): void {
    this.#counts.set(what, Math.max(this.#counts.get(what) ?? figure, figure))
  }

  /** Notes that something was found to be as it should, or not: then with words, printed at once. */
  check(isRight: boolean, words: string | (() => string)): boolean {
    if (isRight) this.#passed += 1
    else this.fail(typeof words === 'string' ? words : words())
    return isRight
  }

  fail(words: string): void {
    this.#failed += 1
    this.#complaints.push(words)
    if (this.#failed <= maxPrinted) console.log(`VIOLATION ${this.#failed}: ${words}`)
  }

  /** Prints the counts and the last line, and sets the exit code. */
  finish(): void {
    const width = Math.max(0, ...[...this.#counts.keys()].map((what) => what.length))
    for (const [what, count] of [...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)))
      console.log(`  ${what.padEnd(width)}  ${Number.isInteger(count) ? count : count.toFixed(1)}`)
    for (const words of this.#complaints.slice(0, 5)) console.log(`  violation: ${words.slice(0, 300)}`)
    console.log(`${this.#name}: ${this.#passed} passed, ${this.#failed} failed`)
    if (this.#failed > 0 || this.#passed === 0) process.exitCode = 1
  }
}

const maxPrinted = 50

/** The promise's value, or an error that says what took longer than it may. */
export const within = async <T>(timeoutMs: number, what: string, promise: Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Tries until the answer is true; false when it was not in time. */
export const comesTrue = async (what: () => Promise<boolean>, timeoutMs: number): Promise<boolean> => {
  const deadline = Date.now() + timeoutMs
  while (!(await what())) {
    if (Date.now() > deadline) return false
    await sleep(100)
  }
  return true
}

const patienceMs = 60_000

/** Asks until there is an answer: what is away for a moment, and says so, is not lost. */
export const patiently = async <T>(ask: () => Promise<T>): Promise<T> => {
  for (const deadline = Date.now() + patienceMs; ; await sleep(100))
    try {
      return await ask()
    } catch (error) {
      if (!isConnectionError(error) || Date.now() > deadline) throw error
    }
}

/** Whether a request failed because the connection did, not because of what was said on it. */
export const isConnectionError = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  ['ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'ECONNABORTED', 'UND_ERR_SOCKET'].includes(String(error.code))

/** Resident memory of a process, now and at its most, in MiB. */
export const memoryOf = async (pid: number): Promise<{ now: number; peak: number }> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const read = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) / 1024
  return { now: read('VmRSS'), peak: read('VmHWM') }
}

/** Open files and sockets of a process. */
export const openFilesOf = async (pid: number): Promise<number> => (await readdir(`/proc/${pid}/fd`)).length

/** What to clean up when a signal ends the suite before its time; the processes that it started end by themselves. */
export const onSignal = (cleanUp: () => Promise<unknown>): void => {
  let isCleaning = false
  // Not `once`: who signals a whole group of processes may be heard twice, and the second time would be the end.
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      if (!isCleaning) void cleanUp().finally(() => process.exit(1))
      isCleaning = true
    })
}

/** Words for an error, whatever was thrown. */
export const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
