/**
 * How many requests are worked on at the same time: in all, and for one namespace. What is beyond is refused before a
 * byte of its body is read, so that a flood costs a refusal each and neither memory nor the service of others.
 */
import { HoldfastError } from '@holdfast/api/errors'
import type { Gauge } from 'prom-client'
import type { Config } from '../config.ts'

/** When it is worth coming back, in seconds: most requests take much less. */
const retryAfter = 1

/** Counts requests from their token's check until their reply has left or never will. */
export class RequestsInFlight {
  readonly #config: Pick<Config, 'maxRequests' | 'namespaceMaxRequests'>
  readonly #gauge: Gauge
  readonly #byNamespace = new Map<string, number>()
  #total = 0

  constructor(config: Pick<Config, 'maxRequests' | 'namespaceMaxRequests'>, gauge: Gauge) {
    this.#config = config
    this.#gauge = gauge
  }

  /**
   * Counts a request until what it returns is called, or throws `too_many_requests`. Requests without a token count
   * together as those of the namespace '', so that they cannot take all the room of those that have one.
   */
  enter(namespace: string): () => void {
    const { maxRequests, namespaceMaxRequests } = this.#config
    const own = this.#byNamespace.get(namespace) ?? 0
    if (maxRequests > 0 && this.#total >= maxRequests) throw tooMany('server', maxRequests)
    if (namespaceMaxRequests > 0 && own >= namespaceMaxRequests)
      throw tooMany('namespace', namespaceMaxRequests)
    this.#change(namespace, 1)
    return () => this.#change(namespace, -1)
  }

  #change(namespace: string, by: 1 | -1): void {
    const own = (this.#byNamespace.get(namespace) ?? 0) + by
    if (own > 0) this.#byNamespace.set(namespace, own)
    else this.#byNamespace.delete(namespace)
    this.#total += by
    this.#gauge.set(this.#total)
  }
}

const tooMany = (scope: 'server' | 'namespace', limit: number): HoldfastError =>
  new HoldfastError('too_many_requests', { detail: { scope, limit, retry_after: retryAfter } })
