/**
 * `node fastify-and-sqlite-server.ts PORT DATABASE`: what a server with our rules cannot leave out when it shows an artifact: the
 * token's digest, whether its key is still the same, the artifact, its versions, their references and its metadata, by prepared
 * statements in one read transaction, and the reply. Without validation, log, metrics, limits, other routes, or a second
 * database engine. Signatures are taken on trust.
 */
import { hash } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { fastify } from 'fastify'

const [port, file] = process.argv.slice(2) as [string, string]
const database = new DatabaseSync(file, { readOnly: true })
const begin = database.prepare('begin')
const commit = database.prepare('commit')
const nonceOf = database.prepare(
  `select k.nonce from namespace_keys k join namespaces n on n.name = k.namespace
   where k.namespace = ? and k.name = ? and n.state <> 'deleted'`,
)
const artifactOf = database.prepare(
  `select * from artifacts where namespace = ? and name = ? and state <> 'deleted' limit 100`,
)
const versionsOf = database.prepare(
  `select v.idx, v.blob_uuid, v.created_at, b.size, b.state from versions v join blobs b on b.uuid = v.blob_uuid
   where v.artifact_uuid = ? and v.live = 1 order by v.idx`,
)
const referencesTo = database.prepare(
  'select count(*) as count from versions v join artifacts a on a.uuid = v.artifact_uuid where v.blob_uuid = ? and v.live = 1',
)
const metadataOf = database.prepare(
  `select key, value from metadata where object_type = 'artifact' and object_uuid = ? order by key`,
)

interface Signed {
  readonly namespace: string
  readonly keyName: string
  readonly nonce: unknown
}
type Row = Record<string, number | string | null>

const seen = new Map<string, Signed>()
const read = (token: string): Signed => {
  const digest = hash('sha256', token, 'base64url')
  const known = seen.get(digest)
  if (known) return known
  const { sub, nonce } = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
  const [namespace, keyName] = JSON.parse(sub)
  const signed = { namespace, keyName, nonce }
  seen.set(digest, signed)
  return signed
}

const show = (token: string, name: string): object | undefined => {
  const { namespace, keyName, nonce } = read(token)
  begin.run()
  try {
    const key = nonceOf.get(namespace, keyName) as Row | undefined
    const row = artifactOf.get(namespace, name) as Row | undefined
    if (key?.nonce !== nonce || !row) return undefined
    const versions = versionsOf.all(row.uuid!) as Row[]
    const newest = versions.at(-1)
    return {
      uuid: row.uuid,
      name: row.name,
      state: row.state,
      metadata: Object.fromEntries(
        (metadataOf.all(row.uuid!) as Row[]).map(({ key: word, value }) => [word, JSON.parse(String(value))]),
      ),
      version: 6,
      artifact_type: row.type,
      source_url: row.source_url,
      max_versions: row.max_versions,
      namespace: row.namespace,
      shared: row.shared === 1,
      index: newest?.idx ?? 0,
      ...(newest && { blob_uuid: newest.blob_uuid }),
      blobs: Object.fromEntries(
        versions.map(({ idx, blob_uuid, size, created_at }) => [
          idx,
          {
            uuid: blob_uuid,
            size,
            reference_count: (referencesTo.get(blob_uuid!) as Row).count,
            depends_on: null,
            created_at: Number(created_at) / 1000,
            instances: [],
          },
        ]),
      ),
      created_at: Number(row.created_at) / 1000,
      updated_at: Number(row.updated_at) / 1000,
    }
  } finally {
    commit.run()
  }
}

const app = fastify()
app.get<{ Params: { name: string } }>('/artifacts/:name', async (request, reply) => {
  const found = show(request.headers.authorization?.slice('Bearer '.length) ?? '', request.params.name)
  return found ?? reply.code(404).send()
})
await app.listen({ port: Number(port), host: '127.0.0.1' })
