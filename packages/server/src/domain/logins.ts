/**
 * What the server remembers of recent logins, in memory only: guesses that failed, keys that were right a moment
 * ago, and how many keys are being hashed right now.
 */
import { createHmac, randomBytes } from 'node:crypto'
import { HoldfastError } from '@holdfast/api/errors'
import { GuessLimiter } from './guess-limiter.ts'

export interface Logins {
  readonly limiter: GuessLimiter
  readonly recentKeys: RecentKeys
  readonly hashing: Turns
  /** Hashes of keys that are being set: apart, so that who sets many keys keeps nobody from logging in. */
  readonly keySetting: Turns
}

/** Hashes at once: each takes a core and 19 MiB for some tens of milliseconds. */
const maxHashes = 2
/** Hashes waiting for their turn; the last of them waits a few seconds. */
const maxWaitingHashes = 200
/** Keys waiting to be set. */
const maxWaitingKeys = 50

export const createLogins = (): Logins => ({
  limiter: new GuessLimiter(),
  recentKeys: new RecentKeys(),
  hashing: new Turns(maxHashes, maxWaitingHashes),
  keySetting: new Turns(1, maxWaitingKeys),
})

/** A key that proved right. The nonce dies with the key, and what is remembered of it too. */
export interface RecentKey {
  readonly keyName: string
  readonly nonce: string
}

const recentKeyMs = 60 * 1000
const maxRecentKeys = 1000

/**
 * Keys that were right within the last minute: the command line logs in at every run, and hashing is dear on
 * purpose. Remembers no key, only a code of it under a secret that dies with the process.
 */
export class RecentKeys {
  readonly #secret = randomBytes(32)
  readonly #entries = new Map<string, RecentKey & { readonly until: number }>()

  /** What was remembered; the caller checks that a key of this name still has this nonce. */
  find(namespace: string, key: string, now: number): RecentKey | undefined {
    const entry = this.#entries.get(this.#codeOf(namespace, key))
    return entry && entry.until > now ? entry : undefined
  }

  remember(namespace: string, key: string, { keyName, nonce }: RecentKey, now: number): void {
    const code = this.#codeOf(namespace, key)
    this.#entries.delete(code)
    this.#entries.set(code, { keyName, nonce, until: now + recentKeyMs })
    if (this.#entries.size > maxRecentKeys) this.#entries.delete(this.#entries.keys().next().value!)
  }

  #codeOf(namespace: string, key: string): string {
    return createHmac('sha256', this.#secret)
      .update(JSON.stringify([namespace, key]))
      .digest('base64')
  }
}

/** Lets a bounded number of tasks run at once and a bounded number wait; refuses the rest. */
export class Turns {
  readonly #maxRunning: number
  readonly #maxWaiting: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(maxRunning: number, maxWaiting: number) {
    this.#maxRunning = maxRunning
    this.#maxWaiting = maxWaiting
  }

  /** Runs `task` when its turn has come; throws `too_many_requests` if too many are waiting already. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running < this.#maxRunning) this.#running += 1
    else if (this.#waiting.length < this.#maxWaiting)
      // Whoever ends hands over its place, so the number of running tasks stays as it is.
      await new Promise<void>((go) => this.#waiting.push(go))
    else throw new HoldfastError('too_many_requests')
    try {
      return await task()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#running -= 1
    }
  }
}
