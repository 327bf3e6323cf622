/**
 * A reply while the client is still sending its body.
 *
 * Closing a socket that has unread bytes makes the kernel reset the connection, and the client loses a reply that
 * was on its way, the reason for the refusal included. So the whole reply is written at once, together with
 * `Connection: close`; then the body is read and thrown away for a bounded time; only then the connection ends.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyReply } from 'fastify'

const maxDrainedBytes = 64 * 1024 * 1024
const maxDrainMs = 5_000

/** Sends `body` with the status and headers of `reply`, and closes the connection once the client had time to see it. */
export const endAfterDraining = (raw: IncomingMessage, reply: FastifyReply, body: string): FastifyReply => {
  reply.hijack()
  const response = reply.raw
  response.writeHead(reply.statusCode, {
    ...reply.getHeaders(),
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  } as Record<string, string | number>)
  // Not `end`: Node would close the socket as soon as the reply is out.
  response.write(body)
  let drained = 0
  const end = () => {
    clearTimeout(timer)
    raw.off('data', onData).off('end', end).off('close', end)
    response.end()
  }
  const onData = (chunk: Buffer) => {
    drained += chunk.length
    if (drained > maxDrainedBytes) end()
  }
  const timer = setTimeout(end, maxDrainMs)
  raw.on('data', onData).on('end', end).on('close', end).resume()
  return reply
}
