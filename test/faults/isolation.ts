/**
 * Every route with every kind of object that belongs to somebody else, asked for by namespaces without a right to it:
 * the answer must be the same, status, code, words, headers and shape, as for an object that does not exist. The cases
 * are made from the contract, so a new route or field is tried too, or named as one that nobody has thought about.
 *
 * There is one difference by contract, asserted as such: `POST /auth` tells a wrong key from an unknown namespace.
 */
import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { routeContract } from '@holdfast/api/contract'
import { paths, type RouteName, splitPath } from '@holdfast/api/paths'
import { type Answer, login, publish, type Session, send, upload } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import { bytesOf, comesTrue, Report, readOptions, sha512, wordsOf } from './harness.ts'

const report = new Report('isolation', readOptions(1))
const server: RunningServer = await startServer({ settings: { HOLDFAST_JOB_INTERVAL: '0.2' } })

/** One object of a kind, and one of the same form that does not exist. */
interface Kind {
  readonly kind: string
  readonly foreign: string
  readonly missing: string
}

/** Everything that one namespace owns, in the fields that can name it. */
type Belongings = Readonly<Record<string, readonly Kind[]>>

/** Of the same length, another name. */
const otherName = (name: string): string => `${name.slice(0, -1)}${name.endsWith('q') ? 'z' : 'q'}`
const uuidKind = (kind: string, foreign: string): Kind => ({ kind, foreign, missing: randomUUID() })
const nameKind = (kind: string, foreign: string): Kind => ({ kind, foreign, missing: otherName(foreign) })

/** Fields of requests that name no object of anybody, and the value they are sent with. */
const plainFields: Readonly<Record<string, unknown>> = {
  size: 0,
  index: 1,
  key: 'colour',
  value: 'stolen',
  algorithm: 'sha512',
  max_versions: 1,
  confirm: true,
  shared: null,
  artifact_type: 'image',
  sha512: null,
  node: null,
  event_type: null,
  limit: 5,
  offset: 0,
  cursor: null,
  sort: 'name',
  type: 'image',
  state: 'created',
  created_after: 0,
  job: 'collect-blobs',
  wait: 0,
}

/** What a body must hold for the request to come as far as the object in question. */
const bodies: Partial<Record<RouteName, Readonly<Record<string, unknown>>>> = {
  authenticate: { key: 'a guess' },
  createNamespace: { namespace: 'quite-new', key_name: 'first', key: 'stolen' },
  addKey: { key_name: 'first', key: 'stolen' },
  replaceKey: { key_name: 'first', key: 'stolen' },
  replaceNamedKey: { key: 'stolen' },
  addTrust: { external_namespace: 'system' },
  addNamespaceMetadata: { key: 'colour', value: 'stolen' },
  setNamespaceMetadata: { value: 'stolen' },
  addArtifactMetadata: { key: 'colour', value: 'stolen' },
  setArtifactMetadata: { value: 'stolen' },
  addBlobMetadata: { key: 'colour', value: 'stolen' },
  setBlobMetadata: { value: 'stolen' },
  fetchArtifact: { url: 'http://nowhere.invalid/image' },
  deleteArtifacts: { confirm: true },
  setMaxVersions: { max_versions: 1 },
}

const key = (namespace: string): string => `the key of ${namespace}`
const system = await login(server.url, 'system', server.systemKey)
const createNamespace = async (namespace: string): Promise<Session> => {
  const { status } = await system.post('/auth/namespaces', {
    namespace,
    key_name: 'first',
    key: key(namespace),
  })
  report.check(status === 200, `cannot make ${namespace}`)
  return login(server.url, namespace, key(namespace))
}

