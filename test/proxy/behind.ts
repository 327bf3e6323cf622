/**
 * A store below `/api` with proxies in front of it, at their own ports: nginx with TLS that leaves the path to Holdfast and offloads
 * downloads; nginx that takes a path off; nginx that cannot read the blobs; Caddy.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeCertificate } from '../support/certificates.ts'
import { include, startNginx } from '../support/nginx.ts'
import { freePort } from '../support/ports.ts'
import { type RunningServer, startServer } from '../support/server.ts'

export interface Behind {
  readonly server: RunningServer
  /** Base URLs. */
  readonly nginx: string
  readonly stripping: string
  readonly blind: string
  readonly ca: Buffer
  /** The same in a file. */
  readonly caFile: string
  errors(): Promise<string>
  remove(): Promise<void>
}

export const startBehind = async (): Promise<Behind> => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-proxy-'))
  const { cert, key } = makeCertificate(directory, 'files.example')
  const [inside, secure, stripping, blind] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ]
  const server = await startServer({
    port: inside,
    settings: {
      HOLDFAST_PUBLIC_URL: `https://127.0.0.1:${secure}/api`,
      HOLDFAST_TRUSTED_PROXIES: '127.0.0.1',
      HOLDFAST_ACCEL_REDIRECT: '/holdfast-blobs/',
    },
  })
  const proxied = (listen: string, blobs: string, location: string) => `server {
  listen 127.0.0.1:${listen};
  ssl_certificate ${cert};
  ssl_certificate_key ${key};
  set $holdfast_blobs ${blobs};
  ${include('holdfast-offload')}
  ${location}
}`
  const blobs = join(server.dataDir, 'blobs')
  const whole = `location /api { ${include('holdfast-proxy')} proxy_set_header X-Forwarded-Prefix ""; proxy_pass http://holdfast; }`
  const stripped = `location /files/ { ${include('holdfast-proxy')} proxy_set_header X-Forwarded-Prefix /files; proxy_pass http://holdfast/; }`
  const nginx = await startNginx(
    join(directory, 'nginx'),
    [
      `upstream holdfast { server 127.0.0.1:${inside}; keepalive 16; }`,
      proxied(`${secure} ssl`, blobs, whole),
      proxied(`${stripping}`, blobs, stripped),
      proxied(`${blind}`, '/nowhere', whole),
    ].join('\n'),
    secure,
  )
  return {
    server,
    nginx: `https://127.0.0.1:${secure}/api`,
    stripping: `http://127.0.0.1:${stripping}/files`,
    blind: `http://127.0.0.1:${blind}/api`,
    ca: await readFile(cert),
    caFile: cert,
    errors: nginx.errors,
    remove: async () => {
      await nginx.stop()
      await server.remove()
      await rm(directory, { recursive: true })
    },
  }
}
