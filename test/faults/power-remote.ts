/** What the power-loss and faulty-disk suites fetch from: a real server on loopback that knows files by their paths. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { sha512 } from './harness.ts'

interface RemoteFile {
  readonly content: Buffer
  /** After so many bytes it falls silent. Such a reply announces its length, others do not. */
  readonly silentAt?: number
}

interface Remote {
  /** A file under a name of its own. */
  add(file: RemoteFile): string
  /** What it answers for that name from now on. */
  change(name: string, file: RemoteFile): void
  /** The URL of a file; its last part is `name`. */
  url(name: string): string
}

/** Files have an ETag, and ranges are answered when `If-Range` has the same. */
const startRemote = async (): Promise<Remote> => {
  const files = new Map<string, RemoteFile>()
  const server = createServer((request, response) => {
    const file = files.get(request.url!.slice(1))
    if (!file) return void response.writeHead(404).end()
    const { content, silentAt } = file
    const etag = `"${sha512(content).slice(0, 16)}"`
    const first = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    const isRange = first > 0 && request.headers['if-range'] === etag
    if (isRange && first >= content.length) return void response.writeHead(416, { etag }).end()
    if (isRange) response.setHeader('content-range', `bytes ${first}-${content.length - 1}/${content.length}`)
    const bytes = content.subarray(isRange ? first : 0)
    if (silentAt !== undefined) response.setHeader('content-length', bytes.length)
    response.writeHead(isRange ? 206 : 200, { etag })
    if (silentAt === undefined) response.end(bytes)
    else response.write(bytes.subarray(0, silentAt))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  server.unref()
  const { port } = server.address() as AddressInfo
  return {
    add: (file) => {
      const name = `fetched-${files.size}`
      files.set(name, file)
      return name
    },
    change: (name, file) => files.set(name, file),
    url: (name) => `http://127.0.0.1:${port}/${name}`,
  }
}

/** It ends with the process. */
export const remote = await startRemote()
