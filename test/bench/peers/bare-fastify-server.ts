/** `node bare-fastify-server.ts PORT JSON`: a route that answers an object, as anybody would write it. */
import { fastify } from 'fastify'

const [port, json] = process.argv.slice(2) as [string, string]
const answer = JSON.parse(json) as object
const app = fastify()
app.get('/artifacts/:name', async () => answer)
await app.listen({ port: Number(port), host: '127.0.0.1' })
