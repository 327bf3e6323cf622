/**
 * Every route with every kind of object that belongs to somebody else, asked for by namespaces without a right to it:
 * the answer must be the same, status, code, words, headers and shape, as for an object that does not exist. The cases
 * are made from the contract, so a new route or field is tried too, or named as one that nobody has thought about.
 *
 * There is one difference by contract, asserted as such: `POST /auth` tells a wrong key from an unknown namespace.
 */
import { isDeepStrictEqual } from 'node:util'
import { routeContract } from '@holdfast/api/contract'
import { paths, type RouteName, splitPath } from '@holdfast/api/paths'
import { type Answer, login, type Session, send, upload } from '../support/api.ts'
import { type RunningServer, startServer } from '../support/server.ts'
import { Report, readOptions, wordsOf } from './harness.ts'
import { type Belongings, furnish, type Kind, keyOf, ownFields, snapshot } from './isolation-objects.ts'

const report = new Report('isolation', readOptions(1))
const server: RunningServer = await startServer({
  settings: { HOLDFAST_JOB_INTERVAL: '0.2', HOLDFAST_FETCH_ATTEMPTS: '1' },
})

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
  since: 0,
  span: 0,
  max_bytes: 1,
  max_artifacts: 1,
  max_uploads: 1,
  repair: true,
  job: 'collect-blobs',
  wait: 0,
}

/**
 * The routes of which no field names an object: what they are there for. `public` and `own` tell nothing of others,
 * `system` is refused.
 */
const bareRoutes: Partial<Record<RouteName, 'public' | 'own' | 'system'>> = {
  showRoot: 'public',
  showHealth: 'public',
  showReadiness: 'public',
  showMetrics: 'public',
  showOpenapi: 'public',
  listNamespaces: 'own',
  createUpload: 'own',
  listUploads: 'own',
  listBlobs: 'system',
  listJobs: 'system',
  showJob: 'system',
  runJob: 'system',
  previewCollection: 'system',
  verifyAll: 'system',
  showVerification: 'system',
  listQuarantine: 'system',
  showStoreUsage: 'system',
  listFailures: 'system',
  listNodes: 'system',
  forgetNode: 'system',
  startBackup: 'system',
  showBackup: 'system',
  startCheck: 'system',
  showCheck: 'system',
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

const system = await login(server.url, 'system', server.systemKey)
const createNamespace = async (namespace: string): Promise<Session> => {
  const { status } = await system.post('/auth/namespaces', {
    namespace,
    key_name: 'first',
    key: keyOf(namespace),
  })
  report.check(status === 200, `cannot make ${namespace}`)
  return login(server.url, namespace, keyOf(namespace))
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

const victim = await createNamespace('victim')
const belongings = await furnish(victim, report)

const stranger = await createNamespace('stranger')
const naive = await createNamespace('naive')
await naive.post('/auth/namespaces/naive/trust', { external_namespace: 'victim' })
const former = await createNamespace('former')
await victim.post('/auth/namespaces/victim/trust', { external_namespace: 'former' })
report.check((await former.get('/artifacts/victim-disk')).status === 200, 'a trusted namespace sees nothing')
await victim.delete('/auth/namespaces/victim/trust/former')
const firstLife = await createNamespace('phoenix')
const { namespace: _, external_namespace: __, key_name: ___, ...inherited } = await furnish(firstLife, report)
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
  const note = (row: string, reply: string): void => {
    const entry = table.get(row) ?? { cases: 0, replies: new Set() }
    entry.cases += 1
    entry.replies.add(reply)
    table.set(row, entry)
    report.count('cases')
  }
  for (const outsider of outsiders) {
    const own = await ownFields(outsider.session)
    for (const route of Object.keys(paths) as RouteName[]) {
      const { method, path } = splitPath(route)
      const slots = slotsOf(route, { ...belongings, ...outsider.belongings })
      if (slots.length === 0) note(`${route.padEnd(24)} -`, await tryBare(outsider, route))
      else if (method === 'GET' && !path.includes('{'))
        searchFor(outsider, route, (await outsider.session.get(path)).bytes)
      for (const slot of slots)
        for (const kind of outsider.belongings[slot.field] ?? [])
          for (const verb of method === 'GET' ? ['GET', 'HEAD'] : [method])
            note(
              `${route.padEnd(24)} ${slot.place}/${slot.field}`,
              await tryCase(outsider, own, route, verb, slot, kind),
            )
    }
  }
  const isTried = (route: RouteName) => [...table.keys()].some((row) => row.startsWith(`${route} `))
  for (const route of Object.keys(paths) as RouteName[])
    report.check(isTried(route), `${route} was not tried`)
  for (const [row, { cases, replies }] of table)
    console.log(`  ${row.padEnd(50)} ${String(cases).padStart(3)} cases: ${[...replies].join(', ')}`)
  const after = await snapshot(victim)
  report.check(
    isDeepStrictEqual(after, before),
    () => `something of the victim has changed:\n${JSON.stringify(before)}\n${JSON.stringify(after)}`,
  )
  await login(server.url, 'victim', keyOf('victim'))
} catch (error) {
  report.fail(`${wordsOf(error)}\n${error instanceof Error ? error.stack : ''}`)
} finally {
  await server.remove()
}

/** Routes without a field for an object say no word of what belongs to the owner, or nothing at all. */
async function tryBare(outsider: Outsider, route: RouteName): Promise<string> {
  const { name, session } = outsider
  const access = bareRoutes[route]
  report.check(access !== undefined, () => `${route}: whom does it tell of what? Say so in isolation.ts`)
  const { method, path } = splitPath(route)
  const target = path.replace(/\{(\w+)\}/g, (_, field: string) => String(plainFields[field]))
  const { status, json, bytes } = await send(server.url, method, target, { token: session.token })
  if (route === 'createUpload') await session.delete(`/upload/${json.uuid}`)
  if (access === 'system') report.check(json?.code === 'system_only', () => `${name}: ${route} is ${status}`)
  else report.check(status === 200, () => `${name}: ${route} is ${status}`)
  searchFor(outsider, route, bytes)
  return `${status} ${json?.code ?? access}`
}

/** What is answered to a request that names nothing shows nothing of the owner. */
function searchFor({ name, belongings: theirs }: Outsider, route: RouteName, bytes: Buffer): void {
  const secrets = Object.values(theirs)
    .flat()
    .map(({ foreign }) => foreign)
  const text = bytes.toString()
  // Words of the page and the document, and one's own name, give nobody away.
  const told = secrets.filter((secret) => secret.length > 8 && text.includes(secret))
  report.check(told.length === 0, () => `${name}: ${route} tells of ${told.join(', ')}`)
  report.count('replies searched')
}

report.finish()
process.exit()
