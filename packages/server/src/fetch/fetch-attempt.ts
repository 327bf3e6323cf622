import { HoldfastError } from '@holdfast/api/errors'
import { describeUrl, FetchError, networkError } from './fetch-error.ts'
import type { FetchOptions, FetchResult } from './fetch-url.ts'
import { discardBody, type OpenOptions, openRemote, type RemoteResponse } from './open-remote.ts'
import {
  contentLength,
  contentRange,
  type Headers,
  headerOf,
  readValidators,
  retryAfterMs,
  type Validators,
} from './remote-headers.ts'

/** The remote file that the sink's bytes belong to, as far as it is known; it outlives a failed attempt. */
export interface RemoteFile extends Validators {
  contentType: string | null
  /** Length in bytes, null when the remote does not tell. */
  total: number | null
}

/** What one attempt works with. */
export interface Attempt {
  options: FetchOptions
  open: Omit<OpenOptions, 'headers'>
  /** Shared by all attempts; `file` is replaced when the remote starts another one. */
  state: { file: RemoteFile }
}

/**
 * One request, with its redirects, from its headers to the last byte in the sink.
 *
 * Throws a retryable `FetchError` when another attempt may go on, with or without the bytes that the sink holds
 * by then. Every attempt begins at the original URL: targets of redirects are often signed for a short time.
 */
export async function attemptFetch(attempt: Attempt): Promise<FetchResult> {
  const { options, open, state } = attempt
  const kept = options.sink.size()
  const ifRange = kept > 0 ? state.file.ifRange : null
  const isConditional = kept === 0 && (options.ifEtag != null || options.ifLastModified != null)
  const remote = await openRemote(new URL(options.url), {
    ...open,
    headers: requestHeaders(options, kept, ifRange),
  })
  try {
    const { statusCode, headers } = remote.response
    if (statusCode === 304 && isConditional) return { status: 'unchanged' }
    if (statusCode === 206 && ifRange !== null) {
      await continueFile(attempt, remote, kept)
    } else if (statusCode === 200) {
      if (kept > 0) await options.sink.reset()
      state.file = {
        ...readValidators(headers),
        contentType: readType(headers),
        total: contentLength(headers),
      }
    } else {
      // The bytes kept no longer fit what the remote has.
      if (statusCode === 416 && ifRange !== null) await options.sink.reset()
      throw statusError(remote, ifRange !== null)
    }
    const size = await receiveBody(attempt, remote)
    const { etag, lastModified, contentType } = state.file
    return { status: 'fetched', size, etag, lastModified, contentType }
  } finally {
    discardBody(remote.response)
  }
}

function requestHeaders(options: FetchOptions, kept: number, ifRange: string | null): Record<string, string> {
  return {
    accept: '*/*',
    // The store keeps the file, not a compressed copy of it. A remote that compresses all the same is taken at its
    // word, as curl and wget do: many label files that are stored compressed that way.
    'accept-encoding': 'identity',
    'user-agent': 'holdfast',
    ...(ifRange === null ? {} : { range: `bytes=${kept}-`, 'if-range': ifRange }),
    ...(kept === 0 && options.ifEtag ? { 'if-none-match': options.ifEtag } : {}),
    ...(kept === 0 && options.ifLastModified ? { 'if-modified-since': options.ifLastModified } : {}),
  }
}

/** Checks that a 206 goes on exactly where the sink ends, in the same file; otherwise the sink starts afresh. */
async function continueFile(
  attempt: Attempt,
  { url, response }: RemoteResponse,
  kept: number,
): Promise<void> {
  const { options, state } = attempt
  const { file } = state
  const range = contentRange(response.headers)
  const now = readValidators(response.headers)
  const fits =
    range?.first === kept &&
    range.last >= kept &&
    (range.total === null || range.last === range.total - 1) &&
    (range.total === null || file.total === null || range.total === file.total) &&
    (now.etag === null || file.etag === null || now.etag === file.etag)
  if (!fits) {
    await options.sink.reset()
    const message = `${describeUrl(url)}: the remote resumed at another place or in another file`
    throw new FetchError('bad_response', message, { retryable: true })
  }
  state.file = {
    etag: file.etag ?? now.etag,
    lastModified: file.lastModified ?? now.lastModified,
    contentType: file.contentType ?? readType(response.headers),
    ifRange: file.ifRange,
    total: file.total ?? range.total,
  }
}

/** Streams the body into the sink and answers the sink's total, which is then the file's whole length. */
async function receiveBody(attempt: Attempt, { url, response }: RemoteResponse): Promise<number> {
  const { options, open } = attempt
  const { file } = attempt.state
  const { sink, maxBytes } = options
  let size = sink.size()
  const end: { reached: boolean; failure?: unknown } = { reached: false }
  if (file.total !== null && file.total > maxBytes) throw tooLarge(maxBytes, file.total)

  async function* arriving(): AsyncGenerator<Uint8Array, void> {
    const iterator: AsyncIterator<Uint8Array> = response.body[Symbol.asyncIterator]()
    for (;;) {
      let next: IteratorResult<Uint8Array>
      try {
        next = await open.wait.for(iterator.next())
        if (!next.done) size = checkSize(size + next.value.length)
      } catch (error) {
        const isKnown =
          open.wait.signal.aborted || error instanceof HoldfastError || error instanceof FetchError
        end.failure = isKnown ? error : networkError(url, error)
        throw end.failure
      }
      if (next.done) break
      yield next.value
      options.onProgress?.({ size, total: file.total, ifRange: file.ifRange })
    }
    end.reached = true
  }

  const checkSize = (newSize: number): number => {
    if (newSize > maxBytes) throw tooLarge(maxBytes)
    if (file.total !== null && newSize > file.total) {
      const message = `${describeUrl(url)}: more bytes than the remote announced`
      throw new FetchError('bad_response', message, { retryable: false })
    }
    return newSize
  }

  const kept = await keepOutcome(sink.append(arriving()))
  // A sink may throw what ended the stream or answer what it kept of it: either way the stream's end counts.
  if (end.failure !== undefined) throw end.failure
  if ('error' in kept) throw kept.error
  if (!end.reached || kept.value !== size) throw new Error('the sink did not take all bytes of the stream')
  if (file.total !== null && size !== file.total) {
    const message = `${describeUrl(url)}: the body ended after ${size} of ${file.total} bytes`
    throw new FetchError('network', message, { retryable: true })
  }
  return size
}

const keepOutcome = <T>(promise: Promise<T>): Promise<{ value: T } | { error: unknown }> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )

function statusError({ url, response }: RemoteResponse, isResuming: boolean): FetchError {
  const { statusCode: status, headers } = response
  const retryable = status === 408 || status === 429 || status >= 500 || (status === 416 && isResuming)
  return new FetchError('remote_status', `${describeUrl(url)}: the remote answered with status ${status}`, {
    status,
    retryable,
    retryAfterMs: retryAfterMs(headers),
  })
}

const readType = (headers: Headers): string | null => headerOf(headers, 'content-type')?.slice(0, 255) ?? null

const tooLarge = (limit: number, size?: number) =>
  new HoldfastError('file_too_large', {
    message: `the remote file is larger than the ${limit} bytes this server accepts`,
    detail: size === undefined ? { limit } : { limit, size },
  })
