import { buildConnector } from 'undici'
import type { AddressGuard } from './address-guard.ts'

/** An undici connector that reaches the addresses only which the guard allows; others end in `url_forbidden`. */
export const guardedConnector = (guard: AddressGuard, timeoutMs: number): buildConnector.connector => {
  const connect = buildConnector({ lookup: guard.lookup, timeout: timeoutMs } as buildConnector.BuildOptions)
  return (options, callback) => {
    try {
      // Node connects to a literal address without asking `lookup`.
      guard.checkLiteral(options.hostname)
    } catch (error) {
      callback(error as Error, null)
      return
    }
    connect(options, callback)
  }
}