/** Fills a namespace with one object of every kind. */
const furnish = async (session: Session): Promise<Belongings> => {
  const { namespace } = session
  const own = (what: string) => bytesOf(`${namespace} ${what}`, 5000)
  const [image] = [await publish(session, `${namespace}-disk`, own('image'))]
  await publish(session, `${namespace}-disk`, own('second version'))
  const other = await publish(session, `${namespace}-notes`, own('other'), { artifact_type: 'other' })
  const gone = await publish(session, `${namespace}-gone`, own('gone'))
  await session.delete(`/artifacts/${gone.uuid}`)
  const label = await session.post(`/label/${namespace}-label`, { blob_uuid: image.blob_uuid })
  const fetched = await session.post('/artifacts', { url: `http://${namespace}.invalid/image` })
  const converted = await upload(session, own('converted'))
  await session.post(`/artifacts/upload/${namespace}-disk`, { upload_uuid: converted })
  const open = await upload(session, own('open'))
  const givenUp = await upload(session, own('given up'))
  await session.delete(`/upload/${givenUp}`)
  for (const target of [
    `/artifacts/${image.uuid}`,
    `/blobs/${image.blob_uuid}`,
    `/auth/namespaces/${encodeURIComponent(namespace)}`,
  ])
    await session.post(`${target}/metadata`, { key: 'colour', value: `${namespace}'s secret` })
  await session.post(`/auth/namespaces/${namespace}/keys`, {
    key_name: `${namespace}-key`,
    key: key(namespace),
  })
  await session.post(`/auth/namespaces/${namespace}/trust`, { external_namespace: `${namespace}-friend` })
  const digests = async () => (await session.get(`/blobs/${image.blob_uuid}`)).json.checksums
  report.check(await comesTrue(async () => !!(await digests()).xxh128, 20_000), 'digests were never made')
  const checksums = Object.entries<string>(await digests())
  return {
    namespace: [nameKind('namespace', namespace)],
    external_namespace: [nameKind('namespace', namespace)],
    key_name: [nameKind('key', `${namespace}-key`)],
    upload_uuid: [
      uuidKind('upload', open),
      uuidKind('converted upload', converted),
      uuidKind('deleted upload', givenUp),
    ],
    artifact_ref: [
      uuidKind('artifact', image.uuid),
      uuidKind('artifact of type other', other.uuid),
      uuidKind('artifact in capitals', image.uuid.toUpperCase()),
      uuidKind('deleted artifact', gone.uuid),
      uuidKind('label', label.json.uuid),
      uuidKind('fetched artifact', fetched.json.uuid),
      nameKind("artifact's name", image.name),
      nameKind("deleted artifact's name", gone.name),
      nameKind("label's name", label.json.name),
    ],
    name: [nameKind("artifact's name", image.name), nameKind("label's name", label.json.name)],
    blob_uuid: [
      uuidKind('blob', image.blob_uuid),
      uuidKind('blob of a deleted artifact', gone.blob_uuid),
      uuidKind('artifact as a blob', image.uuid),
    ],
    source_url: [
      nameKind("upload's source", image.source_url),
      nameKind("label's source", label.json.source_url),
    ],
    url: [
      {
        kind: 'fetched URL',
        foreign: fetched.json.source_url,
        missing: fetched.json.source_url.replace(namespace, otherName(namespace)),
      },
    ],
    hash: checksums.map(([algorithm, hash]) => ({
      kind: algorithm,
      foreign: hash,
      missing: sha512(Buffer.from(hash)).slice(0, hash.length),
    })),
  }
}

/** A namespace that tries, whose belongings it tries to reach, and by which fields. */
interface Outsider {
  readonly name: string
  readonly session: Session
  readonly belongings: Belongings
}

interface Slot {
  readonly place: 'params' | 'query' | 'body'
  readonly field: string
}

const slotsOf = (route: RouteName, belongings: Belongings): Slot[] => {
  const { params, query, body } = routeContract(route)
  const fields = (schema: { properties?: object } | undefined): string[] =>
    Object.keys(schema?.properties ?? {})
  const all: Slot[] = [
    ...fields(params).map((field) => ({ place: 'params' as const, field })),
    ...fields(query).map((field) => ({ place: 'query' as const, field })),
    ...fields(body).map((field) => ({ place: 'body' as const, field })),
  ]
  for (const { place, field } of all)
    report.check(
      field in belongings || field in plainFields || field in (bodies[route] ?? {}),
      `${route}: does ${place}/${field} name an object? Say so in isolation.ts`,
    )
  return all.filter(({ field }) => field in belongings)
}

/** The outsider's own objects, for the fields that are not in question. */
const ownFields = async (session: Session): Promise<Record<string, string>> => {
  const view = await publish(session, 'own-disk', bytesOf(`own of ${session.namespace}`, 3000))
  return {
    namespace: session.namespace,
    external_namespace: 'system',
    key_name: 'first',
    upload_uuid: await upload(session, `own open upload of ${session.namespace}`),
    artifact_ref: view.uuid,
    name: 'own-name',
    blob_uuid: view.blob_uuid,
    hash: sha512(Buffer.from('nothing')),
  }
}

