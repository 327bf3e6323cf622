/**
 * The one thing that differs between Node and browsers: how a request gets onto the wire.
 *
 * A transport makes exactly one attempt. It knows nothing of tokens, retries or errors of the contract.
 */

/** A body whose bytes are produced while they are sent, of a size known beforehand. */
export interface PumpBody {
  readonly size: number
  /** Calls `write` with pieces in order; a piece's memory may be used again once its `write` is done. */
  pump(write: (bytes: Uint8Array) => Promise<void>): Promise<void>
}

/** JSON text, or bytes in one of the forms that sources have. All can be sent more than once. */
export type RequestBody = string | Blob | readonly Uint8Array[] | PumpBody

export interface TransportRequest {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: RequestBody
  /**
   * For a GET with `Range`: the length of the range, when whoever reads the reply gives each piece back where the
   * platform has such a thing. Large reads into few buffers are possible then.
   */
  readonly rangeBytes?: number
  /** Ends the attempt at any time, the reading of the reply included. */
  readonly signal: AbortSignal
  /** Called with the number of body bytes that went out since the last call. */
  readonly onSent?: (bytes: number) => void
}

export interface TransportReply {
  readonly status: number
  /** Where the reply came from in the end, after redirects. */
  readonly url: string
  header(name: string): string | null
  text(): Promise<string>
  /** The body piece by piece, with back-pressure. Leaving the loop early drops the connection. */
  chunks(): AsyncIterable<Uint8Array>
}

export interface Transport {
  /** Whether a GET may carry a JSON body, as the original server wants for some filters. `fetch` cannot. */
  readonly sendsBodyWithGet: boolean
  /**
   * Sends one request. Rejects with the signal's reason when that is aborted, and with a `NetworkError` when no
   * reply came; every status is a reply.
   */
  send(request: TransportRequest): Promise<TransportReply>
  /** Lets go of idle connections. */
  close(): void
}

/** The size of a request body in bytes, as far as it is known without encoding it. */
export const isPumpBody = (body: RequestBody): body is PumpBody =>
  typeof body === 'object' && 'pump' in body && typeof body.pump === 'function'
