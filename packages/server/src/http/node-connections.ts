/** Connections from node to node. */
import { type ClientRequest, Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { connect, type Socket, type TcpNetConnectOpts } from 'node:net'
import type { Duplex } from 'node:stream'

/** What lies beneath a connection with TLS, which cannot be reset itself. */
const beneath = new WeakMap<Duplex, Socket>()

class TlsAgent extends HttpsAgent {
  override createConnection(
    ...[options, done]: Parameters<HttpsAgent['createConnection']>
  ): ReturnType<HttpsAgent['createConnection']> {
    const socket = connect(options as TcpNetConnectOpts)
    const secured = super.createConnection({ ...options, socket } as typeof options, done)
    if (secured) beneath.set(secured, socket)
    return secured
  }
}

// Less than the server's own keep-alive, so that connections are rarely found closed.
const usual = { keepAlive: true, timeout: 30_000 }

export const agents = { 'http:': new HttpAgent(usual), 'https:': new TlsAgent(usual) } as const

/**
 * Gives a request up that has not been answered to its end. Its connection is reset, not closed: a close would leave to the kernel
 * what it still has of the body, and when the way is free again that arrives, whole, long after the client was refused.
 */
export const giveUp = (outgoing: ClientRequest): void => {
  const { socket } = outgoing
  // Once answered, the connection belongs to another request.
  if (!socket || outgoing.destroyed) {
    outgoing.destroy()
    return
  }
  const tcp = beneath.get(socket) ?? socket
  if (!tcp.destroyed) tcp.resetAndDestroy()
  outgoing.destroy()
}
