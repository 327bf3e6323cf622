import { once } from 'node:events'
import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FaultyProxy, startProxy } from '../../../test/support/faulty-proxy.ts'
import { createClient as createWebClient, isHoldfastError } from './index.ts'
import { startTestServer, type TestServer } from './test-server.ts'

let server: TestServer
let proxy: FaultyProxy
beforeAll(async () => {
  server = await startTestServer({ HOLDFAST_TOKEN_LIFETIME: '2' })
  proxy = await startProxy(server.url)
})
afterAll(async () => {
  await proxy.close()
  await server.remove()
})

/** The same promises on `node:http` and on `fetch`. */
const kinds = {
  node: (options = {}) => server.client({ url: proxy.url, ...options }),
  fetch: (options = {}) =>
    createWebClient({
      url: proxy.url,
      namespace: 'system',
      key: server.key,
      retry: { baseMs: 2, maxMs: 20 },
      ...options,
    }),
}

describe.each(Object.entries(kinds))('a client on %s', (kind, create) => {
  it('calls routes by name and in groups', async () => {
    await using client = create()
    expect((await client.capabilities()).has('upload-offset')).toBe(true)
    const namespace = `team-${kind}`
    expect((await client.namespaces.create({ namespace, key_name: 'k', key: 'secret' })).keys).toEqual(['k'])
    await client.namespaces.metadata.set(namespace, 'a key/with?signs', { deep: [1] })
    expect(await client.namespaces.metadata.show(namespace)).toEqual({ 'a key/with?signs': { deep: [1] } })
    await client.namespaces.metadata.delete(namespace, 'a key/with?signs')
    expect(await client.call('showNamespaceMetadata', { params: { namespace } })).toEqual({})
    expect(await client.artifacts.deleteAll(namespace)).toEqual([])
    await client.namespaces.delete(namespace)
  })

  it('throws refusals with their code and request', async () => {
    await using client = create()
    const error: unknown = await client.artifacts.show('nothing').catch((error: unknown) => error)
    expect(isHoldfastError(error, 'artifact_not_found')).toBe(true)
    expect(error).toMatchObject({ requestId: expect.stringMatching(/^[0-9a-f-]{36}$/), status: 404 })
  })

  it('says that a key is wrong, and asks only once', async () => {
    await using client = create({ key: 'wrong' })
    proxy.requests.length = 0
    await expect(client.artifacts.list()).rejects.toMatchObject({ code: 'wrong_key' })
    expect(proxy.requests).toEqual(['GET /', 'POST /auth'])
  })

  it('logs in again when its token is no longer good', async () => {
    await using client = create()
    const stale = await client.token()
    await using other = create({ token: `${stale.slice(0, -4)}AAAA` })
    expect((await other.namespaces.show('system')).name).toBe('system')
  })

  it('logs in once for many calls at a time', async () => {
    await using client = create()
    proxy.requests.length = 0
    await Promise.all(Array.from({ length: 8 }, () => client.namespaces.list()))
    expect(proxy.requests.filter((request) => request === 'POST /auth')).toHaveLength(1)
    expect(proxy.requests.filter((request) => request === 'GET /')).toHaveLength(1)
  })

  it('repeats what may be repeated, and only that', async () => {
    await using client = create()
    await client.namespaces.list()
    let broken = 2
    proxy.options = { fault: () => (broken-- > 0 ? { kind: 'cut-reply', after: -1 } : undefined) }
    expect((await client.namespaces.list()).length).toBeGreaterThan(0)
    expect(broken).toBeLessThan(0)

    broken = 1
    const create_ = client.namespaces.create({ namespace: `lost-${kind}`, key_name: 'k', key: 's' })
    await expect(create_).rejects.toMatchObject({ name: 'NetworkError' })
    proxy.options = {}
    expect((await client.namespaces.show(`lost-${kind}`)).state).toBe('created')

    broken = 1
    proxy.options = { fault: () => (broken-- > 0 ? { kind: 'status', status: 429 } : undefined) }
    await client.namespaces.create({ namespace: `later-${kind}`, key_name: 'k', key: 's' })
    proxy.options = {}
  })

  it('never deletes the next one of a name, and takes a lost deletion for done', async () => {
    await using client = create()
    const { artifact } = await client.upload({ source: new Blob([`d ${kind}`]), name: `deleted-${kind}` })
    const losing = (times: number) => {
      let broken = times
      proxy.options = {
        fault: (method) =>
          method === 'DELETE' && broken-- > 0 ? { kind: 'cut-reply', after: -1 } : undefined,
      }
    }
    losing(1)
    await expect(client.artifacts.delete(artifact.name)).rejects.toMatchObject({ name: 'NetworkError' })
    losing(1)
    expect(await client.artifacts.delete(artifact.uuid)).toBeNull()
    const { uuid } = await client.uploads.create()
    losing(2)
    expect(await client.uploads.delete(uuid)).toBeNull()
    proxy.options = {}
    await expect(client.uploads.delete(uuid)).rejects.toMatchObject({ code: 'upload_not_found' })
  })

  it('waits for a dependency like the official client', async () => {
    await using client = create()
    await client.namespaces.list()
    let notReady = 1
    proxy.options = { fault: () => (notReady-- > 0 ? { kind: 'status', status: 406 } : undefined) }
    expect((await client.namespaces.list()).length).toBeGreaterThan(0)
    proxy.options = {}
  })

  it('ends a call that takes too long, and one that is aborted', async () => {
    await using client = create({ retry: { attempts: 1 } })
    await client.namespaces.list()
    proxy.options = { fault: () => ({ kind: 'delay', ms: 2000 }) }
    await expect(client.namespaces.list({ timeoutMs: 30 })).rejects.toMatchObject({ name: 'TimeoutError' })
    const signal = AbortSignal.timeout(30)
    await expect(client.namespaces.list({ signal })).rejects.toBe(await reasonOf(signal))
    proxy.options = {}
  })

  it('filters events', async () => {
    await using client = create()
    await client.upload({ source: new Blob([`events ${kind}`]), name: `events-${kind}` })
    const [first] = await client.artifacts.events(`events-${kind}`)
    const { type } = first!
    const filtered = await client.artifacts.events(`events-${kind}`, { eventType: type, limit: 1 })
    expect(filtered.map((event) => event.type)).toEqual([type])
    expect(await client.artifacts.events(`events-${kind}`, { eventType: 'prune' })).toEqual([])
  })

  it('pages lists', async () => {
    await using client = create()
    for (const name of ['p1', 'p2', 'p3']) {
      await client.upload({ source: new Blob([`${kind} ${name}`]), name: `${kind}-${name}` })
    }
    const names: string[] = []
    let cursor: string | undefined
    do {
      const query = { limit: 2, name: `${kind}-p`, ...(cursor === undefined ? {} : { cursor }) }
      const page = await client.page('listArtifacts', { query })
      names.push(...page.items.map((item) => item.name))
      cursor = page.cursor
    } while (cursor !== undefined)
    expect(names.sort()).toEqual([`${kind}-p1`, `${kind}-p2`, `${kind}-p3`])
  })
})

