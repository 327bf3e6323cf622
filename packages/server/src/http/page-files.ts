/**
 * The page for people at `/ui/`: the files that `packages/web` was built into. They need no token; whatever the page
 * shows it asks for through the API, with the token of the person who signed in.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'

/** Where `scripts/build-page.ts` puts them. */
const builtPage = fileURLToPath(new URL('../../../web/dist', import.meta.url))

/**
 * What the page may do: run its own scripts and the WebAssembly of its hash worker, use its own style, talk to this
 * server. Nothing inline, nothing from elsewhere, in nobody's frame. The style sheet has small images inside it.
 */
export const pagePolicy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Names in there carry a hash of the content. */
const isHashed = (path: string): boolean => /[/\\]assets[/\\]/.test(path)

/** Serves the page; where nobody has built it, says how. */
export const servePage = async (app: FastifyInstance, directory = builtPage): Promise<void> => {
  app.get('/ui', (_request, reply) => reply.redirect('ui/', 308))
  if (!existsSync(join(directory, 'index.html'))) {
    app.get('/ui/', (_request, reply) => reply.code(404).type('text/plain; charset=utf-8').send(notBuilt))
    return
  }
  await app.register(fastifyStatic, {
    root: directory,
    prefix: '/ui/',
    // Routes for the files that are there, and for nothing else.
    wildcard: false,
    decorateReply: false,
    preCompressed: true,
    cacheControl: false,
    setHeaders(reply, path) {
      reply.header('cache-control', isHashed(path) ? 'public, max-age=31536000, immutable' : 'no-cache')
      reply.header('content-security-policy', pagePolicy)
      reply.header('referrer-policy', 'no-referrer')
    },
  })
}

const notBuilt = 'The page is not built. Run `npm run build:page`, and start the server again.\n'
