import { NetworkError } from './errors.ts'
import { isPumpBody, type RequestBody, type Transport, type TransportReply } from './transport.ts'

/** Not part of `RequestInit` in every type library. */
type Fetch = typeof globalThis.fetch

/** A body in a form whose length `fetch` knows, so that it goes out with `Content-Length`. */
const bodyForFetch = (body: RequestBody): BodyInit => {
  if (typeof body === 'string' || body instanceof Blob) return body
  if (isPumpBody(body)) throw new TypeError('this transport cannot send files by path')
  return new Blob(body as Uint8Array<ArrayBuffer>[])
}

async function* readBody(response: Response, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (response.body === null) return
  const reader = response.body.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } catch (error) {
    throw failure(error, signal)
  } finally {
    reader.cancel().catch(() => {})
  }
}

const failure = (error: unknown, signal: AbortSignal): unknown => {
  if (signal.aborted) return signal.reason
  return new NetworkError(error instanceof Error ? error.message : String(error), { cause: error })
}

/** Requests by `fetch`: works everywhere, and tells of sent bytes only when a request is over. */
export const fetchTransport = (fetch: Fetch = globalThis.fetch.bind(globalThis)): Transport => ({
  sendsBodyWithGet: false,

  async send(request): Promise<TransportReply> {
    const { method, url, headers, body, signal, onSent } = request
    const response = await fetch(url, {
      method,
      headers,
      signal,
      cache: 'no-store',
      credentials: 'omit',
      ...(body === undefined ? {} : { body: bodyForFetch(body) }),
    }).catch((error: unknown) => {
      throw failure(error, signal)
    })
    if (onSent && response.ok && body !== undefined) onSent(bodySize(body))
    return {
      status: response.status,
      url: response.url,
      header: (name) => response.headers.get(name),
      text: () =>
        response.text().catch((error: unknown) => {
          throw failure(error, signal)
        }),
      chunks: () => readBody(response, signal),
    }
  },

  close() {},
})

/** How many bytes a body has. */
export const bodySize = (body: RequestBody): number => {
  if (typeof body === 'string') return new TextEncoder().encode(body).length
  if (Array.isArray(body)) return body.reduce((sum: number, piece: Uint8Array) => sum + piece.length, 0)
  return (body as Blob).size
}
