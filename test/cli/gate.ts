/**
 * A TCP relay between the command line and the server that can be shut: after so many bytes on their way to the server
 * it passes nothing more on until it is opened. That is how a test interrupts a transfer half-way without watching a
 * clock.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface Gate {
  /** What the command line gets as its server. */
  readonly url: string
  /** Bytes that went to the server, and bytes that came from it, since the gate was made. */
  readonly counts: { toServer: number; fromServer: number }
  /** From now on, lets only so many more bytes through in a direction. Resolves when the gate is shut. */
  shutAfter(direction: 'toServer' | 'fromServer', bytes: number): Promise<void>
  /** Lets everything through. */
  open(): void
  /** Cuts every connection. */
  cut(): void
  close(): Promise<void>
}

export const makeGate = async (serverUrl: string): Promise<Gate> => {
  const target = new URL(serverUrl)
  const sockets = new Set<Socket>()
  const counts = { toServer: 0, fromServer: 0 }
  const left = { toServer: Number.POSITIVE_INFINITY, fromServer: Number.POSITIVE_INFINITY }
  let opened = Promise.withResolvers<void>()
  let onShut = () => {}

  const relay = async (from: Socket, to: Socket, direction: 'toServer' | 'fromServer') => {
    try {
      for await (const bytes of from as AsyncIterable<Buffer>) {
        for (let at = 0; at < bytes.length; ) {
          while (left[direction] <= 0) {
            onShut()
            await opened.promise
          }
          const part = bytes.subarray(at, at + left[direction])
          at += part.length
          left[direction] -= part.length
          counts[direction] += part.length
          if (!to.write(part)) await once(to, 'drain')
        }
      }
      to.end()
    } catch {
      from.destroy()
      to.destroy()
    }
  }

  const listener = createServer((client) => {
    const server = connect(Number(target.port), target.hostname)
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        server.destroy()
      })
    }
    void relay(client, server, 'toServer')
    void relay(server, client, 'fromServer')
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as { port: number }

  const open = () => {
    left.toServer = Number.POSITIVE_INFINITY
    left.fromServer = Number.POSITIVE_INFINITY
    opened.resolve()
    opened = Promise.withResolvers()
  }
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${port}`,
    counts,
    shutAfter(direction, bytes) {
      left[direction] = bytes
      return new Promise((resolve) => {
        onShut = resolve
      })
    },
    open,
    cut,
    async close() {
      open()
      cut()
      listener.close()
      await once(listener, 'close')
    },
  }
}
