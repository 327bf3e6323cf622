/**
 * The bytes of a request, read as they come: nothing is read, and no `100 Continue` sent, before somebody asks for
 * the first chunk. There is no limit on how long a body may take, only on silence.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { HoldfastError } from '@holdfast/api/errors'

/** Requests whose client waits for `100 Continue` before it sends the body, and what to say it on. */
const awaitingContinue = new WeakMap<IncomingMessage, ServerResponse>()

/** Notes that the client waits to be told to send the body. */
export const deferContinue = (raw: IncomingMessage, response: ServerResponse): void => {
  awaitingContinue.set(raw, response)
}

/** Whether the client still waits to be told to send the body. */
export const isAwaitingContinue = (raw: IncomingMessage): boolean => awaitingContinue.has(raw)

/** Tells a client that waits for it to send the body. */
export const tellToContinue = (raw: IncomingMessage): void => {
  awaitingContinue.get(raw)?.writeContinue()
  awaitingContinue.delete(raw)
}

/** Whether the request announces a body that is not empty. */
export const announcesBody = (raw: IncomingMessage): boolean =>
  raw.headers['transfer-encoding'] !== undefined || Number(raw.headers['content-length'] ?? 0) > 0

/** The announced length, when there is one: Node has refused lengths that are no numbers. */
export const announcedLength = (raw: IncomingMessage): number | undefined => {
  const length = raw.headers['content-length']
  return length === undefined ? undefined : Number(length)
}

/** Refuses bodies that would have to be decoded first. */
export const refuseEncoded = (raw: IncomingMessage): void => {
  const encoding = raw.headers['content-encoding']
  if (encoding === undefined || /^\s*(identity)?\s*$/i.test(encoding)) return
  throw new HoldfastError('unsupported_encoding', { detail: { encoding: encoding.slice(0, 100) } })
}

/**
 * Gives the memory of a chunk back, if nothing else lies in it. Left to the garbage collector, a fast upload makes so
 * much of it that collecting takes more time than everything else that is done with the bytes.
 */
const giveBack = ({ buffer, byteLength }: Buffer): void => {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}

/**
 * A body as an async iterable, to be read once. `next` rejects with `body_incomplete` when the client goes away and
 * with `request_timeout` after `stallMs` without a byte; time in which the reader does not ask does not count.
 * Giving up does not harm the connection: call `release` and a reply can still be sent.
 */
export class RequestBody implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array> {
  readonly #raw: IncomingMessage
  readonly #stallMs: number
  readonly #lends: boolean
  /** Settles the `next` that waits, if one does. */
  #wake: ((outcome: 'news' | 'silence') => void) | undefined
  /** Set for as long as somebody listens: adding and removing listeners for every chunk costs more than the chunk. */
  #listening: { timer: NodeJS.Timeout; stop(): void } | undefined
  /** The last chunk, whose reader is done with it when it asks for the next. */
  #lent: Buffer | undefined

  /** `lends`: a chunk may be looked at only until the next one is asked for. */
  constructor(raw: IncomingMessage, stallMs: number, { lends = false } = {}) {
    this.#raw = raw
    this.#stallMs = stallMs
    this.#lends = lends
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const raw = this.#raw
    tellToContinue(raw)
    if (this.#lent) giveBack(this.#lent)
    this.#lent = undefined
    for (;;) {
      const value: Buffer | null = raw.read()
      if (value !== null) {
        if (this.#lends) this.#lent = value
        return { done: false, value }
      }
      if (raw.readableEnded) {
        this.release()
        return { done: true, value: undefined }
      }
      if (raw.destroyed || (await this.#arrival()) === 'silence') {
        this.release()
        throw new HoldfastError(raw.destroyed ? 'body_incomplete' : 'request_timeout')
      }
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.release()
    return { done: true, value: undefined }
  }

  /** Stops listening. A pending `next` then never settles. */
  release(): void {
    this.#wake = undefined
    this.#listening?.stop()
    this.#listening = undefined
  }

  /** Resolves when it is worth trying again, or after too long a silence. */
  #arrival(): Promise<'news' | 'silence'> {
    return new Promise((resolve) => {
      this.#wake = resolve
      // Counts from here: what came before was not silence of the client's.
      if (this.#listening) this.#listening.timer.refresh()
      else this.#listening = this.#listen()
    })
  }

  #listen() {
    const raw = this.#raw
    const settle = (outcome: 'news' | 'silence') => {
      const wake = this.#wake
      this.#wake = undefined
      wake?.(outcome)
    }
    const onNews = () => settle('news')
    const timer = setTimeout(settle, this.#stallMs, 'silence')
    const events = ['readable', 'end', 'close', 'error'] as const
    for (const event of events) raw.on(event, onNews)
    return {
      timer,
      stop() {
        clearTimeout(timer)
        for (const event of events) raw.off(event, onNews)
      },
    }
  }
}