/** One request: a route, the outsider's own objects, and one field that names `value`. */
const request = async (
  { session }: Outsider,
  own: Readonly<Record<string, string>>,
  route: RouteName,
  method: string,
  { place, field }: Slot,
  { kind, value }: { kind: string; value: string },
): Promise<Answer> => {
  const { path } = splitPath(route)
  const contract = routeContract(route)
  const plain: Record<string, unknown> = {
    ...plainFields,
    ...own,
    algorithm: field === 'hash' ? kind : 'sha512',
  }
  const target = path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(place === 'params' && name === field ? value : plain[name])),
  )
  const query = place === 'query' ? `?${new URLSearchParams({ [field]: value })}` : ''
  let json: Record<string, unknown> | undefined
  if (contract.body && method !== 'HEAD') {
    json = { ...bodies[route] }
    if (route === 'convertUpload' && field !== 'blob_uuid')
      json.upload_uuid = await upload(session, `an upload of ${session.namespace}`)
    if (/^update.*Label$/.test(route)) json.blob_uuid = own.blob_uuid
    if (place === 'body') json[field] = value
  }
  return send(server.url, method, `${target}${query}`, {
    ...(contract.public ? {} : { token: session.token }),
    ...(json ? { json } : {}),
    ...(contract.bytes ? { body: 'stolen bytes' } : {}),
    // HEAD of a GET route is no route of the contract.
    ...(method === 'HEAD' ? { unchecked: true } : {}),
  })
}

const uuids = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi

/** A reply without what differs between any two: its id, the time, and which name was asked for. */
const shapeOf = (answer: Answer, asked: string): object => {
  const clean = (text: string): string =>
    text
      .replaceAll(asked, '<asked>')
      .replaceAll(encodeURIComponent(asked), '<asked>')
      .replace(uuids, '<uuid>')
      .replace(/"(\w+_at|timestamp|modified)":[\d.]+/g, '"$1":<time>')
  const headers = Object.fromEntries(
    Object.entries(answer.headers)
      .filter(([name]) => !['date', 'x-request-id'].includes(name))
      // The length of a reply with a time in it is nobody's secret.
      .filter(([name]) => !(name === 'content-length' && answer.status === 200))
      .map(([name, value]) => [name, clean(String(value))]),
  )
  const { request_id, ...rest } =
    answer.json !== null && typeof answer.json === 'object' && !Array.isArray(answer.json)
      ? answer.json
      : { request_id: '', value: answer.json ?? answer.bytes.toString() }
  return {
    status: answer.status,
    headers,
    hasRequestId: request_id !== undefined,
    body: clean(JSON.stringify(rest)),
  }
}

/** Undoes what a request has made for the outsider itself, so that the next finds the same. */
const restore = async (
  { session }: Outsider,
  route: RouteName,
  value: string,
  { status, json }: Answer,
): Promise<void> => {
  if (status !== 200) return
  const own = `/auth/namespaces/${session.namespace}`
  if (route === 'addTrust') await session.delete(`${own}/trust/${encodeURIComponent(value)}`)
  if (route === 'addKey') await session.delete(`${own}/keys/${encodeURIComponent(value)}`)
  if (['convertUpload', 'updateLabel', 'updateNamespacedLabel', 'fetchArtifact'].includes(route))
    await session.delete(`/artifacts/${json.uuid}`)
}

const tryCase = async (
  outsider: Outsider,
  own: Readonly<Record<string, string>>,
  route: RouteName,
  method: string,
  slot: Slot,
  { kind, foreign, missing }: Kind,
): Promise<string> => {
  const replies: Answer[] = []
  for (const value of [missing, foreign]) {
    const answer = await request(outsider, own, route, method, slot, { kind, value })
    replies.push(answer)
    await restore(outsider, route, value, answer)
  }
  const [absent, present] = replies as [Answer, Answer]
  const words = `${outsider.name}: ${method} ${route} with a foreign ${kind} in ${slot.place}/${slot.field}`
  if (route === 'authenticate') {
    const codes = [absent.json.code, present.json.code]
    report.check(
      isDeepStrictEqual(codes, ['namespace_not_found', 'wrong_key']),
      () => `${words}: ${codes} is not what the contract says`,
    )
    return 'by contract: 404 and 401'
  }
  const [a, b] = [shapeOf(absent, missing), shapeOf(present, foreign)]
  report.check(
    isDeepStrictEqual(a, b),
    () => `${words} is told apart:\n  missing ${JSON.stringify(a)}\n  foreign ${JSON.stringify(b)}`,
  )
  return `${present.status} ${present.json?.code ?? (method === 'HEAD' ? '' : 'same')}`.trim()
}

