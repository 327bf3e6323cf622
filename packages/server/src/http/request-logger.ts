/**
 * What a request logs with. Its own logger, with the request's id on every line, is made for the first line: most requests
 * write none but the one of `request-log.ts`, and a logger takes longer to make than a line to write.
 */
import type { FastifyBaseLogger } from 'fastify'

export class RequestLogger implements FastifyBaseLogger {
  readonly #parent: FastifyBaseLogger
  readonly #bindings: Record<string, unknown>
  #own: FastifyBaseLogger | undefined

  constructor(parent: FastifyBaseLogger, bindings: Record<string, unknown>) {
    this.#parent = parent
    this.#bindings = bindings
  }

  get #log(): FastifyBaseLogger {
    this.#own ??= this.#parent.child(this.#bindings)
    return this.#own
  }

  get level(): string {
    return this.#parent.level
  }

  readonly child: FastifyBaseLogger['child'] = (...words) => this.#log.child(...words)

  fatal(...line: [unknown]): void {
    this.#log.fatal(...line)
  }

  error(...line: [unknown]): void {
    this.#log.error(...line)
  }

  warn(...line: [unknown]): void {
    this.#log.warn(...line)
  }

  info(...line: [unknown]): void {
    this.#log.info(...line)
  }

  debug(...line: [unknown]): void {
    this.#log.debug(...line)
  }

  trace(...line: [unknown]): void {
    this.#log.trace(...line)
  }

  silent(): void {}
}