const reasonOf = async (signal: AbortSignal): Promise<unknown> => {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve))
  return signal.reason
}

describe('a base URL', () => {
  it('may hold a path and a slash at the end, and may have moved for good', async () => {
    const front = createServer((request, response) => {
      if (request.url === '/old') return response.writeHead(301, { Location: '/api/' }).end()
      const path = request.url!.replace(/^\/api\/?/, '/')
      if (path === request.url) return response.writeHead(404).end()
      void (async () => {
        const body = request.method === 'POST' ? await new Response(request as never).text() : undefined
        const reply = await fetch(server.url + path, {
          method: request.method!,
          headers: { authorization: request.headers.authorization ?? '' },
          ...(body === undefined ? {} : { body }),
        })
        response.writeHead(reply.status).end(await reply.text())
      })()
      return response
    })
    front.listen(0, '127.0.0.1')
    await once(front, 'listening')
    const { port } = front.address() as { port: number }
    for (const create of Object.values(kinds)) {
      for (const path of ['/api', '/api/', '/old']) {
        await using client = create({ url: `http://127.0.0.1:${port}${path}` })
        expect((await client.namespaces.show('system')).name).toBe('system')
        expect(client.base).toBe(`http://127.0.0.1:${port}/api`)
      }
    }
    front.closeAllConnections()
    front.close()
  })
})
