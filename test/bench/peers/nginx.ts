/** nginx from Debian: downloads by sendfile, uploads through its DAV module. */
import { execFileSync } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../support/ports.ts'
import { startPeer, type UploadPeer } from './peer.ts'

export interface Nginx extends UploadPeer {
  /** Where the files lie that it serves: the path of a request is the path below this. */
  readonly root: string
}

/** Debian's configuration (workers, sendfile, tcp_nopush) without logs, and what DAV needs. */
const configuration = (directory: string, port: number): string => `
daemon off;
${process.getuid?.() === 0 ? `user ${userInfo().username};` : ''}
worker_processes auto;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  client_max_body_size 0;
  client_body_buffer_size 1m;
  client_body_temp_path ${directory}/temp;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  server {
    listen 127.0.0.1:${port};
    root ${directory}/files;
    location / { dav_methods PUT; }
  }
}
`

/** Starts it with a configuration of its own. Throws, with the reason, where it or its DAV module is missing. */
export const startNginx = async (directory: string): Promise<Nginx> => {
  const path = join(directory, 'nginx')
  const root = join(path, 'files')
  await mkdir(root, { recursive: true })
  const port = await freePort()
  await writeFile(join(path, 'nginx.conf'), configuration(path, port))
  const { version } = describe()
  const started = await startPeer('nginx', port, [
    'nginx',
    '-p',
    path,
    '-e',
    `${path}/error.log`,
    '-c',
    `${path}/nginx.conf`,
  ])
  const stored = new Set<string>()
  return {
    name: 'nginx',
    description: version,
    port,
    root,
    ...started,
    takesPieces: false,
    requests({ path: source, offset, length, name }) {
      stored.add(name)
      const body = { path: source, offset, length }
      return [{ method: 'PUT', target: `/${name}`, body, expect: [201, 204] }]
    },
    async clean() {
      for (const name of stored) await rm(join(root, name), { force: true })
      stored.clear()
    },
  }
}

const describe = (): { version: string } => {
  let text: string
  try {
    text = execFileSync('sh', ['-c', 'nginx -V 2>&1'], { encoding: 'utf8' })
  } catch (error) {
    throw new Error('nginx is missing: apt-get install nginx-light', { cause: error })
  }
  if (!text.includes('http_dav_module'))
    throw new Error('this nginx has no DAV module: apt-get install nginx-light')
  return { version: /nginx\/\S+/.exec(text)?.[0] ?? 'nginx' }
}
