/**
 * The two ways of adding bytes to an upload: Holdfast's conditional appends, and the original's plain ones. The
 * capability words of the server choose.
 */
import { call } from '../calls.ts'
import { HoldfastError, isHoldfastError, isPassing, NetworkError, UnexpectedReplyError } from '../errors.ts'
import { bodySize } from '../fetch-transport.ts'
import type { Capabilities, Session } from '../session.ts'
import type { RequestBody } from '../transport.ts'
import { Watchdog } from '../watchdog.ts'
import { type ChunkLimits, conditionalLimits, plainLimits } from './chunk-size.ts'

export interface AppendServer {
  readonly limits: ChunkLimits
  /**
   * Sends one chunk in one attempt; answers the upload's new size. Rejects with the typed error, after which
   * `recover` says how to go on.
   */
  append(uuid: string, offset: number, body: RequestBody, hooks: AppendHooks): Promise<number>
  /**
   * After an error, or on resuming: the size of the upload from which sending goes on, at least 0. `acknowledged` is
   * what the server is known to have. One attempt of a few small requests.
   */
  recover(uuid: string, acknowledged: number, signal: AbortSignal): Promise<number>
}

export interface AppendHooks {
  readonly signal: AbortSignal
  readonly onSent: (bytes: number) => void
}

/** Posts the bytes; the watchdog ends a dead connection. */
const post = async (
  session: Session,
  uuid: string,
  body: RequestBody,
  hooks: AppendHooks,
  headers: Record<string, string>,
): Promise<number> => {
  const watchdog = new Watchdog(hooks.signal, session.stallMs)
  try {
    const { reply } = await session.exchange({
      route: 'appendUpload',
      params: { upload_uuid: uuid },
      body,
      contentType: 'application/octet-stream',
      headers,
      watchdog,
      onSent: (bytes) => {
        watchdog.touch()
        hooks.onSent(bytes)
      },
    })
    const size = Number(await reply.text())
    if (!Number.isSafeInteger(size)) throw new NetworkError('the reply to an append is not a size')
    return size
  } finally {
    watchdog.stop()
  }
}

/** Holdfast: the offset travels with the bytes, and the server says how far it got. */
const conditionalServer = (session: Session): AppendServer => {
  const size = async (uuid: string, signal: AbortSignal): Promise<number> =>
    (await call(session, 'showUpload', { params: { upload_uuid: uuid } }, { signal })).size
  return {
    limits: conditionalLimits,
    async append(uuid, offset, body, hooks) {
      try {
        return await post(session, uuid, body, hooks, { 'Upload-Offset': String(offset) })
      } catch (error) {
        // Not a failure but news: somebody, perhaps our own lost request, has moved the end
        if (isHoldfastError(error, 'offset_mismatch')) {
          const actual = error.detail?.offset
          return typeof actual === 'number' ? actual : await size(uuid, hooks.signal)
        }
        throw error
      }
    },
    recover: (uuid, _acknowledged, signal) => size(uuid, signal),
  }
}

/** A server without our extensions: only the reply tells the size, and only truncation makes it certain again. */
const plainServer = (session: Session): AppendServer => ({
  limits: plainLimits,
  async append(uuid, offset, body, hooks) {
    const size = await post(session, uuid, body, hooks, {})
    if (size !== offset + bodySize(body)) {
      throw new NetworkError(
        `the server has ${size} bytes of the upload instead of ${offset + bodySize(body)}`,
      )
    }
    return size
  },
  async recover(uuid, acknowledged, signal) {
    try {
      await call(session, 'truncateUpload', { params: { upload_uuid: uuid, size: acknowledged } }, { signal })
      return acknowledged
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof NetworkError) throw error
      // Nothing to cut yet, or fewer bytes than we know of: this upload is of no use any more
      const refused = error instanceof HoldfastError || error instanceof UnexpectedReplyError
      if (refused && !isPassing(error)) throw new HoldfastError('upload_not_found', { cause: error })
      throw error
    }
  },
})

/** Chooses by what the server says it can do. */
export const appendServerFor = (session: Session, words: Capabilities): AppendServer =>
  words.has('upload-offset') && words.has('upload-status') ? conditionalServer(session) : plainServer(session)
