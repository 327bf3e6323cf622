/**
 * The HTTP layer on a real socket, over handlers that only tell what reached them: for the tests of this directory.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { SecureContextOptions } from 'node:tls'
import { HoldfastError } from '@holdfast/api/errors'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { type Config, parseConfig } from '../config.ts'
import { aloneNode } from '../domain/nodes/nodes.ts'
import { RecentFailures } from '../domain/recent-failures.ts'
import { createMetrics } from '../metrics.ts'
import type { Parts } from '../parts.ts'
import type { Call, HandledRoute, Handlers } from './handlers.ts'
import { createHttp, type MakeRoutes } from './http-server.ts'
import type { RawHandlers } from './register.ts'
import { RequestBody } from './request-body.ts'

export interface Fixture {
  readonly app: FastifyInstance
  readonly url: string
  readonly port: number
  /** The lines that were logged. */
  readonly lines: Record<string, unknown>[]
  close(): Promise<void>
}

/** What every route without a handler of its own in `overrides` answers: the call, as JSON. */
const tell = async (_parts: Parts, { caller, params, query, body }: Call<HandledRoute>) =>
  ({ caller, params, query, body }) as never

export const startHttp = async (
  overrides: {
    handlers?: Partial<Handlers>
    rawHandlers?: Partial<RawHandlers>
    settings?: Partial<Config>
    tls?: SecureContextOptions
  } = {},
): Promise<Fixture> => {
  const lines: Record<string, unknown>[] = []
  const log = pino({ level: 'debug' }, { write: (line) => void lines.push(JSON.parse(line)) })
  const parts = {
    config: { ...parseConfig({}), ...overrides.settings },
    log,
    metrics: createMetrics(),
    failures: new RecentFailures(),
    clock: { now: () => Date.now() },
    nodes: aloneNode({ name: 'node-1', version: '0', clock: { now: () => Date.now() } }),
  } as Parts
  const readAll: RawHandlers['appendUpload'] = async (_parts, _call, { raw }, reply) => {
    let size = 0
    for await (const chunk of new RequestBody(raw, 500)) size += chunk.length
    return reply.type('application/json').send(String(size))
  }
  const makeRoutes: MakeRoutes = () => ({
    handlers: new Proxy(overrides.handlers ?? {}, {
      get: (handlers, name) => Reflect.get(handlers, name) ?? tell,
    }) as Handlers,
    rawHandlers: { appendUpload: readAll, ...overrides.rawHandlers } as RawHandlers,
    authenticate: async (_parts, header, requestId) => {
      if (header !== 'Bearer good') throw new HoldfastError('token_invalid')
      return { namespace: 'one', keyName: 'k', requestId }
    },
  })
  const app = createHttp(parts, makeRoutes, overrides.tls)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as { port: number }
  return {
    app,
    port,
    url: `${overrides.tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    lines,
    close: () => app.close(),
  }
}

/** Writes `text` to a fresh connection and reads until the server closes it, or `until` matches what came. */
export const exchange = async (port: number, text: string, until?: RegExp): Promise<string> => {
  const socket = connect(port, '127.0.0.1')
  let received = ''
  socket.setEncoding('utf8').on('data', (part: string) => {
    received += part
    if (until?.test(received)) socket.destroy()
  })
  socket.on('error', () => {})
  socket.write(text)
  await once(socket, 'close')
  return received
}
