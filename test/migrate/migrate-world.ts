/** A store with a bit of everything, made over HTTP, and all that can be seen of it over HTTP. */
import { createHash, randomBytes } from 'node:crypto'
import { createNamespace, login, publish, type Session, upload } from '../support/api.ts'

export interface Unfinished {
  readonly uuid: string
  readonly bytes: Buffer
}

export interface World {
  readonly alice: Session
  readonly bob: Session
  /** Of artifacts and blobs, deleted ones included. */
  readonly artifacts: readonly string[]
  readonly blobs: readonly string[]
  readonly unfinished: Unfinished
}

/** A large one goes to S3 in parts; the others are many enough that several are under way at any moment. */
const largeSize = 20 * 1024 * 1024 + 12_345
const smallCount = 30

const want = async (answer: Promise<{ status: number; bytes: Buffer }>): Promise<void> => {
  const { status, bytes } = await answer
  if (status !== 200) throw new Error(`refused with ${status}: ${bytes}`)
}

/** Fills a new store. */
export const fillStore = async (url: string, system: Session): Promise<World> => {
  const alice = await createNamespace(url, system, 'alice')
  const bob = await createNamespace(url, system, 'bob')
  const gone = await createNamespace(url, system, 'gone')
  await publish(gone, 'went with its namespace', randomBytes(1000))
  await want(system.delete(`/auth/namespaces/${gone.namespace}`))
  await want(alice.post(`/auth/namespaces/${alice.namespace}/trust`, { external_namespace: bob.namespace }))
  await want(
    alice.post(`/auth/namespaces/${alice.namespace}/metadata`, { key: 'k', value: { a: [1, null, 'ü'] } }),
  )
  await want(system.put(`/auth/namespaces/${bob.namespace}/limits`, { max_bytes: 2 ** 50, max_artifacts: 0 }))

  const views = []
  for (let i = 0; i < smallCount; i += 10)
    views.push(
      ...(await Promise.all(
        Array.from({ length: 10 }, (_, j) =>
          publish(i % 20 ? alice : bob, `small ${i + j}`, randomBytes(5000 + i)),
        ),
      )),
    )
  views.push(await publish(alice, 'large', randomBytes(largeSize)))
  const name = '\u{1f4be} Ärger "quoted" \\ %_ ünï\u0308'
  // The first of four is pruned.
  for (let i = 0; i < 4; i++) views.push(await publish(alice, name, randomBytes(100 + i)))
  const named = views.at(-1)!
  await want(
    alice.post(`/artifacts/${named.uuid}/metadata`, {
      key: 'many',
      value: { text: '\0\u{10000}', big: 2 ** 53 - 1, small: 5e-324 },
    }),
  )
  await want(alice.post(`/blobs/${named.blob_uuid}/metadata`, { key: 'b', value: true }))
  await want(alice.post(`/label/${alice.namespace}/current`, { blob_uuid: named.blob_uuid }))
  views.push(await publish(system, 'for all', randomBytes(3000), { shared: true }))
  const deleted = await publish(alice, 'deleted', randomBytes(2000))
  await want(alice.delete(`/artifacts/${deleted.uuid}`))
  // Found by its checksum, which leases it.
  const { sha512 } = (await alice.get(`/blobs/${named.blob_uuid}`)).json
  await want(bob.get(`/blob_checksums/sha512/${sha512}`))
  const bytes = randomBytes(300_000)
  const uuid = await upload(alice, bytes.subarray(0, 100_000), bytes.subarray(100_000, 200_000))

  const artifacts = [...views, deleted].map((view) => view.uuid as string)
  const all = (await system.get('/blobs')).json as { uuid: string }[]
  return {
    alice,
    bob,
    artifacts: [...new Set(artifacts)],
    blobs: [...new Set([...all.map((blob) => blob.uuid), deleted.blob_uuid as string])],
    unfinished: { uuid, bytes },
  }
}

/** What a migration itself adds to the history of the store. */
const isOwnEvent = (one: { message?: string } | null) => one?.message === 'moved here by a migration'

/** Without what differs each time somebody looks. */
const lasting = (json: unknown): unknown =>
  JSON.parse(JSON.stringify(json ?? null), (key, value) =>
    ['request_id', 'last_used'].includes(key) ? undefined : value,
  )

const ofEverybody = ['/artifacts', '/auth/namespaces', '/upload']

/** All that the three see, by route. The order of the requests is always the same: to look leaves traces. */
export const viewOf = async (
  url: string,
  systemKey: string,
  world: World,
): Promise<Record<string, unknown>> => {
  const system = await login(url, 'system', systemKey)
  const sessions = [system]
  for (const { namespace } of [world.alice, world.bob])
    sessions.push(await login(url, namespace, `key of ${namespace}`))
  const view: Record<string, unknown> = {}
  const see = async (session: Session, target: string) => {
    const { status, json } = await session.get(target)
    const shown = Array.isArray(json) ? json.filter((one) => !isOwnEvent(one)) : json
    view[`${session.namespace} ${target}`] = { status, shown: lasting(shown) }
  }
  for (const session of sessions) {
    for (const target of ofEverybody) await see(session, target)
    for (const uuid of world.artifacts)
      for (const part of ['', '/versions', '/metadata', '/events'])
        await see(session, `/artifacts/${uuid}${part}`)
    for (const uuid of world.blobs)
      for (const part of ['', '/metadata', '/events']) await see(session, `/blobs/${uuid}${part}`)
  }
  for (const { namespace } of sessions)
    for (const part of ['', '/keys', '/metadata', '/usage'])
      await see(system, `/auth/namespaces/${namespace}${part}`)
  for (const target of ['/blobs', '/admin/quarantine']) await see(system, target)
  for (const uuid of world.blobs) {
    const { status, headers, bytes } = await system.send('GET', `/blobs/${uuid}/data`, { unchecked: true })
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    view[`data of ${uuid}`] = status === 200 ? { etag: headers.etag, size: bytes.length, sha256 } : { status }
  }
  return view
}

/** What is not the same in two views, in words; empty when they are equal. */
export const changesBetween = (one: Record<string, unknown>, other: Record<string, unknown>): string[] =>
  [...new Set([...Object.keys(one), ...Object.keys(other)])]
    .map((key) => [key, JSON.stringify(one[key]), JSON.stringify(other[key])] as const)
    .filter(([, before, after]) => before !== after)
    .map((words) => words.join('\n'))