/** All that the owner sees of its own, but for what the server itself goes on with. */
const snapshot = async (session: Session): Promise<unknown> => {
  const { namespace } = session
  const read = async (target: string) => (await session.get(target)).json
  const artifacts = (await read(`/artifacts?namespace=${namespace}`)).filter(
    ({ blob_uuid }: { blob_uuid?: string }) => blob_uuid !== undefined,
  )
  const details = []
  for (const { uuid, blob_uuid } of artifacts)
    details.push([
      await read(`/artifacts/${uuid}`),
      await read(`/artifacts/${uuid}/versions`),
      await read(`/artifacts/${uuid}/events`),
      await read(`/blobs/${blob_uuid}/events`),
      await read(`/blobs/${blob_uuid}/metadata`),
      sha512((await session.get(`/blobs/${blob_uuid}/data`)).bytes),
    ])
  return {
    artifacts,
    details,
    uploads: await read('/upload'),
    namespace: await read(`/auth/namespaces/${namespace}`),
  }
}

const victim = await createNamespace('victim')
const belongings = await furnish(victim)

const stranger = await createNamespace('stranger')
const naive = await createNamespace('naive')
await naive.post('/auth/namespaces/naive/trust', { external_namespace: 'victim' })
const former = await createNamespace('former')
await victim.post('/auth/namespaces/victim/trust', { external_namespace: 'former' })
report.check((await former.get('/artifacts/victim-disk')).status === 200, 'a trusted namespace sees nothing')
await victim.delete('/auth/namespaces/victim/trust/former')
const firstLife = await createNamespace('phoenix')
const { namespace: _, external_namespace: __, key_name: ___, ...inherited } = await furnish(firstLife)
await system.delete('/auth/namespaces/phoenix')
const reborn = await createNamespace('phoenix')

const outsiders: readonly Outsider[] = [
  { name: 'a stranger', session: stranger, belongings },
  // To whom the owner's name is no news.
  {
    name: 'one that trusts the owner',
    session: naive,
    belongings: { ...belongings, external_namespace: [] },
  },
  { name: 'one that was trusted', session: former, belongings },
  // Its own namespace is no foreign one, but nothing of the former owner of the name is its own.
  { name: 'the next owner of the name', session: reborn, belongings: inherited },
]

try {
  // The first look is a use of the blobs, which shows.
  await snapshot(victim)
  const before = await snapshot(victim)
  const table = new Map<string, { cases: number; replies: Set<string> }>()
  for (const outsider of outsiders) {
    const own = await ownFields(outsider.session)
    for (const route of Object.keys(paths) as RouteName[]) {
      const { method } = splitPath(route)
      for (const slot of slotsOf(route, { ...belongings, ...outsider.belongings }))
        for (const kind of outsider.belongings[slot.field] ?? [])
          for (const verb of method === 'GET' ? ['GET', 'HEAD'] : [method]) {
            const reply = await tryCase(outsider, own, route, verb, slot, kind)
            const row = `${route.padEnd(24)} ${slot.place}/${slot.field}`
            const entry = table.get(row) ?? { cases: 0, replies: new Set() }
            entry.cases += 1
            entry.replies.add(reply)
            table.set(row, entry)
            report.count('cases')
          }
    }
    await checkLists(outsider)
  }
  for (const [row, { cases, replies }] of table)
    console.log(`  ${row.padEnd(50)} ${String(cases).padStart(3)} cases: ${[...replies].join(', ')}`)
  const after = await snapshot(victim)
  report.check(
    isDeepStrictEqual(after, before),
    () => `something of the victim has changed:\n${JSON.stringify(before)}\n${JSON.stringify(after)}`,
  )
  await login(server.url, 'victim', key('victim'))
} catch (error) {
  report.fail(`${wordsOf(error)}\n${error instanceof Error ? error.stack : ''}`)
} finally {
  await server.remove()
}

/** No list, and nothing public, says a word of what belongs to the owner. */
async function checkLists({ name, session, belongings: theirs }: Outsider): Promise<void> {
  const secrets = Object.values(theirs)
    .flat()
    .map(({ foreign }) => foreign)
  for (const route of Object.keys(paths) as RouteName[]) {
    const { method, path } = splitPath(route)
    if (method !== 'GET' || path.includes('{')) continue
    const { bytes } = await send(server.url, method, path, { token: session.token })
    const text = bytes.toString()
    // Words of the page and the document, and one's own name, give nobody away.
    const told = secrets.filter((secret) => secret.length > 8 && text.includes(secret))
    report.check(told.length === 0, () => `${name}: ${path} tells of ${told.join(', ')}`)
    report.count('lists searched')
  }
}

report.finish()
process.exit()
