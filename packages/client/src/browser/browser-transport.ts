/**
 * `fetch`, and `XMLHttpRequest` for what is sent: only that tells how much has gone out, without which a slow line could
 * not be told from a dead one.
 */
import { NetworkError } from '../errors.ts'
import { fetchTransport } from '../fetch-transport.ts'
import type { Transport, TransportReply, TransportRequest } from '../transport.ts'

/** The transport for pages and, where there is no `XMLHttpRequest`, for service workers. */
export const browserTransport = (): Transport => {
  const fetching = fetchTransport()
  return {
    ...fetching,
    send: (request) =>
      request.onSent && typeof XMLHttpRequest !== 'undefined' ? sendByXhr(request) : fetching.send(request),
  }
}

const sendByXhr = (request: TransportRequest): Promise<TransportReply> =>
  new Promise((resolve, reject) => {
    const { method, url, headers, body, signal, onSent } = request
    if (signal.aborted) return reject(signal.reason)
    const xhr = new XMLHttpRequest()
    const abort = () => {
      xhr.abort()
      reject(signal.reason)
    }
    let sent = 0
    const advance = (loaded: number) => {
      if (loaded > sent) onSent?.(loaded - sent)
      sent = Math.max(sent, loaded)
    }
    xhr.open(method, url)
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value)
    xhr.upload.onprogress = (event) => advance(event.loaded)
    xhr.onload = () => {
      advance(xhr.status < 300 ? sizeOf(body) : 0)
      resolve({
        status: xhr.status,
        url: xhr.responseURL,
        header: (name) => xhr.getResponseHeader(name),
        text: async () => xhr.responseText,
        async *chunks() {
          yield new TextEncoder().encode(xhr.responseText)
        },
      })
    }
    xhr.onerror = () => reject(new NetworkError('the connection failed'))
    xhr.onloadend = () => signal.removeEventListener('abort', abort)
    signal.addEventListener('abort', abort, { once: true })
    xhr.send(Array.isArray(body) ? new Blob(body as Uint8Array<ArrayBuffer>[]) : (body as Blob))
  })

const sizeOf = (body: TransportRequest['body']): number => (body instanceof Blob ? body.size : 0)
