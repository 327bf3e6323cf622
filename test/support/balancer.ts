/**
 * nginx in front of several nodes, as in docs/scaling.md: requests spread at random, bodies streamed both ways. Debian:
 * `apt-get install nginx-light`.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { endsWithUs } from './ends-with-us.ts'

const startTimeoutMs = 10_000
const asideSeconds = 1
/** A node that did not answer is asked again after this time; when it is so with all of them, nginx says 502 until then. */
export const asideMs = asideSeconds * 1000

export interface Balancer {
  readonly url: string
  readonly pid: number
  stop(): Promise<void>
}

/**
 * What is repeated at another node: GET, HEAD and PUT whenever a node fails, POST only while nothing of it has been
 * sent (nginx's own rule). DELETE never: the name in it may mean another artifact once the first one is gone.
 *
 * Connections to nodes are not kept. One that a node closes while nginx sends a request on it would be a failure that
 * nginx may not mend.
 */
const configuration = (directory: string, listen: string, nodes: readonly string[]): string => `
daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
error_log ${directory}/nginx.log warn;
events { worker_connections 10000; }
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${directory}/${kind};`).join('\n  ')}
  upstream nodes {
    random;
    ${nodes.map((node) => `server ${node} max_fails=1 fail_timeout=${asideSeconds}s;`).join('\n    ')}
  }
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header Connection "";
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_request_buffering off;
  proxy_buffering off;
  proxy_connect_timeout 2s;
  proxy_send_timeout 1h;
  proxy_read_timeout 1h;
  client_max_body_size 0;
  client_body_timeout 1h;
  send_timeout 1h;
  large_client_header_buffers 4 32k;
  server {
    listen ${listen} backlog=4096;
    merge_slashes off;
    error_page 418 = @once;
    location / {
      if ($request_method = DELETE) { return 418; }
      proxy_pass http://nodes;
      proxy_next_upstream error timeout;
    }
    location @once {
      proxy_pass http://nodes;
      proxy_next_upstream off;
    }
  }
}
`

/** Starts nginx at `listen` (address:port), with its files in `directory`, in front of nodes (address:port). */
export const startBalancer = async (
  directory: string,
  listen: string,
  nodes: readonly string[],
): Promise<Balancer> => {
  await mkdir(directory, { recursive: true })
  const file = join(directory, 'nginx.conf')
  await writeFile(file, configuration(directory, listen, nodes))
  const child = spawn('nginx', ['-p', directory, '-c', file, '-e', join(directory, 'nginx.log')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  endsWithUs(child)
  let words = ''
  child.stderr.setEncoding('utf8').on('data', (part: string) => (words += part))
  child.on('error', (error) => (words += error.message))
  const ended = once(child, 'exit')
  const url = `http://${listen}`
  for (const deadline = Date.now() + startTimeoutMs; ; await sleep(20)) {
    if (child.exitCode !== null || child.pid === undefined) throw new Error(`nginx does not start: ${words}`)
    // Whatever it answers, a node or nginx is there.
    if (
      await fetch(url).then(
        () => true,
        () => false,
      )
    )
      break
    if (Date.now() > deadline) throw new Error(`nginx does not listen at ${listen}`)
  }
  return {
    url,
    pid: child.pid!,
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}
