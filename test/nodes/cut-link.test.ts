/** The way from one node to another is cut in the middle of a request, and is there again when nobody waits any more. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { login } from '../support/api.ts'
import { type RunningNodes, startNodes } from '../support/nodes.ts'
import { freePort } from '../support/ports.ts'

const patient = { timeout: 60_000, interval: 200 }
const long = 180_000

/**
 * The way to a node. While it is cut it keeps what comes, as the sending kernel does: what was closed in good order arrives once the
 * way is free, what was reset does not.
 */
const startLink = async (port: number) => {
  let free = Promise.resolve()
  let release = () => {}
  const kept: Socket[] = []
  const server = createServer({ allowHalfOpen: true }, (from) => {
    const to = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    kept.push(from, to)
    from.on('error', () => to.destroy())
    to.on('error', () => from.destroy())
    to.pipe(from)
    from.on('data', async (part) => {
      await free
      if (!to.destroyed) to.write(part)
    })
    from.on('end', async () => {
      await free
      if (!to.destroyed) to.end()
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    cut() {
      free = new Promise((resolve) => {
        release = resolve
      })
    },
    heal: () => release(),
    close() {
      for (const socket of kept) socket.destroy()
      server.close()
    },
  }
}

let store: RunningNodes
let link: Awaited<ReturnType<typeof startLink>>

beforeAll(async () => {
  const port = await freePort()
  link = await startLink(port)
  store = await startNodes(2, {}, (place) =>
    place === 0 ? { port, settings: { HOLDFAST_NODE_URL: link.url } } : {},
  )
}, long)
afterAll(async () => {
  await store?.[Symbol.asyncDispose]()
  link?.close()
})

test(
  'a plain append that was refused is not applied when the way is free again',
  async () => {
    const [first, second] = store.nodes as [(typeof store.nodes)[0], (typeof store.nodes)[0]]
    const own = await login(first.url, 'system', first.systemKey)
    const other = await login(second.url, 'system', second.systemKey)
    const { uuid } = (await own.post('/upload')).json
    const target = `/upload/${uuid}`
    expect((await other.send('POST', target, { body: 'before' })).json).toBe(6)
    for (const size of [10_000, 1_000_000]) {
      link.cut()
      const refused = other.send('POST', target, { body: randomBytes(size) })
      await new Promise((resolve) => setTimeout(resolve, 500))
      first.process.kill('SIGSTOP')
      expect((await refused).json).toMatchObject({ code: 'unavailable', detail: { node: 'node-1' } })
      first.process.kill('SIGCONT')
      link.heal()
      const state = async () => (await other.get(target)).json
      await expect.poll(state, patient).toMatchObject({ size: 6 })
      // What would still arrive has arrived by then.
      expect((await own.send('POST', target, { body: '' })).json).toBe(6)
    }
  },
  long,
)
