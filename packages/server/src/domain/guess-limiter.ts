/**
 * Slows down those who guess keys. Kept in memory and bounded: a restart forgives, and a flood of guesses from ever
 * new addresses costs no more than the table's size.
 *
 * An address that failed too often at a namespace is refused for a while. When a namespace is under attack from many
 * addresses, one failure is already too many; addresses that have not failed are never refused, so that an attack
 * from elsewhere locks nobody out.
 */
import { HoldfastError } from '@holdfast/api/errors'
import ipaddr from 'ipaddr.js'

/** Failures count for this long. */
const windowMs = 5 * 60 * 1000
/** Failures of one address at one namespace. */
const maxByAddress = 10
/** Failures at one namespace from anywhere. */
const maxByNamespace = 100
/** Entries a table holds; those not touched for longest go first. */
const maxEntries = 10_000

/** Who tries to log in where. */
export interface Attempt {
  readonly namespace: string
  readonly address: string
}

export class GuessLimiter {
  readonly #byAddress = new FailureTable(maxByAddress)
  readonly #byNamespace = new FailureTable(maxByNamespace)

  /** Throws `too_many_attempts` if this attempt has to wait. `now` is in milliseconds. */
  check(attempt: Attempt, now: number): void {
    const own = this.#byAddress.recent(addressKey(attempt), now)
    const all = this.#byNamespace.recent(attempt.namespace, now)
    const allowed = all.length < maxByNamespace ? maxByAddress : 1
    if (own.length < allowed) return
    // Free again when so many of the failures have left the window that fewer than allowed remain.
    const freeAt = own[own.length - allowed]! + windowMs
    throw new HoldfastError('too_many_attempts', {
      detail: { retry_after: Math.max(1, Math.ceil((freeAt - now) / 1000)) },
    })
  }

  failed(attempt: Attempt, now: number): void {
    this.#byAddress.add(addressKey(attempt), now)
    this.#byNamespace.add(attempt.namespace, now)
  }

  /** The right key shows that this address mistyped rather than guessed. */
  succeeded(attempt: Attempt): void {
    this.#byAddress.remove(addressKey(attempt))
  }
}

/** Times of recent failures by key, oldest first, each list and the table itself bounded. */
class FailureTable {
  readonly #times = new Map<string, readonly number[]>()
  readonly #maxTimes: number

  constructor(maxTimes: number) {
    this.#maxTimes = maxTimes
  }

  recent(key: string, now: number): readonly number[] {
    return (this.#times.get(key) ?? []).filter((time) => time > now - windowMs)
  }

  add(key: string, now: number): void {
    const times = [...this.recent(key, now), now].slice(-this.#maxTimes)
    this.#times.delete(key)
    this.#times.set(key, times)
    if (this.#times.size > maxEntries) this.#times.delete(this.#times.keys().next().value!)
  }

  remove(key: string): void {
    this.#times.delete(key)
  }
}

/** One customer usually has a whole /64 of IPv6, so all of it counts as one address. */
const addressKey = ({ namespace, address }: Attempt): string => {
  let from = address
  if (ipaddr.isValid(address)) {
    const parsed = ipaddr.process(address)
    from = parsed.kind() === 'ipv6' ? parsed.toByteArray().slice(0, 8).join('.') : parsed.toString()
  }
  return JSON.stringify([namespace, from])
}
