/** Requests written byte by byte to a socket, for what no HTTP client would send. */
import { once } from 'node:events'
import { connect } from 'node:net'

export interface RawAnswer {
  readonly status: number
  readonly head: string
  readonly body: string
}

/**
 * Sends `parts` one after the other and reads until the server closes, what came matches `until`, or `timeoutMs` have
 * passed. With `cut`, the client's side is destroyed right after the last part.
 */
export const sendRaw = async (
  url: string,
  parts: readonly (string | Buffer)[],
  {
    cut = false,
    pauseMs = 0,
    timeoutMs = 20_000,
    until,
  }: { cut?: boolean; pauseMs?: number; timeoutMs?: number; until?: RegExp } = {},
): Promise<RawAnswer | undefined> => {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  const timer = setTimeout(() => socket.destroy(), timeoutMs)
  try {
    await once(socket, 'connect')
    const received: Buffer[] = []
    socket.on('data', (data) => {
      received.push(data)
      if (until?.test(Buffer.concat(received).toString('latin1'))) socket.destroy()
    })
    const closed = once(socket, 'close')
    for (const part of parts) {
      await new Promise((resolve) => socket.write(part, resolve))
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
    if (cut) socket.destroy()
    await closed
    const text = Buffer.concat(received).toString('latin1')
    const split = text.indexOf('\r\n\r\n')
    if (split < 0) return undefined
    return { status: Number(text.slice(9, 12)), head: text.slice(0, split), body: text.slice(split + 4) }
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}
