/** The client: one session with a server, the routes in groups, and whole uploads and downloads. */
import type { JsonRoute, Reply } from '@holdfast/api/contract'
import { type CallArguments, call, callPage, callPages, type Page } from './calls.ts'
import { downloadWeb } from './downloads/web.ts'
import type { Platform } from './platform.ts'
import { routeGroups } from './routes.ts'
import { type Capabilities, Session } from './session.ts'
import type { ClientOptions, DownloadOptions, DownloadResult, UploadOptions, UploadResult } from './types.ts'
import { runUpload } from './uploads/engine.ts'
import type { StateStore } from './uploads/state.ts'

export interface Client<Source, To> extends ReturnType<typeof routeGroups>, AsyncDisposable {
  /** Base URL, without a slash at its end; after the first request with permanent redirects applied. */
  readonly base: string
  /** Records of uploads that can be continued, where the platform keeps any. */
  readonly stateStore: StateStore | undefined
  /** The words of the server's root page. */
  capabilities(): Promise<Capabilities>
  /** A fresh access token, for use elsewhere. */
  token(): Promise<string>
  /** Calls any JSON route of the contract by its name. */
  call<K extends JsonRoute>(route: K, ...input: CallArguments<K>): Promise<Reply<K>>
  /** Calls a list with a `limit` in its query and answers one page and the cursor of the next. */
  page<K extends JsonRoute>(route: K, ...input: CallArguments<K>): Promise<Page<Reply<K>>>
  /** The pages of a list one after the other, of 100 rows unless the query's `limit` says otherwise; some may be short. */
  pages<K extends JsonRoute>(route: K, ...input: CallArguments<K>): AsyncGenerator<Reply<K>, void>
  /** Bytes from anywhere become a version of an artifact. The essay in `uploads/engine.ts` says what is promised. */
  upload(options: UploadOptions<Source>): Promise<UploadResult>
  /** A version's or blob's bytes, verified, to anywhere. */
  download(options: DownloadOptions<To>): Promise<DownloadResult>
  /** Lets go of idle connections. Calls under way go on. */
  close(): void
}

/** Makes a client for a platform; the entry points offer it with theirs filled in. */
export const createClientOn = <Source, To>(
  options: ClientOptions,
  platform: Platform<Source, To>,
): Client<Source, To> => {
  const session = new Session(options, platform.transport)
  return {
    ...routeGroups(session),
    get base() {
      return session.base
    },
    stateStore: platform.stateStore,
    capabilities: () => session.capabilities(),
    token: () => session.token(),
    call: (route, ...input) => call(session, route, ...input),
    page: (route, ...input) => callPage(session, route, ...input),
    pages: (route, ...input) => callPages(session, route, ...input),
    upload: (upload) => runUpload(session, platform, upload),
    download: (download) =>
      platform.download?.(session, download) ??
      downloadWeb(session, platform.createHash, download as DownloadOptions),
    close: () => platform.transport.close(),
    async [Symbol.asyncDispose]() {
      platform.transport.close()
    },
  }
}
