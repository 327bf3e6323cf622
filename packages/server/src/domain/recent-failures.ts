/**
 * What went wrong of late, in words that the server's log has as well: refusals that the administrator may have to do
 * something about. Kept in memory, equal ones together, so that neither a flood nor time makes it large.
 */
import type { FailureView } from '@holdfast/api/admin-schemas'
import type { ErrorCode, HoldfastError } from '@holdfast/api/errors'
import type { Caller, Parts } from '../parts.ts'
import { requireSystem } from './visibility.ts'

/** A request that was refused. */
export interface Failure {
  /** The route's name in the contract. */
  readonly route: string
  /** Who asked; '' where nobody was signed in. */
  readonly namespace: string
  readonly requestId: string
  readonly refusal: HoldfastError
}

/** Different failures that are kept. */
const kept = 100

/** Refusals below 500 that tell of more than a mistake of the client. */
const telling: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'wrong_key',
  'too_many_attempts',
  'too_many_requests',
  'file_too_large',
  'size_mismatch',
  'digest_mismatch',
  'url_forbidden',
])

/** The failures of one server. */
export class RecentFailures {
  /** The newest last. */
  readonly #failures = new Map<string, FailureView>()

  /** Notes a refusal, if it is one that matters. */
  note({ route, namespace, requestId, refusal }: Failure, now: number): void {
    const { code, status, message } = refusal
    if (status < 500 && !telling.has(code)) return
    const key = JSON.stringify([route, code, namespace])
    const before = this.#failures.get(key)
    this.#failures.delete(key)
    this.#failures.set(key, {
      route,
      namespace,
      code,
      status,
      message,
      count: (before?.count ?? 0) + 1,
      first_at: before?.first_at ?? now / 1000,
      last_at: now / 1000,
      request_id: requestId,
    })
    if (this.#failures.size > kept) this.#failures.delete(this.#failures.keys().next().value!)
  }

  /** The newest first. */
  list(): FailureView[] {
    return [...this.#failures.values()].reverse()
  }
}

/** For `system` only. */
export const listFailures = ({ failures }: Pick<Parts, 'failures'>, caller: Caller): FailureView[] => {
  requireSystem(caller)
  return failures.list()
}
