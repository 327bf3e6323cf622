/** What goes wrong on the way between a client and a server in the suite `client.ts`, and when the client is killed. */
import { type Fault, type FaultyProxy, isAppend, isBlobData } from '../support/faulty-proxy.ts'
import type { Random, Report } from './harness.ts'

const isConversion = (path: string): boolean => path.startsWith('/artifacts/upload/')

/** A whole number from 0 to `most`, small ones as often as large ones. */
const logarithmic = (random: Random, most: number): number =>
  Math.floor(2 ** (random.next() * Math.log2(most + 2))) - 1

const someFault = (random: Random, path: string, size: number): Fault => {
  const after = logarithmic(random, Math.min(size, 64 * 1024 * 1024))
  const reset = random.chance(0.5)
  const kind = random.weighted({
    'cut-request': 3,
    'cut-reply': 2,
    lost: isConversion(path) ? 6 : 2,
    status: 3,
    stall: 1,
    'stall-reply': 1,
    delay: 1,
  })
  if (kind === 'lost') return { kind: 'cut-reply', after: -1, reset }
  if (kind === 'status') {
    const status = random.pick([500, 502, 503])
    return { kind, status, ...(random.chance(0.2) ? { retryAfter: '0' } : {}) }
  }
  if (kind === 'stall') return { kind, after, ms: random.between(100, 1500) }
  if (kind === 'stall-reply') return { kind, after }
  // Now and then later than the client waits for
  if (kind === 'delay') return { kind, ms: random.chance(0.1) ? 2500 : random.between(1, 200) }
  return { kind, after, reset }
}

/** When a client that runs as a process ends: at which request, and after how many bytes of its kind. */
type Moment =
  | { readonly at: 'create' | 'convert'; readonly of: 'request' | 'reply' }
  | { readonly at: 'bytes'; readonly bytes: number }

/** Breaks what passes through a proxy, now and then, and kills clients when it is told to. */
export class Line {
  readonly proxy: FaultyProxy
  readonly #random: Random
  readonly #report: Report
  readonly #size: number
  #faults = 0
  #kill: { readonly moment: Moment; readonly moved: number; readonly act: () => void } | undefined

  constructor(proxy: FaultyProxy, random: Random, report: Report, size: number) {
    this.proxy = proxy
    this.#random = random
    this.#report = report
    this.#size = size
    proxy.options = { fault: (method, path) => this.#decide(method, path) }
  }

  /** How many exchanges went wrong so far. */
  get faults(): number {
    return this.#faults
  }

  /** From the next transfer on, counts from zero. */
  reset(): void {
    this.#faults = 0
  }

  /** Calls `act` once at some moment of the transfer that begins now, if it comes to that. */
  killAtSomeMoment(act: () => void): void {
    const random = this.#random
    const moment: Moment = random.chance(0.3)
      ? { at: random.pick(['create', 'convert']), of: random.pick(['request', 'reply']) }
      : { at: 'bytes', bytes: random.between(0, this.#size) }
    this.#kill = { moment, moved: this.#moved(), act }
  }

  /** The client of `killAtSomeMoment` is gone. */
  forgetKill(): void {
    this.#kill = undefined
  }

  #moved(): number {
    return this.proxy.counts.appended + this.proxy.counts.downloaded
  }

  #decide(method: string, path: string): Fault | undefined {
    const kill = this.#killNow(method, path)
    if (kill) return kill
    const random = this.#random
    // The chance falls with every fault: every line lets something through in the end
    const chance = (isConversion(path) ? 0.8 : 0.5) / (1 + this.#faults / 6)
    if (!random.chance(chance)) return undefined
    this.#faults += 1
    const fault = someFault(random, path, this.#size)
    this.#report.count(`faults: ${fault.kind}`)
    return fault
  }

  #killNow(method: string, path: string): Fault | undefined {
    if (this.#kill === undefined) return undefined
    const { moment, moved, act } = this.#kill
    const once = () => {
      this.#kill = undefined
      act()
    }
    if (moment.at === 'bytes') {
      const of = isAppend(method, path) ? 'request' : isBlobData(method, path) ? 'reply' : undefined
      const after = Math.max(0, moment.bytes - (this.#moved() - moved))
      return of && { kind: 'call', of, after, act: once }
    }
    const isIt = moment.at === 'convert' ? isConversion(path) : method === 'POST' && path === '/upload'
    return isIt ? { kind: 'call', of: moment.of, after: 0, act: once } : undefined
  }
}
