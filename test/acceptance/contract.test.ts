import { holdfastCapabilities, originalCapabilities } from '@holdfast/api/capabilities'
import { contract, routeContract } from '@holdfast/api/contract'
import { paths, type RouteName, splitPath } from '@holdfast/api/paths'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { login, type Session, send } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'

let server: RunningServer
let system: Session
const names = Object.keys(paths) as RouteName[]

beforeAll(async () => {
  server = await startServer()
  system = await login(server.url, 'system', server.systemKey)
})
afterAll(() => server.remove())

test('the OpenAPI document and the contract name the same routes, both ways', async () => {
  const { json } = await send(server.url, 'GET', '/openapi.json')
  expect(json.openapi).toMatch(/^3\.1\./)
  const documented = Object.entries(json.paths as Record<string, object>).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  expect(documented.sort()).toEqual(Object.values(paths).slice().sort())
})

test('every documented operation says what it answers and how it refuses', async () => {
  const { json } = await send(server.url, 'GET', '/openapi.json')
  for (const name of names) {
    const { method, path } = splitPath(name)
    const operation = json.paths[path][method.toLowerCase()]
    expect(operation.summary, name).toBe(routeContract(name).summary)
    expect(Object.keys(operation.responses), name).toContain('200')
    if (!routeContract(name).public) expect(Object.keys(operation.responses), name).toContain('401')
  }
})

test('the server answers every route of the contract', async () => {
  for (const name of names) {
    const { method, path } = splitPath(name)
    const target = path.replace(/\{(index|size)\}/g, '1').replace(/\{\w+\}/g, 'nothing')
    const answer = await system.send(method, target)
    expect(answer.json?.code, name).not.toBe('route_not_found')
    expect(answer.status, name).not.toBe(405)
    expect(answer.status, name).toBeLessThan(500)
  }
})

test('no other method is answered: 405 and an Allow header with the ones that are', async () => {
  for (const path of new Set(names.map((name) => splitPath(name).path))) {
    const target = path.replace(/\{(index|size)\}/g, '1').replace(/\{\w+\}/g, 'nothing')
    const offered = names
      .filter((name) => splitPath(name).path === path)
      .map((name) => splitPath(name).method)
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      if (offered.includes(method)) continue
      const answer = await system.send(method, target, { unchecked: true })
      expect([method, path, answer.status, answer.json?.code]).toEqual([
        method,
        path,
        405,
        'method_not_allowed',
      ])
      expect(answer.headers.allow?.split(/,\s*/)).toEqual(expect.arrayContaining(offered))
    }
  }
})

test('every route but the public ones asks for a token, before anything else', async () => {
  for (const name of names) {
    const { method, path } = splitPath(name)
    const answer = await send(server.url, method, path.replace(/\{\w+\}/g, '!!'), { body: '{not json' })
    if (routeContract(name).public) expect(answer.status, name).not.toBe(401)
    else
      expect([name, answer.status, method === 'HEAD' ? 'authorization_missing' : answer.json.code]).toEqual([
        name,
        401,
        'authorization_missing',
      ])
  }
})

test('an unknown path is a JSON 404', async () => {
  const answer = await send(server.url, 'GET', '/nowhere/at/all')
  expect(answer.status).toBe(404)
  expect(answer.json.code).toBe('route_not_found')
})

test('the page at the base URL holds the capability words, and not the one that breaks old clients', async () => {
  for (const target of ['/', '//']) {
    const answer = await send(server.url, 'GET', target, { unchecked: true })
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toMatch(/^text\/html/)
    const page = answer.bytes.toString()
    for (const word of [...originalCapabilities, ...holdfastCapabilities]) expect(page).toContain(word)
    expect(page).not.toContain('blob-data-limit')
    expect(page).not.toContain('network-delete-async')
  }
})

test('a double slash before a route works', async () => {
  const answer = await send(server.url, 'POST', '//auth', {
    json: { namespace: 'system', key: server.systemKey },
    unchecked: true,
  })
  expect(answer.status).toBe(200)
})

test('Swagger UI is served from here alone', async () => {
  const answer = await send(server.url, 'GET', '/apidocs/', { unchecked: true })
  const page =
    answer.status === 200
      ? answer
      : await send(server.url, 'GET', answer.headers.location!, { unchecked: true })
  expect(page.status).toBe(200)
  expect(page.bytes.toString()).toContain('swagger-ui')
  expect(page.bytes.toString()).not.toMatch(/(src|href)="(https?:)?\/\//)
})

test('health, readiness and metrics answer without a token', async () => {
  expect((await send(server.url, 'GET', '/healthz')).json).toEqual({ status: 'ok' })
  expect((await send(server.url, 'GET', '/readyz')).json).toEqual({ status: 'ready' })
  const metrics = (await send(server.url, 'GET', '/metrics')).bytes.toString()
  expect(metrics).toMatch(/^holdfast_request_seconds_count\{/m)
  expect(metrics).toMatch(/^process_resident_memory_bytes \d/m)
})

test('X-Request-ID is echoed, and made where it is missing or unusable', async () => {
  const echoed = await send(server.url, 'GET', '/healthz', { headers: { 'X-Request-ID': 'mine-1' } })
  expect(echoed.headers['x-request-id']).toBe('mine-1')
  const made = await send(server.url, 'GET', '/nowhere')
  expect(made.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
  const long = await send(server.url, 'GET', '/healthz', { headers: { 'X-Request-ID': 'x'.repeat(5000) } })
  expect(long.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
})

test('the contract is complete', () => {
  expect(Object.keys(contract).sort()).toEqual(names.slice().sort())
})
