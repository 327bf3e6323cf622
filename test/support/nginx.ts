/** A real nginx (Debian: nginx-light) with a configuration of the test's, and the files of `deploy/nginx` within reach. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const files = fileURLToPath(new URL('../../deploy/nginx', import.meta.url))
const startTimeoutMs = 10_000

/** The `include` of one of `deploy/nginx`. */
export const include = (name: 'holdfast-proxy' | 'holdfast-offload'): string =>
  `include ${files}/${name}.conf;`

export interface Nginx {
  /** What it had to complain of. */
  errors(): Promise<string>
  stop(): Promise<void>
}

/** Starts it; `http` is what stands in the block of that name, `port` one that it listens on then. */
export const startNginx = async (directory: string, http: string, port: number): Promise<Nginx> => {
  await mkdir(directory, { recursive: true })
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${directory}/${name};`,
  )
  const errorLog = join(directory, 'error.log')
  await writeFile(
    join(directory, 'nginx.conf'),
    `daemon off;
${process.getuid?.() === 0 ? `user ${userInfo().username};` : ''}
worker_processes 1;
pid ${directory}/nginx.pid;
error_log ${errorLog} info;
events { worker_connections 512; }
http {
access_log off;
${temporary.join('\n')}
${http}
}
`,
  )
  const child = spawn('nginx', ['-p', directory, '-e', errorLog, '-c', join(directory, 'nginx.conf')], {
    stdio: 'inherit',
  })
  const ended = once(child, 'exit')
  const deadline = Date.now() + startTimeoutMs
  while (!(await isListening(port))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL')
      throw new Error(`nginx did not start:\n${await readFile(errorLog, 'utf8').catch(() => '')}`)
    }
    await sleep(30)
  }
  return {
    errors: () => readFile(errorLog, 'utf8'),
    stop: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}

/** Whether somebody takes connections there. */
export const isListening = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
