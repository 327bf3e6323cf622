/** A line between the browser and the store that breaks at given bytes, or is slow. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface Line extends AsyncDisposable {
  readonly url: string
  /** Connections that were cut so far. */
  readonly cuts: number
  /** Bytes that went towards the store. */
  readonly sent: number
  /** Cuts all connections when so many bytes have gone out in all. */
  cutAt(...bytes: readonly number[]): void
  /** Lets no byte pass beyond this many; resolves when it is reached. */
  haltAt(bytes: number): Promise<void>
  /** Everything passes again. */
  release(): void
}

/** Opens a line to a store. */
export const openLine = async (store: string): Promise<Line> => {
  const { hostname, port } = new URL(store)
  const open = new Set<Socket>()
  let cutting: number[] = []
  let haltBytes = Number.POSITIVE_INFINITY
  let halted = Promise.withResolvers<void>()
  let sent = 0
  let cuts = 0
  const cut = () => {
    cuts += 1
    for (const socket of open) socket.destroy()
  }
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    for (const socket of [client, upstream]) {
      open.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        open.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', (bytes: Buffer) => {
      sent += bytes.length
      if (sent >= haltBytes) {
        client.pause()
        halted.resolve()
        return
      }
      if (!upstream.write(bytes)) {
        client.pause()
        upstream.once('drain', () => client.resume())
      }
      if (cutting[0] !== undefined && sent >= cutting[0]) {
        cutting.shift()
        cut()
      }
    })
    upstream.pipe(client)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    get cuts() {
      return cuts
    },
    get sent() {
      return sent
    },
    cutAt(...bytes) {
      cutting = [...bytes]
    },
    haltAt(bytes) {
      haltBytes = bytes
      halted = Promise.withResolvers()
      return halted.promise
    },
    release() {
      haltBytes = Number.POSITIVE_INFINITY
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
