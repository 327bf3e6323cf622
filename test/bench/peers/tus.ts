/** The two servers of the tus protocol: tusd, written in Go, and @tus/server with its file store. */
import { readFileSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../support/ports.ts'
import { piecesOf, startPeer, type Upload, type UploadPeer } from './peer.ts'
import { findTusd } from './tusd-program.ts'

const nodeServer = fileURLToPath(new URL('./tus-node-server.ts', import.meta.url))

const version = { 'Tus-Resumable': '1.0.0' }

/** What a tus client sends: the creation, and then the bytes. */
const requests = (upload: Upload) => [
  {
    method: 'POST',
    target: '/files/',
    headers: { ...version, 'Upload-Length': String(upload.length), 'Content-Length': '0' },
    expect: [201],
    save: { file: 'header.location' },
  },
  ...piecesOf(upload).map(({ at, body }) => ({
    method: 'PATCH',
    target: '{file}',
    headers: { ...version, 'Upload-Offset': String(at), 'Content-Type': 'application/offset+octet-stream' },
    body,
    expect: [204],
  })),
]

const peerOf = async (
  name: string,
  description: string,
  directory: string,
  command: (port: number) => [string, ...string[]],
): Promise<UploadPeer> => {
  await mkdir(directory)
  const port = await freePort()
  const started = await startPeer(name, port, command(port))
  return {
    name,
    description,
    port,
    ...started,
    takesPieces: true,
    requests,
    async clean() {
      await rm(directory, { recursive: true })
      await mkdir(directory)
    },
  }
}

/** Starts tusd, which is built if it is not there. Throws, with the reason, where that is impossible. */
export const startTusd = async (directory: string): Promise<UploadPeer> => {
  const { path, release } = findTusd()
  const files = join(directory, 'tusd')
  return peerOf('tusd', `tusd ${release}`, files, (port) => [
    path,
    ...['-host', '127.0.0.1', '-port', String(port), '-upload-dir', files, '-base-path', '/files/'],
    '-show-greeting=false',
    '-verbose=false',
  ])
}

/** Starts @tus/server. */
export const startTusNode = async (directory: string): Promise<UploadPeer> => {
  const files = join(directory, 'tus-node')
  const installed = fileURLToPath(new URL('../../../node_modules/@tus/server/package.json', import.meta.url))
  const release = (JSON.parse(readFileSync(installed, 'utf8')) as { version: string }).version
  return peerOf('@tus/server', `@tus/server ${release}`, files, (port) => [
    process.execPath,
    nodeServer,
    String(port),
    files,
  ])
}
