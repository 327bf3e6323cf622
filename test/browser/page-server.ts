/**
 * Serves the page of the browser suite, and under `/store` of the same origin the server itself, whose appends it can
 * bring to a halt. The server does not hear of a browser that leaves meanwhile, as behind a proxy that buffers: the next
 * append has to take the upload over. The policy it sends is the strictest under which the client works: its hash is
 * WebAssembly.
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { pipeline } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const policy =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'"
const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
}

export interface PageServer extends AsyncDisposable {
  readonly url: string
  /** Bytes of appends that went to the server. */
  readonly appended: number
  /** Where the server's data ended for certain, by its last reply to an append. */
  readonly acknowledged: number
  /** Begins to count anew, and lets this many bytes pass. Without a number it lets everything pass. */
  restart(limit?: number): void
  /** When the limit is reached. */
  halted(): Promise<void>
}

/** Bundles the page into a directory and serves it. */
export const servePage = async (store: string, directory: string): Promise<PageServer> => {
  await build({
    configFile: false,
    logLevel: 'warn',
    root: fileURLToPath(new URL('./page', import.meta.url)),
    worker: { format: 'es' },
    build: { outDir: directory, emptyOutDir: true, target: 'es2024' },
  })
  let appended = 0
  let acknowledged = 0
  let limit = Number.POSITIVE_INFINITY
  let reached = Promise.withResolvers<void>()

  const sendFile = async (target: string, reply: ServerResponse): Promise<void> => {
    const path = normalize(target === '/' ? '/index.html' : target)
    const bytes = await readFile(join(directory, path)).catch(() => undefined)
    const type = types[extname(path)] ?? 'application/octet-stream'
    reply.writeHead(bytes ? 200 : 404, { 'content-type': type, 'content-security-policy': policy }).end(bytes)
  }

  const forward = (incoming: IncomingMessage, reply: ServerResponse): void => {
    const target = incoming.url!.slice('/store'.length) || '/'
    const isAppend = incoming.method === 'POST' && /^\/upload\/[^/]+$/.test(target)
    const { method, headers } = incoming
    const outgoing = request(store + target, { method, headers }, (answer) => {
      reply.writeHead(answer.statusCode!, answer.headers)
      if (isAppend && answer.statusCode === 200) {
        answer.on('data', (text: Buffer) => {
          acknowledged = Number(text)
        })
      }
      pipeline(answer, reply, () => {})
    })
    outgoing.on('error', () => reply.destroy())
    // A browser that leaves takes its request along
    reply.on('close', () => {
      if (!reply.writableFinished) outgoing.destroy()
    })
    incoming.on('data', (bytes: Buffer) => {
      const room = outgoing.write(bytes)
      if (isAppend) appended += bytes.length
      if (isAppend && appended >= limit) {
        incoming.pause()
        reached.resolve()
      } else if (!room) {
        incoming.pause()
        outgoing.once('drain', () => incoming.resume())
      }
    })
    incoming.on('end', () => outgoing.end())
  }

  const server = createServer((incoming, reply) => {
    if (/^\/store(\/|$)/.test(incoming.url!)) forward(incoming, reply)
    else void sendFile(new URL(incoming.url!, 'http://page').pathname, reply)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}/`,
    get appended() {
      return appended
    },
    get acknowledged() {
      return acknowledged
    },
    restart(bytes = Number.POSITIVE_INFINITY) {
      appended = 0
      acknowledged = 0
      limit = bytes
      reached = Promise.withResolvers()
    },
    halted: () => reached.promise,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
