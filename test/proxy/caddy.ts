/** A real Caddy (Debian) with the configuration of `deploy/Caddyfile`. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isListening } from '../support/nginx.ts'

const file = fileURLToPath(new URL('../../deploy/Caddyfile', import.meta.url))
const startTimeoutMs = 15_000

/** Starts it at a port, without TLS, in front of `nodes`. What it keeps, it keeps in `directory`. */
export const startCaddy = async (
  directory: string,
  port: number,
  nodes: string,
): Promise<{ stop(): Promise<void> }> => {
  const child = spawn('caddy', ['run', '--adapter', 'caddyfile', '--config', file], {
    env: {
      PATH: process.env.PATH,
      HOME: directory,
      CADDY_ADMIN: 'off',
      HOLDFAST_SITE: `http://127.0.0.1:${port}`,
      HOLDFAST_NODES: nodes,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text))
  const ended = once(child, 'exit')
  const deadline = Date.now() + startTimeoutMs
  while (!(await isListening(port))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL')
      throw new Error(`Caddy did not start:\n${log}`)
    }
    await sleep(50)
  }
  return {
    stop: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}
