import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify from 'fastify'
import { afterAll, expect, it } from 'vitest'
import { pagePolicy, servePage } from './page-files.ts'

const outside = await mkdtemp(join(tmpdir(), 'holdfast-page-'))
const directory = join(outside, 'dist')
await mkdir(join(directory, 'assets'), { recursive: true })
await writeFile(join(outside, 'secret'), 'secret')
await writeFile(join(directory, 'index.html'), '<!doctype html>')
await writeFile(join(directory, 'assets', 'index-1234.js'), 'plain')
await writeFile(join(directory, 'assets', 'index-1234.js.br'), 'compressed')
afterAll(() => rm(outside, { recursive: true }))

const serve = async (from: string) => {
  const app = Fastify()
  await servePage(app, from)
  return app
}

it('serves the page under its policy, asked for anew each time', async () => {
  const app = await serve(directory)
  const reply = await app.inject('/ui/')
  expect(reply.statusCode).toBe(200)
  expect(reply.headers['content-type']).toContain('text/html')
  expect(reply.headers['cache-control']).toBe('no-cache')
  expect(reply.headers['content-security-policy']).toBe(pagePolicy)
  expect(pagePolicy).not.toMatch(/unsafe-inline|unsafe-eval(?<!wasm-unsafe-eval)|https?:|\*/)
})

it('lets files with hashed names be kept for ever, and sends their compressed copies', async () => {
  const app = await serve(directory)
  const plain = await app.inject('/ui/assets/index-1234.js')
  expect(plain.body).toBe('plain')
  expect(plain.headers['cache-control']).toContain('immutable')
  const headers = { 'accept-encoding': 'gzip, br' }
  const compressed = await app.inject({ url: '/ui/assets/index-1234.js', headers })
  expect(compressed.headers['content-encoding']).toBe('br')
  expect(compressed.headers['content-type']).toContain('javascript')
})

it('serves nothing else', async () => {
  const app = await serve(directory)
  for (const url of ['/ui/../secret', '/ui/%2e%2e/secret', '/ui/assets/', '/ui/nothing'])
    expect((await app.inject(url)).statusCode, url).toBe(404)
})

it('leads from the path without the slash to the page, by a relative redirect', async () => {
  const reply = await (await serve(directory)).inject('/ui')
  expect([reply.statusCode, reply.headers.location]).toEqual([308, 'ui/'])
})

it('says how to build the page where nobody has', async () => {
  const reply = await (await serve(join(directory, 'nowhere'))).inject('/ui/')
  expect(reply.statusCode).toBe(404)
  expect(reply.body).toContain('npm run build:page')
})
