import { HoldfastError } from '@holdfast/api/errors'
import { type Dispatcher, request } from 'undici'
import type { AddressGuard } from './address-guard.ts'
import { describeUrl, FetchError, networkError } from './fetch-error.ts'
import { headerOf } from './remote-headers.ts'
import type { RemoteWait } from './remote-wait.ts'

export interface OpenOptions {
  guard: AddressGuard
  dispatcher: Dispatcher
  wait: RemoteWait
  headers: Record<string, string>
  maxRedirects: number
  /** Whether a redirect may lead from https to http. */
  allowDowngrade: boolean
}

export interface RemoteResponse {
  /** Where the redirects ended. */
  url: URL
  response: Dispatcher.ResponseData
}

const redirectStatuses = new Set([301, 302, 303, 307, 308])

/** Sends a GET and follows redirects, each checked like the first URL, to a response that is none. */
export async function openRemote(start: URL, options: OpenOptions): Promise<RemoteResponse> {
  let url = options.guard.checkUrl(start)
  for (let redirects = 0; ; redirects++) {
    const response = await send(url, options)
    if (!redirectStatuses.has(response.statusCode)) return { url, response }
    discardBody(response)
    if (redirects >= options.maxRedirects) {
      throw badRedirect(start, `more than ${options.maxRedirects} redirects`)
    }
    url = redirectTarget(url, response, options)
  }
}

/** Closes the connection of a response whose body nobody wants. */
export function discardBody({ body }: Dispatcher.ResponseData): void {
  body.on('error', () => {})
  body.destroy()
}

async function send(url: URL, { dispatcher, wait, headers }: OpenOptions): Promise<Dispatcher.ResponseData> {
  try {
    return await wait.for(request(url, { dispatcher, headers, method: 'GET', signal: wait.signal }))
  } catch (error) {
    // A refusal of the guard's connector comes out here as it went in.
    if (wait.signal.aborted || error instanceof HoldfastError) throw error
    throw networkError(url, error)
  }
}

function redirectTarget(from: URL, response: Dispatcher.ResponseData, options: OpenOptions): URL {
  const location = headerOf(response.headers, 'location')
  if (location === undefined) throw badRedirect(from, 'a redirect without Location')
  if (!URL.canParse(location, from)) throw badRedirect(from, 'a redirect to an invalid URL')
  const target = options.guard.checkUrl(new URL(location, from))
  if (from.protocol === 'https:' && target.protocol === 'http:' && !options.allowDowngrade) {
    throw badRedirect(from, 'a redirect from https to http')
  }
  return target
}

const badRedirect = (url: URL, what: string) =>
  new FetchError('bad_redirect', `${describeUrl(url)}: ${what}`, { retryable: false })
