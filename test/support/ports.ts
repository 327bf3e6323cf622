/**
 * Ports for what tests start: below those that Linux gives to connections and to whoever asks for any port, where others
 * come and go, and above those that the scripts and the server itself have by default. A port is this process's until it ends: between the moment that one is found free and the moment that a
 * program listens there, no other test takes it. (A test that had lost its port to a server of another test took that one
 * for its own.)
 */
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ListenOptions } from 'node:net'

const lowest = 14_000
const highest = 32_000
const attempts = 100

/** A port that nobody listens on. */
export const freePort = (): Promise<number> => freePorts(1)

/** So many in a row, of which the first. */
export const freePorts = async (count: number): Promise<number> => {
  for (let left = attempts; ; left -= 1) {
    const first = randomInt(lowest, highest - count)
    try {
      for (let port = first; port < first + count; port += 1) await take(port)
      return first
    } catch (error) {
      if (left === 1) throw error
    }
  }
}

/** Rejects when somebody listens there, or is about to. */
const take = async (port: number): Promise<void> => {
  // An abstract socket: a name that one process has, that needs no file, and that the system takes back when it ends.
  const claim = await listening({ path: `\0holdfast-test-port-${port}` })
  claim.unref()
  const probe = await listening({ host: '127.0.0.1', port })
  probe.close()
  await once(probe, 'close')
}

const listening = async (options: ListenOptions) => {
  const server = createServer().listen(options)
  await once(server, 'listening')
  return server
}
