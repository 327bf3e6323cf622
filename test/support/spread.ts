/** Several servers behind one address, without any wisdom: each connection goes to the next one, or after it when that refuses. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface Spread extends AsyncDisposable {
  readonly url: string
}

export const startSpread = async (urls: readonly string[]): Promise<Spread> => {
  let next = 0
  const open = new Set<Socket>()
  const server = createServer((client) => {
    open.add(client)
    client.on('error', () => {}).on('close', () => open.delete(client))
    const attempt = (left: number) => {
      const { hostname, port } = new URL(urls[next++ % urls.length]!)
      const target = connect(Number(port), hostname)
      target.on('error', () => {
        if (target.bytesRead > 0 || !target.connecting || left === 0) client.destroy()
        else attempt(left - 1)
      })
      target.once('connect', () => {
        target.removeAllListeners('error').on('error', () => client.destroy())
        client.pipe(target).pipe(client)
        client.once('close', () => target.destroy())
        target.once('close', () => client.destroy())
      })
    }
    attempt(urls.length)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
