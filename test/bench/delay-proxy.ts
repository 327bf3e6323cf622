/**
 * A TCP proxy that adds a delay, as a process of its own: `node delay-proxy.ts HOST PORT ROUND_TRIP_MS` prints the port
 * it listens on. Half the round trip is added in each direction, and a whole one to the opening of a connection. No more
 * than a window of bytes is under way in one direction, which is what limits a single connection on a long line; slow
 * start and loss are not imitated.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** The default maximum of a TCP receive window on Linux (the last figure of `net.ipv4.tcp_rmem`). */
const windowBytes = 6 * 1024 * 1024

const [host, port, roundTrip] = process.argv.slice(2)
const oneWayMs = Number(roundTrip) / 2

/** Carries bytes and the end from one socket to the other, each so much later; nothing before `openAt`. */
const carry = (from: Socket, to: Socket, openAt: number): void => {
  /** Pieces under way; without bytes, the end. */
  const line: { readonly dueAt: number; readonly bytes?: Buffer }[] = []
  let underWay = 0
  let timer: NodeJS.Timeout | undefined
  let blocked = false

  const put = (bytes?: Buffer): void => {
    line.push({ dueAt: Math.max(performance.now(), openAt) + oneWayMs, ...(bytes && { bytes }) })
    schedule()
  }
  const schedule = (): void => {
    const first = line[0]
    if (blocked || timer !== undefined || first === undefined) return
    timer = setTimeout(deliver, Math.max(0, first.dueAt - performance.now()))
  }
  const deliver = (): void => {
    timer = undefined
    for (let first = line[0]; first !== undefined && !blocked; first = line[0]) {
      // A timer may come a little early
      if (first.dueAt > performance.now() + 0.5) break
      line.shift()
      if (first.bytes === undefined) to.end()
      else {
        underWay -= first.bytes.length
        blocked = !to.write(first.bytes)
      }
    }
    if (underWay < windowBytes) from.resume()
    schedule()
  }
  from.on('data', (bytes: Buffer) => {
    underWay += bytes.length
    put(bytes)
    if (underWay >= windowBytes) from.pause()
  })
  from.on('end', () => put())
  to.on('drain', () => {
    blocked = false
    deliver()
  })
  for (const socket of [from, to]) socket.on('error', () => {})
  from.on('close', () => {
    if (from.errored) to.destroy()
  })
  to.on('close', () => {
    clearTimeout(timer)
    blocked = true
    from.destroy()
  })
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  const upstream = connect({ host: host!, port: Number(port), allowHalfOpen: true, noDelay: true })
  const openAt = performance.now() + 2 * oneWayMs
  carry(client, upstream, openAt)
  carry(upstream, client, openAt)
}).listen(0, '127.0.0.1')
await once(server, 'listening')
console.log((server.address() as { port: number }).port)
// Whoever started this keeps its standard input open
process.stdin.resume().on('end', () => process.exit())
