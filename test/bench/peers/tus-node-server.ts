/** `node tus-node-server.ts PORT DIRECTORY`: @tus/server as its documentation sets it up. */
import { createServer } from 'node:http'
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'

const [port, directory] = process.argv.slice(2) as [string, string]
const tus = new Server({ path: '/files', datastore: new FileStore({ directory }) })
const server = createServer((request, response) => tus.handle(request, response))
server.requestTimeout = 0
server.listen(Number(port), '127.0.0.1')
