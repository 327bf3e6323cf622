/** `node bare-node-server.ts PORT DIRECTORY`: `PUT` writes the body to a file, `GET` sends it, as anybody would write it. */
import { createReadStream, createWriteStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'

const [port, directory] = process.argv.slice(2) as [string, string]
const server = createServer(async (request, response) => {
  const path = join(directory, basename(request.url!))
  if (request.method === 'PUT') {
    await pipeline(request, createWriteStream(path))
    response.writeHead(201).end()
  } else {
    const { size } = await stat(path)
    response.writeHead(200, { 'content-length': size })
    // A client that has all of its bytes may leave before the stream notices
    await pipeline(createReadStream(path), response).catch(() => {})
  }
})
server.requestTimeout = 0
server.listen(Number(port), '127.0.0.1')
