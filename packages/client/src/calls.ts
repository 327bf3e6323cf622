/** Typed calls: any JSON route of the contract by its name. */
import type { Body, JsonRoute, Params, Query, Reply } from '@holdfast/api/contract'
import { type RouteName, splitPath } from '@holdfast/api/paths'
import type { MetadataQuery } from '@holdfast/api/schemas'
import { type ErrorCode, isHoldfastError, isPassing, isUntouched, NetworkError } from './errors.ts'
import { abortable, retrying } from './retry.ts'
import type { Session } from './session.ts'
import type { TransportReply } from './transport.ts'
import type { CallOptions } from './types.ts'
import { Watchdog } from './watchdog.ts'

type Required<Name extends string, T> = T extends undefined ? { [N in Name]?: undefined } : { [N in Name]: T }
type Optional<Name extends string, T> = T extends undefined
  ? { [N in Name]?: undefined }
  : { [N in Name]?: T | undefined }
type HasRequired<T> = T extends undefined ? false : Record<never, never> extends T ? false : true

/** Lists that can be asked for by metadata values. */
type MetadataRoute = 'listArtifacts' | 'listBlobs'

/** What a call of a route takes: what the contract requires is required here. */
export type CallInput<K extends RouteName> = Required<'params', Params<K>> &
  Optional<'query', K extends MetadataRoute ? Query<K> & MetadataQuery : Query<K>> &
  (HasRequired<Body<K>> extends true ? Required<'body', Body<K>> : Optional<'body', Body<K>>)

/** Arguments of `call`: the input may be left out where nothing in it is required. */
export type CallArguments<K extends RouteName> =
  Record<never, never> extends CallInput<K>
    ? [input?: CallInput<K>, options?: CallOptions]
    : [input: CallInput<K>, options?: CallOptions]

/** A page of a list. */
export interface Page<T> {
  readonly items: T
  /** For the query of the next page; undefined on the last. */
  readonly cursor: string | undefined
}

/**
 * Routes that do something else when they run twice. All others end in the same state however often they run, so
 * they are repeated after a lost reply.
 */
const runsOnce = new Set<RouteName>([
  'createNamespace',
  'deleteLabel',
  'deleteNamespacedLabel',
  'deleteVersion',
  'fetchArtifact',
  'unshareArtifact',
])

/** Without its UUID, the artifact that a repeated request would delete may be the next one of that name. */
const deletesByName = (route: RouteName, { params }: LooseInput): boolean =>
  route === 'deleteArtifact' && !uuidPattern.test(String((params as Params<'deleteArtifact'>).artifact_ref))
const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** What a repeated deletion is told when the lost attempt had worked. */
const goneAlready: Readonly<Partial<Record<RouteName, ErrorCode>>> = {
  deleteKey: 'key_name_not_found',
  deleteNamespace: 'namespace_not_found',
  deleteUpload: 'upload_not_found',
}

/** The original hashes the whole file in a conversion; Holdfast has the digest by then. */
const timeoutOf = async (session: Session, route: RouteName): Promise<number> => {
  const slow = route === 'convertUpload' && !(await session.capabilities()).has('convert-expect')
  return slow ? 5 * session.timeoutMs : session.timeoutMs
}

const mayRepeat = (route: RouteName, input: LooseInput, error: unknown): boolean =>
  isUntouched(error) || (isPassing(error) && !runsOnce.has(route) && !deletesByName(route, input))

const cursorOf = (link: string | null): string | undefined => {
  const next = link?.match(/<([^>]*)>\s*;[^,]*\brel="?next"?/)?.[1]
  if (next === undefined) return undefined
  return new URL(next, 'http://relative').searchParams.get('cursor') ?? undefined
}

/** Makes a small request with retries, and gives its reply to `read` inside the attempt. */
export const request = async <T>(
  session: Session,
  route: RouteName,
  input: LooseInput,
  options: CallOptions,
  read: (reply: TransportReply) => Promise<T>,
): Promise<T> => {
  const signal = session.signalFor(options.signal)
  const bodyGoes = splitPath(route).method !== 'GET' || session.transport.sendsBodyWithGet
  const { policy, onRetry } = session
  /** An attempt may have worked although its reply was lost. */
  let mayBeDone = false
  return await retrying(
    { what: route, policy, signal, onRetry },
    (error) => {
      mayBeDone ||= !isUntouched(error)
      return mayRepeat(route, input, error)
    },
    async () => {
      const timeoutMs = options.timeoutMs ?? (await abortable(timeoutOf(session, route), signal))
      const watchdog = new Watchdog(signal, timeoutMs)
      try {
        const { reply } = await session.exchange({
          route,
          params: input.params as Record<string, unknown> | undefined,
          query: input.query as Record<string, unknown> | undefined,
          body: bodyGoes && input.body !== undefined ? JSON.stringify(input.body) : undefined,
          watchdog,
        })
        return await read(reply)
      } catch (error) {
        const gone = goneAlready[route]
        // These routes answer `null`
        if (mayBeDone && gone !== undefined && isHoldfastError(error, gone)) return null as T
        throw error
      } finally {
        watchdog.stop()
      }
    },
  )
}

const readJson = async (reply: TransportReply): Promise<unknown> => {
  const text = await reply.text()
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new NetworkError('the reply is not JSON; is this the right server?', { cause: error })
  }
}

/** Arguments without their exact types, which the compiler cannot follow through every route at once. */
type LooseArguments = readonly [input?: LooseInput, options?: CallOptions]
interface LooseInput {
  readonly params?: unknown
  readonly query?: unknown
  readonly body?: unknown
}

/** `call` where the route is computed: the caller answers for the types. */
export const callLoosely = (
  session: Session,
  route: JsonRoute,
  ...[input = {}, options = {}]: LooseArguments
): Promise<unknown> => request(session, route, input, options, readJson)

/** Calls a JSON route and answers its reply. */
export const call = async <K extends JsonRoute>(
  session: Session,
  route: K,
  ...args: CallArguments<K>
): Promise<Reply<K>> => (await callLoosely(session, route, ...(args as LooseArguments))) as Reply<K>

/** Calls a paged list and answers one page. */
export const callPage = async <K extends JsonRoute>(
  session: Session,
  route: K,
  ...args: CallArguments<K>
): Promise<Page<Reply<K>>> => {
  const [input = {}, options = {}] = args as LooseArguments
  return await request(session, route, input, options, async (reply) => ({
    items: (await readJson(reply)) as Reply<K>,
    cursor: cursorOf(reply.header('Link')),
  }))
}

/**
 * Calls a paged list again and again and answers page after page, of 100 rows unless `limit` says otherwise. A page may
 * hold fewer rows than that, even none. A server without `paged-lists` answers everything as one page.
 */
export async function* callPages<K extends JsonRoute>(
  session: Session,
  route: K,
  ...args: CallArguments<K>
): AsyncGenerator<Reply<K>, void> {
  const [input = {}, options] = args as LooseArguments
  let cursor: string | undefined
  do {
    const query = { limit: 100, ...(input.query ?? {}), ...(cursor === undefined ? {} : { cursor }) }
    const next = [{ ...input, query }, options] as unknown as CallArguments<K>
    const page = await callPage(session, route, ...next)
    yield page.items
    cursor = page.cursor
  } while (cursor !== undefined)
}
